use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::{ClientId, UserId};

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user, by their token.
    User(UserId),
    /// A service account, by its token; or a client that has proved who it is.
    Client(ClientId),
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
            Self::Client(id) => write!(f, "client:{id}"),
            Self::Operator => f.write_str("operator:cli"),
            Self::Schedule => f.write_str("chancery:schedule"),
            Self::Anonymous => f.write_str("anonymous"),
        }
    }
}

/// Where something came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditContext {
    pub actor: Actor,
    pub ip: Option<IpAddr>,
    pub request_id: Option<Uuid>,
}

impl AuditContext {
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

/// The stable names of events: alarms are built on them. `docs/audit.md` is the same list for readers.
macro_rules! events {
    ($($(#[$about:meta])* $variant:ident $name:literal),+ $(,)?) => {
        /// What the audit table records.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum AuditEvent { $($(#[$about])* $variant),+ }

        impl AuditEvent {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

events! {
    KeysCreated "keys_created",
    KeysRotated "keys_rotated",
    KeysRotationForced "keys_rotation_forced",
    /// A key was taken out at once.
    KeyRevoked "key_revoked",
    /// All keys were revoked and all sessions ended.
    AllSessionsRevoked "all_sessions_revoked",
    /// A key made elsewhere was taken in.
    KeyImported "key_imported",
    /// A waiting key was taken back before it signed anything.
    KeyWithdrawn "key_withdrawn",
    /// A public half that had been altered was written anew.
    KeyRepaired "key_repaired",
    /// A previous key has left the JWK Set, its last token being dead.
    KeyRetired "key_retired",
    /// Private keys were sealed anew under the first master key.
    KeysRewrapped "keys_rewrapped",
    /// A key was published for a drill with a service, or taken back after it.
    ProbeKey "probe_key",
    UserCreated "user_created",
    /// Somebody registered with an address that has an account.
    RegistrationDuplicate "registration_duplicate",
    UserUpdated "user_updated",
    UserDeleted "user_deleted",
    UserDisabled "user_disabled",
    UserEnabled "user_enabled",
    ClientCreated "client_created",
    ClientUpdated "client_updated",
    ClientDeleted "client_deleted",
    ClientSecretRotated "client_secret_rotated",
    /// An application registered itself, or changed its registration.
    ClientRegistered "client_registered",
    /// One that had registered itself took that back, or nobody used it.
    ClientWithdrawn "client_withdrawn",
    PasswordChanged "password_changed",
    SessionsEnded "sessions_ended",
    /// A refresh token older than the grace came back: the session was revoked.
    RefreshReuse "refresh_reuse",
    /// A refresh token ahead of the database came back, as after a restored backup: the session was revoked.
    RefreshAhead "refresh_ahead",
    /// A refresh token was shown by a client it was not issued to.
    RefreshWrongClient "refresh_wrong_client",
    LoginSucceeded "login_succeeded",
    /// A password was checked and was wrong, or belonged to nobody, or to somebody disabled.
    LoginFailed "login_failed",
    /// The failures of an account have reached the number after which nothing is checked any more.
    AccountLocked "account_locked",
    /// Somebody with a session did not know the password they had to prove.
    PasswordProofFailed "password_proof_failed",
    LoggedOut "logged_out",
    /// A user let a client have something.
    ConsentGiven "consent_given",
    /// A user took that back.
    ConsentWithdrawn "consent_withdrawn",
    /// A user let a device in.
    DeviceAllowed "device_allowed",
    /// A user turned a device away.
    DeviceDenied "device_denied",
    /// Somebody typed a code that is no device's.
    UserCodeRejected "user_code_rejected",
    /// A client got tokens for a user who had signed in.
    SessionStarted "session_started",
    /// A code came a second time: the session it had become was revoked.
    AuthorizationCodeReused "authorization_code_reused",
    /// Somebody gave a client's name and not its secret.
    ClientRefused "client_refused",
    /// A good token without the scope an operator's route needs.
    AccessDenied "access_denied",
    /// A browser was sent by another site, where cookies were at stake.
    OriginRefused "origin_refused",
}

impl AuditEvent {
    /// What an operator should look at.
    pub fn is_alarm(self) -> bool {
        matches!(
            self,
            Self::KeysRotationForced
                | Self::KeyRevoked
                | Self::AllSessionsRevoked
                | Self::KeyRepaired
                | Self::RefreshReuse
                | Self::RefreshAhead
                | Self::RefreshWrongClient
                | Self::AuthorizationCodeReused
                | Self::AccountLocked
        )
    }

    /// What anybody can cause as often as they like; only so many of these are kept.
    pub fn is_unauthenticated(self) -> bool {
        matches!(
            self,
            Self::RegistrationDuplicate
                | Self::ClientRegistered
                | Self::ClientWithdrawn
                | Self::LoginFailed
                | Self::PasswordProofFailed
                | Self::AccessDenied
                | Self::OriginRefused
                | Self::RefreshWrongClient
                | Self::ClientRefused
                | Self::SessionStarted
                | Self::UserCodeRejected
        )
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
    /// The kid, user, client or session it was done to.
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
    /// From this address.
    pub source: Option<String>,
    /// At this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_events_are_these() {
        let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit.md"));
        let documented: Vec<(&str, bool)> = page
            .lines()
            .filter_map(|line| Some((line.strip_prefix("| `")?.split_once('`')?.0, line.contains("| yes |"))))
            .collect();
        let ours: Vec<(&str, bool)> =
            AuditEvent::ALL.iter().map(|event| (event.as_str(), event.is_unauthenticated())).collect();
        assert_eq!(documented, ours);
    }
}
