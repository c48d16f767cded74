//! Settings: defaults < file < environment, checked once, typed afterwards.
//!
//! `config/default.toml` is both the documentation and the defaults; it is built in. Secrets never appear in `Debug` or in
//! `config show`.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use config::{Config, ConfigError, Environment, File, FileFormat};
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use crate::domain::{KeyPolicy, Role, RolePolicy, SessionLimits, ThrottlePolicy};
use crate::passwords::{HashCost, HasherOptions};

/// The documented defaults.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// Environment variables by name.
pub type Variables = HashMap<String, String>;

/// Why the settings are refused. Names the key.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{0}")]
    Unreadable(ConfigError),
    #[error("{key}: {problem}")]
    Impossible { key: &'static str, problem: String },
}

impl SettingsError {
    fn new(key: &'static str, problem: impl ToString) -> Self {
        Self::Impossible { key, problem: problem.to_string() }
    }
}

/// All settings, checked.
#[derive(Debug)]
pub struct Settings {
    pub server: ServerSettings,
    pub database: DatabaseSettings,
    pub keys: KeySettings,
    pub key_policy: KeyPolicy,
    pub tokens: TokenSettings,
    pub sessions: SessionLimits,
    pub passwords: PasswordSettings,
    pub registration: bool,
    pub throttle: ThrottlePolicy,
    pub roles: RolePolicy,
    pub log: LogSettings,
}

#[derive(Debug)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    pub issuer: String,
    pub workers: usize,
    pub trusted_proxies: Vec<IpNet>,
    /// The issuer's origin first.
    pub origins: Vec<String>,
    pub request_timeout: Duration,
    pub shutdown_timeout: Duration,
}

#[derive(Debug)]
pub struct DatabaseSettings {
    pub url: SecretString,
    pub pool_size: u32,
    pub acquire_timeout: Duration,
}

#[derive(Debug)]
pub struct KeySettings {
    pub master: MasterKeySource,
    pub rsa_bits: usize,
}

/// Where the master keys are.
#[derive(Debug)]
pub enum MasterKeySource {
    File(PathBuf),
    Given(Vec<SecretString>),
}

#[derive(Debug)]
pub struct TokenSettings {
    pub access_life: TimeDelta,
    pub audience: Vec<String>,
    pub leeway: TimeDelta,
}

#[derive(Debug)]
pub struct PasswordSettings {
    pub hasher: HasherOptions,
    pub min_length: usize,
}

#[derive(Debug)]
pub struct LogSettings {
    pub level: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Auto,
    Json,
    Text,
}

impl Settings {
    /// Reads defaults, the file if any, and the given environment.
    pub fn load(file: Option<&Path>, environment: Variables) -> Result<Self, SettingsError> {
        Raw::load(file, environment)?.check()
    }

    /// Reads defaults, the file if any, and this process's environment.
    pub fn from_process(file: Option<&Path>) -> Result<Self, SettingsError> {
        Self::load(file, std::env::vars().collect())
    }

    /// The audience of tokens for this server itself.
    pub fn own_audience(&self) -> &str {
        self.tokens.audience.first().map_or("", String::as_str)
    }
}

/// What is in force, as TOML, with secrets left out.
pub fn show(file: Option<&Path>, environment: Variables) -> Result<String, SettingsError> {
    let raw = Raw::load(file, environment)?;
    let mut shown: serde_json::Value = raw.merged.clone();
    raw.check()?;
    for (section, key) in [("database", "url"), ("keys", "master_keys")] {
        let secret = &mut shown[section][key];
        let is_plain = secret.as_str().is_some_and(|url| url.is_empty() || url.starts_with("sqlite:"));
        if !is_plain && secret.as_array().is_none_or(|list| !list.is_empty()) {
            *secret = "(secret)".into();
        }
    }
    let mut text = String::new();
    for (section, keys) in shown.as_object().into_iter().flatten() {
        text += &format!("[{section}]\n");
        for (key, value) in keys.as_object().into_iter().flatten() {
            text += &format!("{key} = {value}\n");
        }
        text += "\n";
    }
    Ok(text)
}

