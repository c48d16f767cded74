use super::ClientId;

/// A name to show: trimmed, 1 to 200 characters, no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 200 characters and no control characters")]
pub struct InvalidName;

impl DisplayName {
    pub fn parse(typed: &str) -> Result<Self, InvalidName> {
        let name = typed.trim();
        let length = name.chars().take(201).count();
        if (1..=200).contains(&length) && !name.chars().any(char::is_control) {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidName)
        }
    }

    pub fn new_unchecked(stored: String) -> Self {
        Self(stored)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A client id is a valid name: 1 to 64 printable ASCII characters.
impl From<&ClientId> for DisplayName {
    fn from(id: &ClientId) -> Self {
        Self(id.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_bounded_and_printable() {
        assert_eq!(DisplayName::parse("  Ada L. ").unwrap().as_str(), "Ada L.");
        for bad in ["", "   ", "a\u{1b}[31mb", "a\nb", &"x".repeat(201)] {
            assert_eq!(DisplayName::parse(bad), Err(InvalidName), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_is_taken_shows_on_one_line(typed in any::<String>()) {
            if let Ok(name) = DisplayName::parse(&typed) {
                prop_assert!(!name.as_str().chars().any(char::is_control));
                prop_assert!((1..=200).contains(&name.as_str().chars().count()));
                prop_assert_eq!(DisplayName::parse(name.as_str()), Ok(name.clone()));
            }
        }
    }
}
