use serde::Deserialize;

use super::value::{MINUTE, SECOND, Span, YEAR, ZERO};
use crate::domain::sessions::SessionLimits;
use crate::settings::SettingsError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSessions {
    idle_life: Span,
    absolute_life: Span,
    refresh_grace: Span,
}

impl WrittenSessions {
    pub(super) fn check(self) -> Result<SessionLimits, SettingsError> {
        let limits = SessionLimits {
            idle_life: self.idle_life.delta("sessions.idle_life", SECOND, 10 * YEAR)?,
            absolute_life: self.absolute_life.delta("sessions.absolute_life", SECOND, 10 * YEAR)?,
            grace: self.refresh_grace.delta("sessions.refresh_grace", ZERO, MINUTE)?,
        };
        if limits.idle_life > limits.absolute_life {
            return Err(SettingsError::new("sessions.idle_life", "must not exceed sessions.absolute_life"));
        }
        Ok(limits)
    }
}
