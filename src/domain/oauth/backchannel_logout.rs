use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{ClientId, SessionId, UserId};

/// News for a client: a session of its has ended (OpenID Connect Back-Channel Logout).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackchannelLogout {
    pub session: SessionId,
    pub user: UserId,
    pub client: ClientId,
    /// How often somebody has set out to tell it, this time included.
    pub attempts: i64,
    /// When the session ended.
    pub created_at: DateTime<Utc>,
}

impl BackchannelLogout {
    /// Who set out to tell a client is done by then, or has gone down.
    pub const LEASE: TimeDelta = TimeDelta::seconds(30);
    /// Who has not heard by then will not.
    pub const KEPT_FOR: TimeDelta = TimeDelta::hours(24);

    const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(5);
    const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

    /// When to try again after an attempt that failed: after 5 s, 10 s, 20 s … 1 h. `None` when it is too late.
    pub fn next_attempt(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let doublings = (self.attempts - 1).clamp(0, 20);
        let next = now + (Self::FIRST_PAUSE * (1 << doublings)).min(Self::LONGEST_PAUSE);
        (next < self.created_at + Self::KEPT_FOR).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_does_not_answer_is_asked_ever_less_often_for_a_day() {
        let ended = DateTime::UNIX_EPOCH;
        let (session, user) = (SessionId::new(ended), UserId::random());
        let client = ClientId::parse("a").unwrap();
        let mut notice = BackchannelLogout { session, user, client, attempts: 0, created_at: ended };
        let (mut now, mut pauses) = (ended, Vec::new());
        loop {
            notice.attempts += 1;
            let Some(next) = notice.next_attempt(now) else { break };
            pauses.push((next - now).num_seconds());
            now = next;
        }
        assert_eq!(pauses[..11], [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600]);
        assert!(pauses[11..].iter().all(|pause| *pause == 3600));
        assert!(now < ended + BackchannelLogout::KEPT_FOR && now > ended + TimeDelta::hours(22));
        notice.attempts = i64::MAX;
        assert_eq!(notice.next_attempt(ended), Some(ended + TimeDelta::hours(1)));
    }
}
