use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::UserId;

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user, by their token.
    User(UserId),
    /// Whoever may run the command line on a node.
    Operator,
    /// Chancery itself, by schedule.
    Schedule,
    /// Nobody who has proved who they are.
    Anonymous,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Operator => f.write_str("operator:cli"),
            Self::Schedule => f.write_str("chancery:schedule"),
            Self::Anonymous => f.write_str("anonymous"),
        }
    }
}

/// Where something came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub actor: Actor,
    pub ip: Option<IpAddr>,
    pub request_id: Option<Uuid>,
}

impl Origin {
    /// What a person on a node's command line does.
    pub fn operator() -> Self {
        Self { actor: Actor::Operator, ip: None, request_id: None }
    }

    /// What the background task does.
    pub fn schedule() -> Self {
        Self { actor: Actor::Schedule, ip: None, request_id: None }
    }
}

/// Why somebody did something out of the ordinary: 1 to 500 characters, kept in the audit table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reason has 1 to 500 characters and no control characters")]
pub struct InvalidReason;

impl Reason {
    pub fn parse(typed: &str) -> Result<Self, InvalidReason> {
        let reason = typed.trim();
        let length = reason.chars().take(501).count();
        if (1..=500).contains(&length) && !reason.chars().any(char::is_control) {
            Ok(Self(reason.to_owned()))
        } else {
            Err(InvalidReason)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the audit table records. The names are stable: alarms are built on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditEvent {
    KeysCreated,
    KeysRotated,
    KeysRotationForced,
    /// A key was taken out at once.
    KeyRevoked,
    /// A key made elsewhere was taken in.
    KeyImported,
    /// A waiting key was taken back before it signed anything.
    KeyWithdrawn,
    /// A public half that had been altered was written anew.
    KeyMended,
    /// A previous key has left the JWK Set, its last token being dead.
    KeyRetired,
    /// Private keys were sealed anew under the first master key.
    KeysRewrapped,
    /// A key was published for a drill with a service, or taken back after it.
    ProbeKey,
    UserCreated,
    /// Somebody registered with an address that has an account.
    SignUpRepeated,
    UserUpdated,
    UserDeleted,
    UserDisabled,
    UserEnabled,
    PasswordChanged,
    SessionsEnded,
    /// A refresh token older than the grace came back: the session was revoked.
    RefreshReuse,
    /// A refresh token ahead of the database came back, as after a restored backup: the session was revoked.
    RefreshAhead,
    /// A refresh token was shown by a client it was not issued to.
    RefreshWrongClient,
}

impl AuditEvent {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeysCreated => "keys_created",
            Self::KeysRotated => "keys_rotated",
            Self::KeysRotationForced => "keys_rotation_forced",
            Self::KeyRevoked => "key_revoked",
            Self::KeyImported => "key_imported",
            Self::KeyWithdrawn => "key_withdrawn",
            Self::KeyMended => "key_mended",
            Self::KeyRetired => "key_retired",
            Self::KeysRewrapped => "keys_rewrapped",
            Self::ProbeKey => "probe_key",
            Self::UserCreated => "user_created",
            Self::SignUpRepeated => "sign_up_repeated",
            Self::UserUpdated => "user_updated",
            Self::UserDeleted => "user_deleted",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::PasswordChanged => "password_changed",
            Self::SessionsEnded => "sessions_ended",
            Self::RefreshReuse => "refresh_reuse",
            Self::RefreshAhead => "refresh_ahead",
            Self::RefreshWrongClient => "refresh_wrong_client",
        }
    }
}

/// One recorded event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub event: String,
    pub actor: String,
    /// The address it came from.
    pub source: Option<String>,
    pub request_id: Option<Uuid>,
    /// The kid, user or session it was done to.
    pub subject: String,
    /// A JSON object.
    pub detail: Option<String>,
}

/// Which events are looked for. What is left out does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub event: Option<String>,
    pub actor: Option<String>,
    pub subject: Option<String>,
    /// At this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
}
