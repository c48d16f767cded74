use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::value::{MINUTE, SECOND, Span};
use crate::settings::{DatabaseSettings, SettingsError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenDatabase {
    url: SecretString,
    url_file: String,
    pool_size: u32,
    acquire_timeout: Span,
    transaction_pooling: bool,
}

impl WrittenDatabase {
    pub(super) fn check(self, url_is_set: bool) -> Result<DatabaseSettings, SettingsError> {
        let url = match self.url_file.as_str() {
            "" => self.url,
            _ if url_is_set => {
                return Err(SettingsError::new("database.url_file", "give database.url or this, not both"));
            }
            path => {
                std::fs::read_to_string(path).map(|text| SecretString::from(text.trim().to_owned())).map_err(
                    |error| SettingsError::new("database.url_file", format!("cannot read {path}: {error}")),
                )?
            }
        };
        check_database_url(url.expose_secret())?;
        if !(2..=1000).contains(&self.pool_size) {
            return Err(SettingsError::new("database.pool_size", "must be between 2 and 1000"));
        }
        let acquire_timeout = self.acquire_timeout.within("database.acquire_timeout", SECOND / 10, MINUTE)?;
        Ok(DatabaseSettings {
            url,
            pool_size: self.pool_size,
            acquire_timeout,
            transaction_pooling: self.transaction_pooling,
        })
    }
}

fn check_database_url(url: &str) -> Result<(), SettingsError> {
    let wrong = |problem: &str| Err(SettingsError::new("database.url", problem));
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(());
    }
    match url.strip_prefix("sqlite://") {
        None => wrong("must start with sqlite:// or postgres://"),
        Some("" | ":memory:") => wrong("an SQLite database needs a file"),
        Some(path) if path.contains('?') => wrong("an SQLite URL takes no options"),
        Some(_) => Ok(()),
    }
}
