use serde::Deserialize;

use super::value::Span;
use crate::settings::SettingsError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenAudit {
    pub(super) keep: Span,
    keep_abundant: i64,
}

impl WrittenAudit {
    pub(super) fn keep_abundant(&self) -> Result<i64, SettingsError> {
        match self.keep_abundant {
            0..=1_000_000_000 => Ok(self.keep_abundant),
            _ => Err(SettingsError::new("audit.keep_abundant", "must be between 0 and 1000000000")),
        }
    }
}
