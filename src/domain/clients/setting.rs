use std::fmt;

use super::{Client, ClientChange, ClientKeys};

/// A setting of a client, described once for the admin API, dynamic registration, the command line and the OpenAPI document.
pub struct ClientSetting {
    /// Name in JSON: as in RFC 7591 where the RFC has the setting.
    pub name: &'static str,
    /// Flag of the command line, without the two dashes.
    pub flag: &'static str,
    /// Flag that turns the setting off or removes its value.
    pub no_flag: &'static str,
    /// Documentation, in sentences.
    pub about: &'static str,
    pub shape: Shape,
    pub options: SettingOptions,
    /// The value of a client.
    pub get: fn(&Client) -> PlainValue,
    /// How many items a client has of the setting. 0 for a setting that is not a list.
    pub count: fn(&Client) -> usize,
    pub(super) put: fn(&mut ClientChange, PlainValue) -> Result<(), InvalidValue>,
}

/// Options of a setting beyond its type.
#[derive(Clone, Copy)]
pub struct SettingOptions {
    pub set_by: SetBy,
    /// An operator who creates a client must give the setting.
    pub required: bool,
    pub unset: Unset,
    /// A list must have an item.
    pub is_not_empty: bool,
    /// The lowest and highest number of seconds.
    pub bounds: (u32, Option<u32>),
    pub example: Option<&'static str>,
    /// On the command line `--flag true` and `--flag false` instead of `--flag` and `--no-flag`.
    pub takes_bool: bool,
}

impl SettingOptions {
    pub const DEFAULT: Self = Self {
        set_by: SetBy::Operators,
        required: false,
        unset: Unset::Never,
        is_not_empty: false,
        bounds: (0, None),
        example: None,
        takes_bool: false,
    };
}

/// Who gives a setting its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// The admin API and the command line only.
    Operators,
    /// A client that registers itself (RFC 7591), too.
    Everyone,
    /// Only a client that registers itself.
    Registration,
}

/// What a setting without a value means. `null` in JSON and `--no-FLAG` remove the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// The setting always has a value. `null` in JSON counts as absent.
    Never,
    Nothing,
    /// This setting of the server applies.
    Server(&'static str),
}

/// The form of a setting's value in JSON and on the command line.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Flag,
    /// An integer in JSON, a duration on the command line.
    Seconds,
    Text(TextShape),
    /// One text in JSON, a repeated flag on the command line.
    Scopes,
    /// A list in JSON, a repeated flag on the command line.
    List(TextShape),
    /// A JWK Set in JSON, a file on the command line.
    KeySet,
}

/// The form of a text, or of each text of a list.
#[derive(Clone, Copy, Debug)]
pub struct TextShape {
    /// What the command line's help calls the text.
    pub placeholder: &'static str,
    pub max_length: Option<usize>,
    /// The only texts that are allowed.
    pub choices: Option<&'static [&'static str]>,
}

impl TextShape {
    pub const fn free(placeholder: &'static str) -> Self {
        Self { placeholder, max_length: None, choices: None }
    }
}

/// A setting's value as JSON and the command line write it, not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlainValue {
    Flag(bool),
    Seconds(u32),
    Text(String),
    List(Vec<String>),
    Keys(ClientKeys),
    /// No value.
    Null,
}

/// A type that a setting can have.
pub trait SettingType: Sized {
    const SHAPE: Shape;

    fn parse(plain: PlainValue) -> Result<Self, InvalidValue>;

    fn to_plain(&self) -> PlainValue;

    fn count(&self) -> usize {
        0
    }
}

/// Why a setting cannot have a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    /// The item of a list that is wrong.
    pub index: Option<usize>,
    pub reason: String,
}

impl InvalidValue {
    pub fn new(reason: impl fmt::Display) -> Self {
        Self { index: None, reason: reason.to_string() }
    }

    pub(super) fn of_shape() -> Self {
        Self::new("the value has the wrong type")
    }
}

/// Why a value cannot be taken, with the name of its setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    pub name: &'static str,
    pub value: InvalidValue,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value: InvalidValue { index, reason } } = self;
        match index {
            Some(index) => write!(f, "{name}[{index}]: {reason}"),
            None => write!(f, "{name}: {reason}"),
        }
    }
}

impl ClientSetting {
    /// The settings of the admin API and the command line.
    pub fn of_operators() -> impl Iterator<Item = &'static Self> {
        Self::ALL.iter().filter(|setting| setting.options.set_by != SetBy::Registration)
    }

    /// The settings that a client gives when it registers itself.
    pub fn of_registration() -> impl Iterator<Item = &'static Self> {
        Self::ALL.iter().filter(|setting| setting.options.set_by != SetBy::Operators)
    }

    pub fn by_name(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|setting| setting.name == name)
    }

    /// Whether JSON writes a missing value as `null`.
    pub fn is_nullable(&self) -> bool {
        self.options.unset != Unset::Never && !matches!(self.shape, Shape::List(_))
    }

    /// The value that removes the setting's value.
    pub fn empty(&self) -> PlainValue {
        match self.shape {
            Shape::List(_) => PlainValue::List(Vec::new()),
            _ => PlainValue::Null,
        }
    }

    /// Whether the setting can have a value.
    pub fn check(&self, plain: PlainValue) -> Result<(), InvalidValue> {
        (self.put)(&mut ClientChange::default(), plain)
    }
}

/// Values of settings, not checked yet.
#[derive(Clone, Debug, Default)]
pub struct SettingValues(Vec<(&'static ClientSetting, PlainValue)>);

impl SettingValues {
    pub fn push(&mut self, setting: &'static ClientSetting, plain: PlainValue) {
        self.0.push((setting, plain));
    }

    /// Checks each value, in the order of [`ClientSetting::ALL`]: with several wrong values the error is the same for every order
    /// of the members.
    pub fn parse(mut self) -> Result<ClientChange, InvalidSetting> {
        let place = |name: &str| ClientSetting::ALL.iter().position(|setting| setting.name == name);
        self.0.sort_by_key(|(setting, _)| place(setting.name));
        let mut change = ClientChange::default();
        for (setting, plain) in self.0 {
            (setting.put)(&mut change, plain)
                .map_err(|value| InvalidSetting { name: setting.name, value })?;
        }
        Ok(change)
    }

    /// Drops list items outside the setting's choices.
    #[must_use]
    pub fn without_unknown_choices(mut self) -> Self {
        for (setting, plain) in &mut self.0 {
            if let (Shape::List(TextShape { choices: Some(choices), .. }), PlainValue::List(texts)) =
                (setting.shape, plain)
            {
                texts.retain(|text| choices.contains(&text.as_str()));
            }
        }
        self
    }
}

impl fmt::Debug for ClientSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientSetting").field(&self.name).finish()
    }
}
