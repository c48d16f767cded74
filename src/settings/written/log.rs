use serde::Deserialize;

use crate::settings::{LogFormat, LogSettings, SettingsError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenLog {
    level: String,
    format: LogFormat,
}

impl WrittenLog {
    pub(super) fn check(self) -> Result<LogSettings, SettingsError> {
        tracing_subscriber::EnvFilter::try_new(&self.level).map_err(|error| {
            SettingsError::new("log.level", format!("`{}` is no filter: {error}", self.level))
        })?;
        Ok(LogSettings { level: self.level, format: self.format })
    }
}
