//! The settings of a client as flags of `clients create` and `clients update`.

use std::path::Path;

use chrono::DateTime;
use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::parse_span;
use crate::domain::clients::{
    Client, ClientAuthMethod, ClientKeys, ClientSetting, PlainValue, SettingValues, Shape, TextShape, Unset,
};
use crate::domain::{ClientId, Scope};
use crate::flows::clients::read_client_keys;

/// The settings of a new client. An on/off setting has one flag, for the value that is not the default.
pub struct NewSettings(pub SettingValues);

/// New values for the settings of a client. `--no-FLAG` turns a setting off or removes its value.
pub struct ChangedSettings(pub SettingValues);

impl Args for NewSettings {
    fn augment_args(command: Command) -> Command {
        command.args(ClientSetting::of_operators().map(|setting| match is_on_by_default(setting) {
            Some(true) => no_flag(setting),
            Some(false) => flag(setting),
            None => flag(setting).required(setting.options.required),
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl Args for ChangedSettings {
    fn augment_args(command: Command) -> Command {
        command.args(
            ClientSetting::of_operators()
                .flat_map(|setting| {
                    let has_no_flag =
                        is_on_by_default(setting).is_some() || setting.options.unset != Unset::Never;
                    [Some(flag(setting)), has_no_flag.then(|| no_flag(setting).conflicts_with(setting.flag))]
                })
                .flatten(),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for NewSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(values(matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = values(matches);
        Ok(())
    }
}

impl FromArgMatches for ChangedSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(values(matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = values(matches);
        Ok(())
    }
}

/// The flag to blame for a setting that is wrong: on `clients create` the only one of the setting.
pub fn name_of_flag(setting: &ClientSetting) -> &'static str {
    if is_on_by_default(setting) == Some(true) { setting.no_flag } else { setting.flag }
}

/// A setting's value as `clients show` prints it.
pub fn shown(setting: &ClientSetting, client: &Client) -> String {
    let text = match (setting.get)(client) {
        PlainValue::Flag(flag) => flag.to_string(),
        PlainValue::Seconds(seconds) => format!("{seconds} s"),
        PlainValue::Text(text) => text,
        PlainValue::List(list) => list.join(" "),
        PlainValue::Keys(keys) => key_ids(&keys),
        PlainValue::Null => String::new(),
    };
    match setting.options.unset {
        _ if !text.is_empty() => text,
        Unset::Server(name) => format!("the server's {name}"),
        Unset::Nothing | Unset::Never => "none".to_owned(),
    }
}

fn key_ids(keys: &ClientKeys) -> String {
    let ids: Vec<&str> = keys.iter().map(|key| key.kid.as_deref().unwrap_or("(unnamed)")).collect();
    ids.join(" ")
}

/// `None` for a setting whose flag takes a value.
fn is_on_by_default(setting: &ClientSetting) -> Option<bool> {
    let client = Client::with_defaults(ClientId::first_party(), ClientAuthMethod::None, DateTime::UNIX_EPOCH);
    match (setting.get)(&client) {
        PlainValue::Flag(flag) if !setting.options.takes_bool => Some(flag),
        _ => None,
    }
}

fn flag(setting: &'static ClientSetting) -> Arg {
    let about = setting.about.trim_end_matches('.');
    let arg = Arg::new(setting.flag).long(setting.flag);
    let with_value = |placeholder| arg.clone().value_name(placeholder).value_parser(parser(setting));
    match setting.shape {
        Shape::Flag if setting.options.takes_bool => with_value("BOOL").help(about),
        Shape::Flag => arg.action(ArgAction::SetTrue).help(answered(about, "yes")),
        Shape::Seconds => with_value("DURATION").help(format!("{about}, such as 5m")),
        Shape::KeySet => with_value("FILE").help(about),
        Shape::Scopes => with_value("SCOPE").action(ArgAction::Append).help(format!("{about}; repeatable")),
        Shape::Text(shape) => with_value(shape.placeholder).help(with_choices(about, shape)),
        Shape::List(shape) => {
            let about = with_choices(about, shape);
            with_value(shape.placeholder).action(ArgAction::Append).help(format!("{about}; repeatable"))
        }
    }
}

fn no_flag(setting: &'static ClientSetting) -> Arg {
    let help = match (setting.shape, setting.options.unset) {
        (Shape::Flag, _) => answered(setting.about.trim_end_matches('.'), "no"),
        (_, Unset::Server(name)) => format!("Use the server's `{name}` again"),
        (_, Unset::Nothing | Unset::Never) => format!("Remove the value of --{}", setting.flag),
    };
    Arg::new(setting.no_flag).long(setting.no_flag).action(ArgAction::SetTrue).help(help)
}

/// The answer to "Whether ...", which is the first sentence.
fn answered(about: &str, answer: &str) -> String {
    match about.split_once(". ") {
        Some((question, rest)) => format!("{question}: {answer}. {rest}"),
        None => format!("{about}: {answer}"),
    }
}

fn with_choices(about: &str, shape: TextShape) -> String {
    match shape.choices {
        Some(choices) => {
            format!("{about}: {}", choices.iter().map(|text| short(text)).collect::<Vec<_>>().join(", "))
        }
        None => about.to_owned(),
    }
}

/// The last part of a URN: the command line takes `device_code` for `urn:ietf:params:oauth:grant-type:device_code`.
fn short(choice: &str) -> &str {
    choice.rsplit(':').next().unwrap_or(choice)
}

/// Reads the value of a flag, or one of its values.
fn parser(setting: &'static ClientSetting) -> ValueParser {
    ValueParser::new(move |text: &str| -> Result<PlainValue, String> {
        match setting.shape {
            Shape::Flag => text.parse().map(PlainValue::Flag).map_err(|_| "must be true or false".to_owned()),
            Shape::Seconds => {
                let seconds = u32::try_from(parse_span(text)?.num_seconds());
                seconds.map(PlainValue::Seconds).map_err(|_| "is too long".to_owned())
            }
            Shape::KeySet => read_keys(Path::new(text)).map(PlainValue::Keys),
            Shape::Scopes => {
                let scope = Scope::parse(text).map_err(|error| error.to_string())?;
                Ok(PlainValue::Text(scope.as_str().to_owned()))
            }
            Shape::Text(shape) => {
                let plain = PlainValue::Text(choice(text, shape)?);
                setting.check(plain.clone()).map_err(|error| error.reason)?;
                Ok(plain)
            }
            Shape::List(shape) => {
                let text = choice(text, shape)?;
                let list = PlainValue::List(vec![text.clone()]);
                setting.check(list).map_err(|error| error.reason)?;
                Ok(PlainValue::Text(text))
            }
        }
    })
}

fn choice(text: &str, shape: TextShape) -> Result<String, String> {
    let Some(choices) = shape.choices else { return Ok(text.to_owned()) };
    let found = choices.iter().find(|choice| **choice == text || short(choice) == text);
    let shorts = || choices.iter().map(|choice| short(choice)).collect::<Vec<_>>().join(", ");
    found.map(|choice| (*choice).to_owned()).ok_or_else(|| format!("must be one of {}", shorts()))
}

fn read_keys(file: &Path) -> Result<ClientKeys, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let set = serde_json::from_str(&text).map_err(|_| "the file is not JSON".to_owned())?;
    read_client_keys(&set).map_err(|error| error.to_string())
}

fn values(matches: &ArgMatches) -> SettingValues {
    let mut values = SettingValues::default();
    for setting in ClientSetting::of_operators() {
        if let Some(plain) = value(matches, setting) {
            values.push(setting, plain);
        }
    }
    values
}

fn value(matches: &ArgMatches, setting: &ClientSetting) -> Option<PlainValue> {
    // A command may lack one of the two flags.
    let is_set = |flag| matches!(matches.try_get_one::<bool>(flag), Ok(Some(true)));
    let is_switch = is_on_by_default(setting).is_some();
    if is_set(setting.no_flag) {
        return Some(if is_switch { PlainValue::Flag(false) } else { setting.empty() });
    }
    if is_switch {
        return is_set(setting.flag).then_some(PlainValue::Flag(true));
    }
    let mut given = matches.get_many::<PlainValue>(setting.flag)?.cloned();
    let texts = |given: &mut dyn Iterator<Item = PlainValue>| -> Vec<String> {
        given.filter_map(|plain| if let PlainValue::Text(text) = plain { Some(text) } else { None }).collect()
    };
    match setting.shape {
        Shape::List(_) => Some(PlainValue::List(texts(&mut given))),
        Shape::Scopes => Some(PlainValue::Text(texts(&mut given).join(" "))),
        _ => given.next(),
    }
}
