//! The settings of a client as members of a request body.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use crate::domain::clients::{
    ClientSetting, InvalidSetting, InvalidValue, PlainValue, SetBy, SettingValues, Shape,
};
use crate::flows::clients::read_client_keys;

/// Settings and their values, each of the setting's JSON type. For a flattened field of a body: members that belong to other
/// fields of the body do not arrive here.
#[derive(Debug)]
pub struct SettingMembers(Vec<(&'static ClientSetting, Member)>);

#[derive(Debug)]
enum Member {
    Plain(PlainValue),
    /// Checked after the types of all members, because the check takes cryptography.
    KeySet(Value),
}

/// The kind of a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SettingsBody {
    /// An operator creates a client. Required settings must be present, and unknown members are refused.
    Create,
    /// An operator changes a client. Unknown members are refused.
    Update,
    /// A client registers itself or replaces its registration. Unknown members are ignored (RFC 7591 section 2).
    Registration,
}

impl SettingsBody {
    pub fn has(self, setting: &ClientSetting) -> bool {
        match self {
            Self::Create | Self::Update => setting.options.set_by != SetBy::Registration,
            Self::Registration => setting.options.set_by != SetBy::Operators,
        }
    }

    pub fn requires(self, setting: &ClientSetting) -> bool {
        self == Self::Create && setting.options.required
    }
}

impl SettingMembers {
    pub fn of_create<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(SettingsBody::Create))
    }

    pub fn of_update<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(SettingsBody::Update))
    }

    pub fn of_registration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(SettingsBody::Registration))
    }

    pub fn values(self) -> Result<SettingValues, InvalidSetting> {
        let mut values = SettingValues::default();
        for (setting, member) in self.0 {
            let plain = match member {
                Member::Plain(plain) => plain,
                Member::KeySet(set) => PlainValue::Keys(read_client_keys(&set).map_err(|error| {
                    InvalidSetting { name: setting.name, value: InvalidValue::new(error) }
                })?),
            };
            values.push(setting, plain);
        }
        Ok(values)
    }
}

impl Member {
    /// `None` when the JSON type is wrong.
    fn read(setting: &ClientSetting, value: Value) -> Option<Self> {
        if value.is_null() && setting.is_nullable() {
            return Some(Self::Plain(PlainValue::Null));
        }
        let plain = match setting.shape {
            Shape::KeySet => return Some(Self::KeySet(value)),
            Shape::Flag => PlainValue::Flag(value.as_bool()?),
            Shape::Seconds => PlainValue::Seconds(value.as_u64()?.try_into().ok()?),
            Shape::Text(_) | Shape::Scopes => PlainValue::Text(value.as_str()?.to_owned()),
            Shape::List(_) => PlainValue::List(serde_json::from_value(value).ok()?),
        };
        Some(Self::Plain(plain))
    }
}

struct Members(SettingsBody);

impl<'de> Visitor<'de> for Members {
    type Value = SettingMembers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings of a client")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<SettingMembers, A::Error> {
        let Self(body) = self;
        let mut found = Vec::new();
        while let Some((name, value)) = members.next_entry::<String, Value>()? {
            match ClientSetting::by_name(&name).filter(|setting| body.has(setting)) {
                // `null` counts as absent where a setting cannot be without a value.
                Some(setting) if value.is_null() && !setting.is_nullable() && !body.requires(setting) => {}
                Some(setting) => {
                    let member = Member::read(setting, value);
                    found.push((setting, member.ok_or_else(|| A::Error::custom("wrong type"))?));
                }
                None if body == SettingsBody::Registration => {}
                None => return Err(A::Error::custom(format!("unknown field `{name}`"))),
            }
        }
        let is_missing = |setting: &&ClientSetting| {
            body.requires(setting) && !found.iter().any(|(present, _)| present.name == setting.name)
        };
        match ClientSetting::of_operators().find(is_missing) {
            Some(setting) => Err(A::Error::custom(format!("missing field `{}`", setting.name))),
            None => Ok(SettingMembers(found)),
        }
    }
}
