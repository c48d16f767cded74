//! The types that a setting of a client can have. A new type of setting is one more `SettingType` here.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::{
    ClientKeys, GrantType, InvalidValue, LoginUri, LogoutUri, PlainValue, RedirectUri, SettingType, Shape,
    TextShape,
};
use crate::domain::{DisplayName, Scopes};

/// `None` for a setting without a value.
impl<T: SettingType> SettingType for Option<T> {
    const SHAPE: Shape = T::SHAPE;

    fn parse(plain: PlainValue) -> Result<Self, InvalidValue> {
        match plain {
            PlainValue::Null => Ok(None),
            plain => T::parse(plain).map(Some),
        }
    }

    fn to_plain(&self) -> PlainValue {
        self.as_ref().map_or(PlainValue::Null, T::to_plain)
    }

    fn count(&self) -> usize {
        self.as_ref().map_or(0, T::count)
    }
}

impl SettingType for bool {
    const SHAPE: Shape = Shape::Flag;

    fn parse(plain: PlainValue) -> Result<Self, InvalidValue> {
        match plain {
            PlainValue::Flag(flag) => Ok(flag),
            _ => Err(InvalidValue::of_shape()),
        }
    }

    fn to_plain(&self) -> PlainValue {
        PlainValue::Flag(*self)
    }
}

impl SettingType for TimeDelta {
    const SHAPE: Shape = Shape::Seconds;

    fn parse(plain: PlainValue) -> Result<Self, InvalidValue> {
        match plain {
            PlainValue::Seconds(seconds) => Ok(Self::seconds(seconds.into())),
            _ => Err(InvalidValue::of_shape()),
        }
    }

    fn to_plain(&self) -> PlainValue {
        PlainValue::Seconds(u32::try_from(self.num_seconds()).unwrap_or(u32::MAX))
    }
}

impl SettingType for DisplayName {
    const SHAPE: Shape = Shape::Text(TextShape { max_length: Some(200), ..TextShape::free("NAME") });

    fn parse(plain: PlainValue) -> Result<Self, InvalidValue> {
        Self::parse(&text(plain)?).map_err(InvalidValue::new)
    }

    fn to_plain(&self) -> PlainValue {
        PlainValue::Text(self.as_str().to_owned())
    }
}

impl SettingType for LogoutUri {
    const SHAPE: Shape = Shape::Text(TextShape::free("URI"));

    fn parse(plain: PlainValue) -> Result<Self, InvalidValue> {
        Self::parse(&text(plain)?).map_err(InvalidValue::new)
    }

    fn to_plain(&self) -> PlainValue {
        PlainValue::Text(self.as_str().to_owned())
    }
}

impl SettingType for LoginUri {
    const SHAPE: Shape = Shape::Text(TextShape::free("URI"));

    fn parse(plain: PlainValue) -> Result<Self, InvalidValue> {
        Self::parse(&text(plain)?).map_err(InvalidValue::new)
    }

    fn to_plain(&self) -> PlainValue {
        PlainValue::Text(self.as_str().to_owned())
    }
}

impl SettingType for Scopes {
    const SHAPE: Shape = Shape::Scopes;

    fn parse(plain: PlainValue) -> Result<Self, InvalidValue> {
        let invalid = |_| InvalidValue::new("contains a malformed scope (RFC 6749 section 3.3)");
        Self::parse(&text(plain)?).map_err(invalid)
    }

    fn to_plain(&self) -> PlainValue {
        PlainValue::Text(self.to_string())
    }

    fn count(&self) -> usize {
        self.len()
    }
}

impl SettingType for BTreeSet<GrantType> {
    const SHAPE: Shape =
        Shape::List(TextShape { choices: Some(GrantType::TEXTS), ..TextShape::free("GRANT_TYPE") });

    fn parse(plain: PlainValue) -> Result<Self, InvalidValue> {
        let unknown = || InvalidValue::new("unsupported grant type");
        list(plain)?.iter().map(|name| GrantType::parse(name).ok_or_else(unknown)).collect()
    }

    fn to_plain(&self) -> PlainValue {
        PlainValue::List(self.iter().map(|grant| grant.as_str().to_owned()).collect())
    }
}

impl SettingType for Vec<RedirectUri> {
    const SHAPE: Shape = Shape::List(TextShape::free("URI"));

    fn parse(plain: PlainValue) -> Result<Self, InvalidValue> {
        let parse = |(index, uri): (usize, &String)| {
            RedirectUri::parse(uri)
                .map_err(|error| InvalidValue { index: Some(index), ..InvalidValue::new(error) })
        };
        list(plain)?.iter().enumerate().map(parse).collect()
    }

    fn to_plain(&self) -> PlainValue {
        PlainValue::List(self.iter().map(|uri| uri.as_str().to_owned()).collect())
    }

    fn count(&self) -> usize {
        self.len()
    }
}

/// Audiences, which `Client::check` looks at.
impl SettingType for Vec<String> {
    const SHAPE: Shape = Shape::List(TextShape::free("AUDIENCE"));

    fn parse(plain: PlainValue) -> Result<Self, InvalidValue> {
        list(plain)
    }

    fn to_plain(&self) -> PlainValue {
        PlainValue::List(self.clone())
    }

    fn count(&self) -> usize {
        self.len()
    }
}

impl SettingType for ClientKeys {
    const SHAPE: Shape = Shape::KeySet;

    fn parse(plain: PlainValue) -> Result<Self, InvalidValue> {
        match plain {
            PlainValue::Keys(keys) => Ok(keys),
            _ => Err(InvalidValue::of_shape()),
        }
    }

    fn to_plain(&self) -> PlainValue {
        PlainValue::Keys(self.clone())
    }

    fn count(&self) -> usize {
        self.len()
    }
}

fn text(plain: PlainValue) -> Result<String, InvalidValue> {
    match plain {
        PlainValue::Text(text) => Ok(text),
        _ => Err(InvalidValue::of_shape()),
    }
}

fn list(plain: PlainValue) -> Result<Vec<String>, InvalidValue> {
    match plain {
        PlainValue::List(list) => Ok(list),
        _ => Err(InvalidValue::of_shape()),
    }
}
