use std::fmt;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Email, PasswordHash, Roles};

/// A user's identifier and the `sub` of their tokens; random, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub Uuid);

impl UserId {
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    Active,
    Disabled,
}

impl UserStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Disabled].into_iter().find(|status| status.as_str() == text)
    }
}

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

    pub fn from_row(stored: String) -> Self {
        Self(stored)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An account.
#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    pub email: Email,
    pub email_verified: bool,
    pub name: Option<DisplayName>,
    pub password_hash: PasswordHash,
    /// Moves when the password itself changes, not when its hash is made stronger.
    pub password_changed_at: DateTime<Utc>,
    pub roles: Roles,
    pub status: UserStatus,
    pub created_at: DateTime<Utc>,
    pub last_login_at: Option<DateTime<Utc>>,
}

impl User {
    /// A disabled user neither logs in nor goes on.
    pub fn may_act(&self) -> bool {
        self.status == UserStatus::Active
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
