use chrono::{DateTime, Utc};

use super::Roles;
use crate::domain::passwords::PasswordHash;
use crate::domain::{DisplayName, Email, UserId};

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
