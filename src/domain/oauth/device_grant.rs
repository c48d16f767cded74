use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::passwords::NetworkPolicy;
use crate::domain::sessions::GrantedAccess;
use crate::domain::{ClientId, SessionId};

/// A device that waits for somebody to let it in (RFC 8628), as it is remembered. Its codes are not: only what they are known by.
#[derive(Clone, Debug)]
pub struct DeviceGrant {
    /// SHA-256 of the code the device asks with.
    pub digest: Vec<u8>,
    /// A MAC of the code that people type.
    pub user_code: Vec<u8>,
    pub client_id: ClientId,
    /// What it asks for.
    pub granted: GrantedAccess,
    /// The session it will become.
    pub session: SessionId,
    /// The browser session of who has let it in.
    pub browser: Option<SessionId>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub denied_at: Option<DateTime<Utc>>,
    pub consumed_at: Option<DateTime<Utc>>,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceStatus {
    Waiting,
    Allowed,
    Denied,
    Expired,
    /// It has got its tokens.
    Used,
}

impl DeviceGrant {
    /// How long somebody has to find their telephone and type a code.
    pub const LIFE: TimeDelta = TimeDelta::minutes(10);
    /// How long a device waits before it asks again, and how much longer each time it asks too soon (RFC 8628 section 3.5).
    pub const INTERVAL: TimeDelta = TimeDelta::seconds(5);
    /// How many wrong codes one network may type, where no limit of sources is set: there are 20^8 of them.
    pub const GUESSES: NetworkPolicy = NetworkPolicy { attempts: 100, window: TimeDelta::minutes(15) };
    /// How much too soon is not, for clocks and networks are not that exact.
    pub const TOLERANCE: TimeDelta = TimeDelta::seconds(1);

    pub fn status(&self, now: DateTime<Utc>) -> DeviceStatus {
        match self {
            Self { consumed_at: Some(_), .. } => DeviceStatus::Used,
            Self { denied_at: Some(_), .. } => DeviceStatus::Denied,
            Self { expires_at, .. } if *expires_at <= now => DeviceStatus::Expired,
            Self { browser: Some(_), .. } => DeviceStatus::Allowed,
            _ => DeviceStatus::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DeviceStatus::{Allowed, Denied, Expired, Used, Waiting};
    use super::*;

    #[test]
    fn what_was_decided_stays_and_what_was_not_expires() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let waiting = DeviceGrant {
            digest: vec![],
            user_code: vec![],
            client_id: ClientId::new_unchecked("tv".to_owned()),
            granted: GrantedAccess::default(),
            session: SessionId::new(at(0)),
            browser: None,
            created_at: at(0),
            expires_at: at(600),
            denied_at: None,
            consumed_at: None,
        };
        let allowed = DeviceGrant { browser: Some(SessionId::new(at(1))), ..waiting.clone() };
        let denied = DeviceGrant { denied_at: Some(at(1)), ..waiting.clone() };
        let used = DeviceGrant { consumed_at: Some(at(1)), ..allowed.clone() };
        for (grant, before, after) in [
            (waiting, Waiting, Expired),
            (allowed, Allowed, Expired),
            (denied, Denied, Denied),
            (used, Used, Used),
        ] {
            assert_eq!((grant.status(at(599)), grant.status(at(600))), (before, after));
        }
    }
}
