use chrono::TimeDelta;
use serde::Deserialize;

use super::value::{DAY, SECOND, Span, ZERO};
use crate::domain::passwords::{SourcePolicy, ThrottlePolicy};
use crate::settings::SettingsError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenLogin {
    pub(super) registration: bool,
    free_attempts: i64,
    max_backoff: Span,
    hard_stop: i64,
    source_failures: i64,
    source_window: Span,
    source_registrations: i64,
    registration_window: Span,
}

impl WrittenLogin {
    pub(super) fn throttle(&self) -> Result<ThrottlePolicy, SettingsError> {
        if self.free_attempts < 1 {
            return Err(SettingsError::new("login.free_attempts", "must be at least 1"));
        }
        if self.hard_stop < self.free_attempts {
            return Err(SettingsError::new("login.hard_stop", "must not be less than login.free_attempts"));
        }
        Ok(ThrottlePolicy {
            free_attempts: self.free_attempts,
            max_backoff: self.max_backoff.delta("login.max_backoff", ZERO, DAY)?,
            hard_stop: self.hard_stop,
        })
    }

    pub(super) fn source_failures(&self) -> Result<Option<SourcePolicy>, SettingsError> {
        let window = self.source_window.delta("login.source_window", SECOND, DAY)?;
        source_policy("login.source_failures", self.source_failures, window)
    }

    pub(super) fn source_registrations(&self) -> Result<Option<SourcePolicy>, SettingsError> {
        let window = self.registration_window.delta("login.registration_window", SECOND, DAY)?;
        source_policy("login.source_registrations", self.source_registrations, window)
    }
}

/// 0 means: no limit.
fn source_policy(
    key: &'static str,
    attempts: i64,
    window: TimeDelta,
) -> Result<Option<SourcePolicy>, SettingsError> {
    match attempts {
        0 => Ok(None),
        1..=1_000_000 => Ok(Some(SourcePolicy { attempts, window })),
        _ => Err(SettingsError::new(key, "must be between 0 (no limit) and 1000000")),
    }
}