/// The settings as written, before they are checked.
struct Raw {
    written: Written,
    /// Keys somebody set, as `section.key`; the rest are defaults.
    set: Vec<String>,
    merged: serde_json::Value,
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
    roles: BTreeMap<String, List>,
    log: WrittenLog,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenServer {
    listen: SocketAddr,
    issuer: String,
    workers: usize,
    trusted_proxies: List,
    cors_origins: List,
    request_timeout: Span,
    shutdown_timeout: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDatabase {
    url: SecretString,
    url_file: String,
    pool_size: u32,
    acquire_timeout: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKeys {
    master_key_file: String,
    master_keys: List,
    algorithm: String,
    rsa_bits: usize,
    rotate_every: Span,
    jwks_max_age: Span,
    verifier_cache: Span,
    poll: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTokens {
    access_life: Span,
    audience: List,
    leeway: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSessions {
    idle_life: Span,
    absolute_life: Span,
    refresh_grace: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPasswords {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
    min_length: usize,
    threads: usize,
    queue: usize,
    wait: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLogin {
    registration: bool,
    free_attempts: i64,
    max_backoff: Span,
    hard_stop: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLog {
    level: String,
    format: LogFormat,
}

/// A duration such as "15m".
#[derive(Clone, Copy)]
struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = humantime::parse_duration(&text);
        parsed.map(Self).map_err(|_| {
            serde::de::Error::custom(format!(
                "`{text}` is no duration; write it as \"90s\", \"15m\", \"12h\" or \"30d\""
            ))
        })
    }
}

impl Span {
    fn within(self, key: &'static str, least: Duration, most: Duration) -> Result<Duration, SettingsError> {
        if (least..=most).contains(&self.0) {
            return Ok(self.0);
        }
        let show = humantime::format_duration;
        Err(SettingsError::new(key, format!("must be between {} and {}", show(least), show(most))))
    }

    fn delta(self, key: &'static str, least: Duration, most: Duration) -> Result<TimeDelta, SettingsError> {
        let duration = self.within(key, least, most)?;
        TimeDelta::from_std(duration).map_err(|error| SettingsError::new(key, error))
    }
}

/// A list: an array in a file, separated by commas in the environment.
#[derive(Clone)]
struct List(Vec<String>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Array(Vec<String>),
            Text(String),
        }
        Ok(Self(match Form::deserialize(deserializer)? {
            Form::Array(items) => items,
            Form::Text(text) => {
                text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
            }
        }))
    }
}

const ZERO: Duration = Duration::ZERO;
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(366 * 24);

impl Raw {
    fn load(file: Option<&Path>, mut environment: Variables) -> Result<Self, SettingsError> {
        let database_url = environment.remove("DATABASE_URL").filter(|url| !url.is_empty());
        // The path of the file itself is no setting.
        environment.remove("CHANCERY_CONFIG");
        let mut set_by_someone = Config::builder();
        if let Some(path) = file {
            set_by_someone = set_by_someone
                .add_source(File::new(&path.to_string_lossy(), FileFormat::Toml).required(true));
        }
        if let Some(url) = database_url {
            set_by_someone =
                set_by_someone.set_default("database.url", "").map_err(SettingsError::Unreadable)?;
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
        let merged = Config::builder()
            .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
            .add_source(set_by_someone)
            .build()
            .map_err(SettingsError::Unreadable)?;
        Ok(Self {
            written: merged.clone().try_deserialize().map_err(SettingsError::Unreadable)?,
            set,
            merged: merged.try_deserialize().map_err(SettingsError::Unreadable)?,
        })
    }

    fn check(self) -> Result<Settings, SettingsError> {
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
            roles: check_roles(written.roles)?,
            log: written.log.check()?,
            server,
        })
    }
}

fn keys_of(settings: &serde_json::Value) -> Vec<String> {
    let sections = settings.as_object().into_iter().flatten();
    sections
        .flat_map(|(section, keys)| {
            keys.as_object().into_iter().flatten().map(move |(key, _)| format!("{section}.{key}"))
        })
        .collect()
}

impl WrittenServer {
    fn check(self) -> Result<ServerSettings, SettingsError> {
        let issuer_origin = check_issuer(&self.issuer)?;
        let mut origins = vec![issuer_origin];
        for origin in self.cors_origins.0 {
            match origin_of(&origin) {
                Some(parsed) if parsed == origin => origins.push(parsed),
                _ => {
                    let problem = format!(
                        "`{origin}` is no origin; write scheme and host only, https://app.example.com"
                    );
                    return Err(SettingsError::new("server.cors_origins", problem));
                }
            }
        }
        let proxy = |text: &String| {
            let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
            parsed.map_err(|_| {
                SettingsError::new("server.trusted_proxies", format!("`{text}` is no address and no network"))
            })
        };
        Ok(ServerSettings {
            listen: self.listen,
            workers: or_cores(self.workers, "server.workers", 1024)?,
            trusted_proxies: self.trusted_proxies.0.iter().map(proxy).collect::<Result<_, _>>()?,
            origins,
            request_timeout: self.request_timeout.within("server.request_timeout", SECOND / 10, MINUTE)?,
            shutdown_timeout: self.shutdown_timeout.within("server.shutdown_timeout", ZERO, 10 * MINUTE)?,
            issuer: self.issuer,
        })
    }
}

/// RFC 8414 section 2: a URL without query and fragment. Plain http is for development and for behind a proxy's back.
fn check_issuer(issuer: &str) -> Result<String, SettingsError> {
    let wrong = |problem: &str| Err(SettingsError::new("server.issuer", problem));
    if issuer.ends_with('/') {
        return wrong("must not end with a slash");
    }
    if issuer.contains(['?', '#']) {
        return wrong("must have no query and no fragment");
    }
    match origin_of(issuer) {
        Some(origin) => Ok(origin),
        None => wrong("must be an http:// or https:// URL"),
    }
}

/// The origin of an http(s) URL in canonical form.
fn origin_of(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    let is_web =
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    is_web.then(|| url.origin().ascii_serialization())
}

impl WrittenDatabase {
    fn check(self, url_is_set: bool) -> Result<DatabaseSettings, SettingsError> {
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
        let scheme = url.expose_secret().split(':').next().unwrap_or_default();
        if !matches!(scheme, "sqlite" | "postgres" | "postgresql") {
            return Err(SettingsError::new("database.url", "must start with sqlite:// or postgres://"));
        }
        if !(2..=1000).contains(&self.pool_size) {
            return Err(SettingsError::new("database.pool_size", "must be between 2 and 1000"));
        }
        let acquire_timeout = self.acquire_timeout.within("database.acquire_timeout", SECOND / 10, MINUTE)?;
        Ok(DatabaseSettings { url, pool_size: self.pool_size, acquire_timeout })
    }
}

impl WrittenKeys {
    fn policy(&self, leeway: TimeDelta) -> Result<KeyPolicy, SettingsError> {
        Ok(KeyPolicy {
            staleness: self.poll.delta("keys.poll", SECOND / 5, MINUTE)?,
            jwks_max_age: self.jwks_max_age.delta("keys.jwks_max_age", SECOND, 5 * MINUTE)?,
            verifier_cache: self.verifier_cache.delta("keys.verifier_cache", ZERO, 30 * DAY)?,
            rotate_every: self.rotate_every.delta("keys.rotate_every", SECOND, 10 * YEAR)?,
            leeway,
        })
    }

    fn check(self, file_is_set: bool) -> Result<KeySettings, SettingsError> {
        if self.algorithm != "RS256" {
            return Err(SettingsError::new("keys.algorithm", "must be RS256"));
        }
        if !matches!(self.rsa_bits, 2048 | 3072 | 4096) {
            return Err(SettingsError::new("keys.rsa_bits", "must be 2048, 3072 or 4096"));
        }
        let master = match self.master_keys.0 {
            keys if keys.is_empty() => MasterKeySource::File(self.master_key_file.into()),
            _ if file_is_set => {
                return Err(SettingsError::new(
                    "keys.master_keys",
                    "give keys.master_key_file or this, not both",
                ));
            }
            keys => MasterKeySource::Given(keys.into_iter().map(SecretString::from).collect()),
        };
        Ok(KeySettings { master, rsa_bits: self.rsa_bits })
    }
}

impl WrittenTokens {
    fn check(self, leeway: TimeDelta) -> Result<TokenSettings, SettingsError> {
        let audience = self.audience.0;
        if audience.is_empty() || audience.iter().any(|one| one.trim().is_empty()) {
            return Err(SettingsError::new(
                "tokens.audience",
                "needs at least one audience, and none may be empty",
            ));
        }
        let access_life = self.access_life.delta("tokens.access_life", SECOND, DAY)?;
        Ok(TokenSettings { access_life, audience, leeway })
    }
}

impl WrittenSessions {
    fn check(self) -> Result<SessionLimits, SettingsError> {
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

impl WrittenPasswords {
    fn check(self) -> Result<PasswordSettings, SettingsError> {
        let cost = HashCost::new(self.memory_kib, self.iterations, self.parallelism)
            .map_err(|error| SettingsError::new("passwords.memory_kib", error))?;
        if !(8..=64).contains(&self.min_length) {
            return Err(SettingsError::new("passwords.min_length", "must be between 8 and 64"));
        }
        if !(1..=100_000).contains(&self.queue) {
            return Err(SettingsError::new("passwords.queue", "must be between 1 and 100000"));
        }
        let hasher = HasherOptions {
            cost,
            threads: or_cores(self.threads, "passwords.threads", 256)?,
            queue: self.queue,
            wait: self.wait.within("passwords.wait", MILLISECOND, MINUTE)?,
        };
        Ok(PasswordSettings { hasher, min_length: self.min_length })
    }
}

impl WrittenLogin {
    fn throttle(&self) -> Result<ThrottlePolicy, SettingsError> {
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
}

impl WrittenLog {
    fn check(self) -> Result<LogSettings, SettingsError> {
        tracing_subscriber::EnvFilter::try_new(&self.level).map_err(|error| {
            SettingsError::new("log.level", format!("`{}` is no filter: {error}", self.level))
        })?;
        Ok(LogSettings { level: self.level, format: self.format })
    }
}

fn check_roles(written: BTreeMap<String, List>) -> Result<RolePolicy, SettingsError> {
    let wrong = |problem: &dyn ToString| SettingsError::new("roles", problem.to_string());
    let roles = written
        .into_iter()
        .map(|(name, scopes)| Ok((Role::parse(&name).map_err(|error| wrong(&error))?, scopes.0)))
        .collect::<Result<Vec<_>, SettingsError>>()?;
    RolePolicy::new(roles).map_err(|error| wrong(&error))
}

fn or_cores(given: usize, key: &'static str, most: usize) -> Result<usize, SettingsError> {
    match given {
        0 => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        given if given <= most => Ok(given),
        _ => Err(SettingsError::new(key, format!("must be at most {most}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::load(None, environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn the_defaults_are_good_and_are_the_contracts() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.key_policy.lead(), TimeDelta::seconds(5 + 300 + 900));
        assert_eq!(settings.tokens.access_life, TimeDelta::minutes(10));
        assert_eq!(settings.own_audience(), "chancery");
        assert_eq!(settings.server.origins, ["http://127.0.0.1:8080"]);
    }

    #[test]
    fn the_environment_sets_numbers_lists_booleans_durations_and_roles() {
        let settings = load(&[
            ("CHANCERY_SERVER__WORKERS", "3"),
            ("CHANCERY_TOKENS__AUDIENCE", "chancery, orders"),
            ("CHANCERY_LOGIN__REGISTRATION", "false"),
            ("CHANCERY_TOKENS__ACCESS_LIFE", "90s"),
            ("CHANCERY_ROLES__CLERK", "orders:read,orders:write"),
            ("CHANCERY_CONFIG", "is no setting"),
            ("UNRELATED", "x"),
        ])
        .unwrap();
        assert_eq!(settings.server.workers, 3);
        assert_eq!(settings.tokens.audience, ["chancery", "orders"]);
        assert!(!settings.registration);
        assert_eq!(settings.tokens.access_life, TimeDelta::seconds(90));
        assert!(settings.roles.parse_roles(["clerk"]).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (key, value, named) in [
            ("CHANCERY_SERVER__LISTEN", "nowhere", "server.listen"),
            ("CHANCERY_SERVER__LISTENN", "127.0.0.1:1", "listenn"),
            ("CHANCERY_SERVR__LISTEN", "127.0.0.1:1", "servr"),
            ("CHANCERY_LISTEN", "127.0.0.1:1", "listen"),
            ("CHANCERY_SERVER__ISSUER", "https://a.test/", "server.issuer"),
            ("CHANCERY_SERVER__ISSUER", "ftp://a.test", "server.issuer"),
            ("CHANCERY_SERVER__ISSUER", "https://a.test?x=1", "server.issuer"),
            ("CHANCERY_SERVER__CORS_ORIGINS", "https://a.test/path", "server.cors_origins"),
            ("CHANCERY_SERVER__TRUSTED_PROXIES", "10.0.0.0/40", "server.trusted_proxies"),
            ("CHANCERY_DATABASE__URL", "mysql://x", "database.url"),
            ("DATABASE_URL", "mysql://x", "database.url"),
            ("CHANCERY_DATABASE__URL_FILE", "/nonexistent", "database.url_file"),
            ("CHANCERY_DATABASE__POOL_SIZE", "0", "database.pool_size"),
            ("CHANCERY_KEYS__RSA_BITS", "1024", "keys.rsa_bits"),
            ("CHANCERY_KEYS__ALGORITHM", "HS256", "keys.algorithm"),
            ("CHANCERY_KEYS__JWKS_MAX_AGE", "6m", "keys.jwks_max_age"),
            ("CHANCERY_TOKENS__ACCESS_LIFE", "10 parsecs", "tokens.access_life"),
            ("CHANCERY_TOKENS__LEEWAY", "61s", "tokens.leeway"),
            ("CHANCERY_TOKENS__AUDIENCE", "", "tokens.audience"),
            ("CHANCERY_SESSIONS__IDLE_LIFE", "31d", "sessions.idle_life"),
            ("CHANCERY_SESSIONS__REFRESH_GRACE", "61s", "sessions.refresh_grace"),
            ("CHANCERY_PASSWORDS__MEMORY_KIB", "1", "passwords.memory_kib"),
            ("CHANCERY_PASSWORDS__MIN_LENGTH", "4", "passwords.min_length"),
            ("CHANCERY_LOGIN__FREE_ATTEMPTS", "0", "login.free_attempts"),
            ("CHANCERY_LOGIN__HARD_STOP", "4", "login.hard_stop"),
            ("CHANCERY_LOG__FORMAT", "xml", "log.format"),
            ("CHANCERY_ROLES__CLERK", "not a scope", "roles"),
        ] {
            let error = load(&[(key, value)]).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(named), "{key}={value}: {error}");
        }
    }

    #[test]
    fn database_url_is_honoured_and_the_own_variable_wins() {
        let url =
            |environment: &[(&str, &str)]| load(environment).unwrap().database.url.expose_secret().to_owned();
        assert_eq!(url(&[("DATABASE_URL", "postgres://a/b")]), "postgres://a/b");
        let both = [("DATABASE_URL", "postgres://a/b"), ("CHANCERY_DATABASE__URL", "postgres://c/d")];
        assert_eq!(url(&both), "postgres://c/d");
    }

    #[test]
    fn a_secret_comes_by_value_or_by_file_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, "postgres://u:s3cr3t@h/d\n").unwrap();
        let by_file = ("CHANCERY_DATABASE__URL_FILE", file.to_str().unwrap());
        let settings = load(&[by_file]).unwrap();
        assert_eq!(settings.database.url.expose_secret(), "postgres://u:s3cr3t@h/d");
        assert!(!format!("{settings:?}").contains("s3cr3t"));
        assert!(load(&[by_file, ("CHANCERY_DATABASE__URL", "postgres://x/y")]).is_err());
        let environment = HashMap::from([
            ("DATABASE_URL".to_owned(), "postgres://u:s3cr3t@h/d".to_owned()),
            ("CHANCERY_KEYS__MASTER_KEYS".to_owned(), "m:s3cr3t".to_owned()),
        ]);
        let shown = show(None, environment).unwrap();
        assert!(!shown.contains("s3cr3t") && shown.contains("(secret)"), "{shown}");
    }

    #[test]
    fn a_file_overrides_defaults_and_its_unknown_keys_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        std::fs::write(&file, "[tokens]\naccess_life = \"1m\"\n").unwrap();
        assert_eq!(
            Settings::load(Some(&file), HashMap::new()).unwrap().tokens.access_life,
            TimeDelta::minutes(1)
        );
        std::fs::write(&file, "[tokens]\nacces_life = \"1m\"\n").unwrap();
        let error = Settings::load(Some(&file), HashMap::new()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("acces_life"), "{error}");
        let missing = folder.path().join("missing.toml");
        assert!(Settings::load(Some(&missing), HashMap::new()).is_err());
    }
}
