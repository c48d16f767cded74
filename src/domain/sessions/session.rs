use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};

use super::GrantedAccess;
use crate::domain::{ClientId, SessionId, Thumbprint, UserId, scope};

/// One login that goes on: who, for which client, and how far its refresh token has moved.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    pub user_id: UserId,
    pub client_id: ClientId,
    /// The generation of the one refresh token that may be used next.
    pub generation: i64,
    /// How often the previous token was answered again within the grace.
    pub reuse_count: i64,
    pub auth_time: DateTime<Utc>,
    /// How the user proved who they are (RFC 8176), space separated.
    pub amr: String,
    pub created_at: DateTime<Utc>,
    /// The last login or refresh.
    pub last_used_at: DateTime<Utc>,
    /// The absolute end. Refreshing never moves it.
    pub expires_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub ip: Option<IpAddr>,
    pub user_agent: Option<String>,
    /// The browser session it came from, of a client's session.
    pub parent: Option<SessionId>,
    /// What was granted to the client. `None` in sessions of `/auth`, whose tokens are for whatever the user's roles give.
    pub granted: Option<GrantedAccess>,
    /// The master key its present refresh token was made under, where that is recorded.
    pub master_key_id: Option<String>,
    /// The key its refresh tokens are bound to, of a public client that has shown one (RFC 9449 section 5).
    pub dpop_jkt: Option<Thumbprint>,
}

/// How long sessions live and how forgiving refresh is.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    pub idle_timeout: TimeDelta,
    pub max_lifetime: TimeDelta,
    /// How long the token before the current one still gets the same successor.
    pub grace: TimeDelta,
}

impl SessionLimits {
    /// Answers given to one replayed token; more is a loop or an attack.
    pub const MAX_REUSES: i64 = 20;

    /// A session unused since before this moment is over.
    pub fn idle_since(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - self.idle_timeout
    }
}

/// What to make of a genuine refresh token that did not advance its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the current token after all (another node has just rolled back, say): try again.
    Current,
    /// The parent of the current token, within the grace: the same successor, once more.
    Replay,
    /// An older token, or the parent too late or too often: stolen or leaked.
    Reuse,
    /// Ahead of the database: the database was set back.
    Ahead,
    /// Issued to another client.
    WrongClient,
    /// The session is revoked or over.
    Over,
}

impl Session {
    /// How sure it is who signed in (`acr`; OpenID Connect Core section 2): by a password, and nothing else. No standard names that, so it
    /// is the lowest level that is more than nothing.
    pub const ACR: &'static str = "1";

    /// Neither revoked, nor idle for too long, nor past its absolute end.
    pub fn is_live(&self, limits: &SessionLimits, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at > now && self.last_used_at > limits.idle_since(now)
    }

    /// Whether it goes on when the user signs out of the browser (OpenID Connect Core section 11).
    pub fn is_offline(&self) -> bool {
        self.granted.as_ref().is_some_and(|grant| grant.scopes.contains(scope::OFFLINE_ACCESS))
    }

    /// Whether its refresh token is of use to somebody who has shown this key, or none.
    pub fn is_open_to(&self, shown: Option<&Thumbprint>) -> bool {
        self.dpop_jkt.as_ref().is_none_or(|bound| shown == Some(bound))
    }

    /// When the refresh token issued at `now` dies if it is not used.
    pub fn refresh_expires_at(&self, limits: &SessionLimits, now: DateTime<Utc>) -> DateTime<Utc> {
        self.expires_at.min(now + limits.idle_timeout)
    }

