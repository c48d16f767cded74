use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// Access tokens under one key that expire in the same minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuedTokens {
    pub tokens: i64,
    pub last_expires_at: DateTime<Utc>,
}

impl IssuedTokens {
    /// The minute a time falls in.
    pub fn minute(at: DateTime<Utc>) -> DateTime<Utc> {
        at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at)
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            last_expires_at: self.last_expires_at.max(other.last_expires_at),
        }
    }
}

/// What revoking a key would cost at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impact {
    /// Sessions that go on; each gets a token under another key at its next refresh.
    pub live_sessions: i64,
    /// Tokens under the key that are not expired, to the minute, as far as the nodes have told.
    pub valid_tokens: i64,
    pub last_expires_at: Option<DateTime<Utc>>,
}
