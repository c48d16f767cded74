use chrono::TimeDelta;
use serde::Deserialize;

use super::value::{DAY, SECOND, Span, ZERO};
use crate::domain::passwords::{NetworkPolicy, ThrottlePolicy};
use crate::settings::SettingsError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenLogin {
    pub(super) registration: bool,
    attempts_before_backoff: i64,
    max_backoff: Span,
    lockout_threshold: i64,
    max_failures_per_network: i64,
    network_failure_window: Span,
    max_registrations_per_network: i64,
    network_registration_window: Span,
}

impl WrittenLogin {
    pub(super) fn throttle(&self) -> Result<ThrottlePolicy, SettingsError> {
        if self.attempts_before_backoff < 1 {
            return Err(SettingsError::new("login.attempts_before_backoff", "must be at least 1"));
        }
        if self.lockout_threshold < self.attempts_before_backoff {
            return Err(SettingsError::new(
                "login.lockout_threshold",
                "must not be less than login.attempts_before_backoff",
            ));
        }
        Ok(ThrottlePolicy {
            attempts_before_backoff: self.attempts_before_backoff,
            max_backoff: self.max_backoff.delta("login.max_backoff", ZERO, DAY)?,
            lockout_threshold: self.lockout_threshold,
        })
    }

    pub(super) fn max_failures_per_network(&self) -> Result<Option<NetworkPolicy>, SettingsError> {
        let window = self.network_failure_window.delta("login.network_failure_window", SECOND, DAY)?;
        network_policy("login.max_failures_per_network", self.max_failures_per_network, window)
    }

    pub(super) fn max_registrations_per_network(&self) -> Result<Option<NetworkPolicy>, SettingsError> {
        let window =
            self.network_registration_window.delta("login.network_registration_window", SECOND, DAY)?;
        network_policy("login.max_registrations_per_network", self.max_registrations_per_network, window)
    }
}

/// 0 means: no limit.
fn network_policy(
    key: &'static str,
    attempts: i64,
    window: TimeDelta,
) -> Result<Option<NetworkPolicy>, SettingsError> {
    match attempts {
        0 => Ok(None),
        1..=1_000_000 => Ok(Some(NetworkPolicy { attempts, window })),
        _ => Err(SettingsError::new(key, "must be between 0 (no limit) and 1000000")),
    }
}