    /// Judges a genuine token of this session by its generation. The grace counts from the last use, or from when the database
    /// was back if it was away since: who could get no answer cannot have come in time.
    pub fn judge(
        &self,
        client: &ClientId,
        presented: i64,
        limits: &SessionLimits,
        database_back_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Verdict {
        if self.client_id != *client {
            return Verdict::WrongClient;
        }
        if !self.is_live(limits, now) {
            return Verdict::Over;
        }
        // Another request may have advanced the session after this one looked at the clock.
        let since_used = (now - self.last_used_at.max(database_back_at)).max(TimeDelta::zero());
        let within_grace = since_used < limits.grace && self.reuse_count < SessionLimits::MAX_REUSES;
        match self.generation - presented {
            0 => Verdict::Current,
            1 if within_grace => Verdict::Replay,
            behind if behind > 0 => Verdict::Reuse,
            _ => Verdict::Ahead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER_AWAY: DateTime<Utc> = DateTime::<Utc>::MIN_UTC;
    const LIMITS: SessionLimits = SessionLimits {
        idle_timeout: TimeDelta::days(7),
        max_lifetime: TimeDelta::days(30),
        grace: TimeDelta::seconds(10),
    };

    fn session(generation: i64) -> Session {
        let start = DateTime::UNIX_EPOCH;
        Session {
            id: SessionId::new(start),
            user_id: UserId::random(),
            client_id: ClientId::first_party(),
            generation,
            reuse_count: 0,
            auth_time: start,
            amr: "pwd".to_owned(),
            created_at: start,
            last_used_at: start,
            expires_at: start + LIMITS.max_lifetime,
            revoked_at: None,
            ip: None,
            user_agent: None,
            parent: None,
            granted: None,
            master_key_id: None,
            dpop_jkt: None,
        }
    }

    fn judge(session: &Session, presented: i64, seconds: i64) -> Verdict {
        let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        session.judge(&ClientId::first_party(), presented, &LIMITS, NEVER_AWAY, now)
    }

    #[test]
    fn the_parent_is_forgiven_within_the_grace_and_only_then() {
        let session = session(5);
        assert_eq!(judge(&session, 4, 0), Verdict::Replay);
        assert_eq!(judge(&session, 4, 9), Verdict::Replay);
        assert_eq!(judge(&session, 4, 10), Verdict::Reuse);
        assert_eq!(judge(&session, 3, 0), Verdict::Reuse);
        let worn = Session { reuse_count: SessionLimits::MAX_REUSES, ..session };
        assert_eq!(judge(&worn, 4, 1), Verdict::Reuse);
    }

    #[test]
    fn without_grace_even_the_same_instant_is_reuse() {
        let none = SessionLimits { grace: TimeDelta::zero(), ..LIMITS };
        for early in [0, 1, 1000] {
            // Also when the clock was read a moment before another request advanced the session.
            let now = DateTime::UNIX_EPOCH - TimeDelta::microseconds(early);
            let verdict = session(5).judge(&ClientId::first_party(), 4, &none, NEVER_AWAY, now);
            assert_eq!(verdict, Verdict::Reuse);
        }
    }

    #[test]
    fn the_grace_waits_for_a_database_that_was_away() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let judge = |presented, back_at| {
            session(5).judge(&ClientId::first_party(), presented, &LIMITS, at(back_at), at(35))
        };
        assert_eq!(judge(4, 30), Verdict::Replay);
        assert_eq!(judge(4, 25), Verdict::Reuse);
        assert_eq!(judge(3, 30), Verdict::Reuse, "an older one is no lost answer");
    }

    #[test]
    fn a_token_from_the_future_means_the_database_was_set_back() {
        assert_eq!(judge(&session(5), 6, 0), Verdict::Ahead);
        assert_eq!(judge(&session(5), 5, 0), Verdict::Current);
    }

    #[test]
    fn over_is_over_for_every_generation() {
        let revoked = Session { revoked_at: Some(DateTime::UNIX_EPOCH), ..session(5) };
        assert_eq!(judge(&revoked, 4, 1), Verdict::Over);
        assert_eq!(judge(&session(5), 4, 7 * 86_400), Verdict::Over);
        let long_used = Session { last_used_at: DateTime::UNIX_EPOCH + TimeDelta::days(29), ..session(5) };
        assert_eq!(judge(&long_used, 5, 30 * 86_400), Verdict::Over);
    }

    #[test]
    fn another_clients_token_is_told_apart_first() {
        let other = ClientId::new_unchecked("other".to_owned());
        let verdict = session(5).judge(&other, 1, &LIMITS, NEVER_AWAY, DateTime::UNIX_EPOCH);
        assert_eq!(verdict, Verdict::WrongClient);
    }

    #[test]
    fn the_absolute_end_caps_the_refresh_tokens_life() {
        let late = DateTime::UNIX_EPOCH + TimeDelta::days(28);
        assert_eq!(session(1).refresh_expires_at(&LIMITS, late), session(1).expires_at);
        let early = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        assert_eq!(session(1).refresh_expires_at(&LIMITS, early), early + LIMITS.idle_timeout);
    }
}
