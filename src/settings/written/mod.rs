//! The settings as people write them, and the checks that turn them into [`Settings`]: a file for each
//! table of `config/default.toml`.

mod audit;
mod database;
mod keys;
mod log;
mod login;
mod oauth;
mod pages;
mod passwords;
mod renamed;
mod roles;
mod server;
mod sessions;
mod tokens;
mod value;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use config::builder::DefaultState;
use config::{Config, ConfigBuilder, Environment, File, FileFormat};
use serde::Deserialize;

use audit::WrittenAudit;
use database::WrittenDatabase;
use keys::WrittenKeys;
use log::WrittenLog;
use login::WrittenLogin;
use oauth::WrittenOAuth;
use pages::WrittenPages;
use passwords::WrittenPasswords;
use roles::check_roles;
use server::WrittenServer;
use sessions::WrittenSessions;
use tokens::WrittenTokens;
use value::{DAY, List, MINUTE, YEAR, ZERO};

use super::{DEFAULTS, Settings, SettingsError, Variables};

/// The settings as written, before they are checked.
pub(super) struct Raw {
    written: Written,
    /// Keys somebody set, as `section.key`; the rest are defaults.
    set: Vec<String>,
    pub(super) merged: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    server: WrittenServer,
    database: WrittenDatabase,
    keys: WrittenKeys,
    tokens: WrittenTokens,
    sessions: WrittenSessions,
    passwords: WrittenPasswords,
    login: WrittenLogin,
    oauth: WrittenOAuth,
    pages: WrittenPages,
    roles: BTreeMap<String, List>,
    audit: WrittenAudit,
    log: WrittenLog,
}

impl Raw {
    pub(super) fn load(file: Option<&Path>, mut environment: Variables) -> Result<Self, SettingsError> {
        let database_url = environment.remove("DATABASE_URL").filter(|url| !url.is_empty());
        environment.retain(|name, _| !is_no_setting(name));
        let mut set_by_someone = Config::builder();
        if let Some(path) = file {
            set_by_someone = set_by_someone
                .add_source(File::new(&path.to_string_lossy(), FileFormat::Toml).required(true));
        }
        if let Some(url) = database_url {
            set_by_someone = set_by_someone.add_source(
                Environment::default()
                    .separator("__")
                    .source(Some(HashMap::from([("DATABASE__URL".to_owned(), url)]))),
            );
        }
        // No type guessing: it would read a password of digits as a number and write it back differently.
        let from_environment = Environment::with_prefix("CHANCERY").prefix_separator("_").separator("__");
        let set_by_someone = set_by_someone
            .add_source(from_environment.source(Some(environment)))
            .build()
            .map_err(SettingsError::Unreadable)?;
        let set = keys_of(&set_by_someone.clone().try_deserialize().map_err(SettingsError::Unreadable)?);
        renamed::check(&set)?;
        let merged = defaults().add_source(set_by_someone).build().map_err(SettingsError::Unreadable)?;
        Ok(Self {
            written: merged.clone().try_deserialize().map_err(SettingsError::Unreadable)?,
            set,
            merged: merged.try_deserialize().map_err(SettingsError::Unreadable)?,
        })
    }

    pub(super) fn check(self) -> Result<Settings, SettingsError> {
        let Self { written, set, .. } = self;
        let is_set = |key: &str| set.iter().any(|set| set == key);
        let server = written.server.check()?;
        let leeway = written.tokens.leeway.delta("tokens.leeway", ZERO, MINUTE)?;
        let key_policy = written.keys.policy(leeway)?;
        let database = written.database.check(is_set("database.url"))?;
        let keys = written.keys.check(is_set("keys.master_key_file"))?;
        let tokens = written.tokens.check(leeway)?;
        Ok(Settings {
            key_policy,
            keys,
            database,
            tokens,
            sessions: written.sessions.check()?,
            passwords: written.passwords.check()?,
            registration: written.login.registration,
            throttle: written.login.throttle()?,
            max_failures_per_network: written.login.max_failures_per_network()?,
            max_registrations_per_network: written.login.max_registrations_per_network()?,
            oauth: written.oauth.check()?,
            pages: written.pages.check()?,
            roles: check_roles(written.roles)?,
            audit_retention: written.audit.retention.delta("audit.retention", DAY, 100 * YEAR)?,
            max_unauthenticated_events: written.audit.max_unauthenticated_events()?,
            log: written.log.check()?,
            server,
        })
    }
}

fn defaults() -> ConfigBuilder<DefaultState> {
    Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml))
}

/// Every setting that exists, as `section.key`; sections that operators fill themselves with their defaults.
#[cfg(test)]
fn default_keys() -> Vec<String> {
    keys_of(&defaults().build().and_then(Config::try_deserialize).unwrap_or_default())
}

/// The path of the file itself, and what Kubernetes sets in every pod beside a service named `chancery`.
fn is_no_setting(name: &str) -> bool {
    matches!(name, "CHANCERY_CONFIG" | "CHANCERY_PORT" | "CHANCERY_SERVICE_HOST")
        || name.starts_with("CHANCERY_PORT_")
        || name.starts_with("CHANCERY_SERVICE_PORT")
}

fn keys_of(settings: &serde_json::Value) -> Vec<String> {
    let sections = settings.as_object().into_iter().flatten();
    sections
        .flat_map(|(section, keys)| {
            keys.as_object().into_iter().flatten().map(move |(key, _)| format!("{section}.{key}"))
        })
        .collect()
}
