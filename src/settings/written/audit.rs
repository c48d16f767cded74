use serde::Deserialize;

use super::value::Span;
use crate::settings::SettingsError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenAudit {
    pub(super) retention: Span,
    max_unauthenticated_events: i64,
}

impl WrittenAudit {
    pub(super) fn max_unauthenticated_events(&self) -> Result<i64, SettingsError> {
        match self.max_unauthenticated_events {
            0..=1_000_000_000 => Ok(self.max_unauthenticated_events),
            _ => Err(SettingsError::new(
                "audit.max_unauthenticated_events",
                "must be between 0 and 1000000000",
            )),
        }
    }
}
