use chrono::TimeDelta;

/// How failed password checks slow down further ones.
#[derive(Clone, Copy, Debug)]
pub struct ThrottlePolicy {
    /// Failures in a row that cost nothing.
    pub attempts_before_backoff: i64,
    pub max_backoff: TimeDelta,
    /// Failures in a row after which no check is made at all, until the password is set anew (NIST SP 800-63B-4 section
    /// 3.2.2 allows 100).
    pub lockout_threshold: i64,
}

impl ThrottlePolicy {
    /// How long nobody may try after so many failures in a row: nothing while they are free, then 1 s, doubling, up to
    /// the configured most.
    pub fn backoff(&self, failures: i64) -> TimeDelta {
        match failures - self.attempts_before_backoff {
            past if past < 0 => TimeDelta::zero(),
            past => TimeDelta::seconds(1 << past.min(30)).min(self.max_backoff),
        }
    }
}

/// How many attempts one source network has: `attempts` at once, and one more after each interval. A leaky bucket, so that a
/// pause gives attempts back bit by bit and nobody waits for a window to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkPolicy {
    pub attempts: i64,
    /// In which all of them come back.
    pub window: TimeDelta,
}

impl NetworkPolicy {
    /// After how many microseconds one attempt comes back.
    pub fn interval_us(&self) -> i64 {
        self.window.num_microseconds().unwrap_or(i64::MAX) / self.attempts.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_from_the_last_free_failure_up_to_its_most() {
        let policy = ThrottlePolicy {
            attempts_before_backoff: 5,
            max_backoff: TimeDelta::minutes(15),
            lockout_threshold: 100,
        };
        let seconds: Vec<i64> =
            [0, 4, 5, 6, 7, 14, 15, 99, i64::MAX].map(|n| policy.backoff(n).num_seconds()).to_vec();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 512, 900, 900, 900]);
    }
}
