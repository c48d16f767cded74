use serde::Deserialize;

use super::value::{MINUTE, SECOND, Span, YEAR, ZERO};
use crate::domain::sessions::SessionLimits;
use crate::settings::SettingsError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSessions {
    idle_timeout: Span,
    max_lifetime: Span,
    refresh_grace: Span,
}

impl WrittenSessions {
    pub(super) fn check(self) -> Result<SessionLimits, SettingsError> {
        let limits = SessionLimits {
            idle_timeout: self.idle_timeout.delta("sessions.idle_timeout", SECOND, 10 * YEAR)?,
            max_lifetime: self.max_lifetime.delta("sessions.max_lifetime", SECOND, 10 * YEAR)?,
            grace: self.refresh_grace.delta("sessions.refresh_grace", ZERO, MINUTE)?,
        };
        if limits.idle_timeout > limits.max_lifetime {
            return Err(SettingsError::new("sessions.idle_timeout", "must not exceed sessions.max_lifetime"));
        }
        Ok(limits)
    }
}
