//! The settings as people write them, and the checks that turn them into [`Settings`](super::Settings).

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use config::{Config, Environment, File, FileFormat};
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use url::Url;

use super::{
    DEFAULTS, DatabaseSettings, ForwardedHeader, KeySettings, LogFormat, LogSettings, MasterKeySource,
    OAuthSettings, PageSettings, PasswordSettings, Registration, ServerSettings, Settings, SettingsError,
    TokenSettings, Variables,
};
use crate::domain::{
    KeyPolicy, Role, RolePolicy, SessionLimits, SigningAlgorithm, SourcePolicy, ThrottlePolicy,
};
use crate::keys::{KeyPlan, MasterKeys};
use crate::passwords::{HashCost, HasherOptions};
use crate::tls::TlsFiles;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenOAuth {
    code_life: Span,
    browser_session_life: Span,
    page_life: Span,
    backchannel_private_networks: bool,
    par_life: Span,
    registration: String,
    registration_token: SecretString,
    registration_token_file: String,
    dpop_nonce: bool,
    nonce_optional: bool,
}

impl WrittenOAuth {
    fn check(self) -> Result<OAuthSettings, SettingsError> {
        Ok(OAuthSettings {
            code_life: self.code_life.delta("oauth.code_life", SECOND, MINUTE)?,
            browser_session_life: self.browser_session_life.delta(
                "oauth.browser_session_life",
                SECOND,
                10 * YEAR,
            )?,
            page_life: self.page_life.delta("oauth.page_life", SECOND, DAY)?,
            backchannel_private_networks: self.backchannel_private_networks,
            par_life: self.par_life.delta("oauth.par_life", SECOND, 10 * MINUTE)?,
            registration: self.registration()?,
            dpop_nonce: self.dpop_nonce,
            nonce_optional: self.nonce_optional,
        })
    }

    fn registration(&self) -> Result<Registration, SettingsError> {
        const KEY: &str = "oauth.registration_token";
        const FILE: &str = "oauth.registration_token_file";
        let given = self.registration_token.expose_secret();
        let token = match self.registration_token_file.as_str() {
            "" => given.to_owned(),
            _ if !given.is_empty() => {
                return Err(SettingsError::new(FILE, format!("give {KEY} or this, not both")));
            }
            path => {
                let read = std::fs::read_to_string(path);
                let read =
                    read.map_err(|error| SettingsError::new(FILE, format!("cannot read {path}: {error}")));
                read?.trim().to_owned()
            }
        };
        if !token.is_empty() && (token.len() < 16 || !token.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(SettingsError::new(KEY, "must have at least 16 printable characters and no space"));
        }
        match self.registration.as_str() {
            "off" => Ok(Registration::Off),
            "open" => Ok(Registration::Open),
            "token" if token.is_empty() => {
                Err(SettingsError::new(KEY, "is missing; oauth.registration is token"))
            }
            "token" => Ok(Registration::Token(token.into())),
            _ => Err(SettingsError::new("oauth.registration", "must be off, token or open")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAudit {
    keep: Span,
    keep_abundant: i64,
}

impl WrittenAudit {
    fn keep_abundant(&self) -> Result<i64, SettingsError> {
        match self.keep_abundant {
            0..=1_000_000_000 => Ok(self.keep_abundant),
            _ => Err(SettingsError::new("audit.keep_abundant", "must be between 0 and 1000000000")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenServer {
    listen: SocketAddr,
    admin_listen: String,
    tls_certificate: String,
    tls_key: String,
    issuer: String,
    workers: usize,
    trusted_proxies: List,
    forwarded_header: ForwardedHeader,
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
    pooler: bool,
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
    last_good_file: String,
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
    source_failures: i64,
    source_window: Span,
    source_registrations: i64,
    registration_window: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPages {
    name: String,
    logo: String,
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
            source_failures: written.login.source_failures()?,
            source_registrations: written.login.source_registrations()?,
            oauth: written.oauth.check()?,
            pages: written.pages.check()?,
            roles: check_roles(written.roles)?,
            audit_keep: written.audit.keep.delta("audit.keep", DAY, 100 * YEAR)?,
            audit_keep_abundant: written.audit.keep_abundant()?,
            log: written.log.check()?,
            server,
        })
    }
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
            let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            parsed.map_err(|_| {
                SettingsError::new("server.trusted_proxies", format!("`{text}` is no address and no network"))
            })
        };
        Ok(ServerSettings {
            listen: self.listen,
            admin_listen: parse_admin_listen(&self.admin_listen, self.listen)?,
            tls: tls_files(self.tls_certificate, self.tls_key)?,
            forwarded_header: self.forwarded_header,
            workers: or_cores(self.workers, "server.workers", 1024)?,
            trusted_proxies: self.trusted_proxies.0.iter().map(proxy).collect::<Result<_, _>>()?,
            origins,
            request_timeout: self.request_timeout.within("server.request_timeout", SECOND / 10, MINUTE)?,
            shutdown_timeout: self.shutdown_timeout.within("server.shutdown_timeout", ZERO, 10 * MINUTE)?,
            issuer: self.issuer,
        })
    }
}

fn parse_admin_listen(written: &str, listen: SocketAddr) -> Result<Option<SocketAddr>, SettingsError> {
    const KEY: &str = "server.admin_listen";
    if written.is_empty() {
        return Ok(None);
    }
    let address: SocketAddr = written
        .parse()
        .map_err(|_| SettingsError::new(KEY, format!("`{written}` is no address and port")))?;
    if address == listen && listen.port() != 0 {
        return Err(SettingsError::new(KEY, "must be another address than server.listen; or leave it out"));
    }
    Ok(Some(address))
}

fn tls_files(certificate: String, key: String) -> Result<Option<TlsFiles>, SettingsError> {
    match (certificate.is_empty(), key.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(TlsFiles { certificate: certificate.into(), key: key.into() })),
        (false, true) => {
            Err(SettingsError::new("server.tls_key", "is missing; server.tls_certificate is set"))
        }
        (true, false) => {
            Err(SettingsError::new("server.tls_certificate", "is missing; server.tls_key is set"))
        }
    }
}

/// RFC 8414 section 2: a URL without query and fragment. Compared byte for byte by every verifier, so there is one way to
/// write it. Returns its origin.
fn check_issuer(issuer: &str) -> Result<String, SettingsError> {
    let wrong = |problem: &str| Err(SettingsError::new("server.issuer", problem));
    if issuer.ends_with('/') {
        return wrong("must not end with a slash");
    }
    if issuer.contains(['?', '#']) {
        return wrong("must have no query and no fragment");
    }
    let (Some(origin), Ok(url)) = (origin_of(issuer), Url::parse(issuer)) else {
        return wrong("must be an http:// or https:// URL");
    };
    match url.as_str().trim_end_matches('/') {
        canonical if canonical == issuer => Ok(origin),
        canonical => wrong(&format!("write it as {canonical}")),
    }
}

/// The origin of an http(s) URL in canonical form.
fn origin_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
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
        check_database_url(url.expose_secret())?;
        if !(2..=1000).contains(&self.pool_size) {
            return Err(SettingsError::new("database.pool_size", "must be between 2 and 1000"));
        }
        let acquire_timeout = self.acquire_timeout.within("database.acquire_timeout", SECOND / 10, MINUTE)?;
        Ok(DatabaseSettings { url, pool_size: self.pool_size, acquire_timeout, pooler: self.pooler })
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
        let alg = SigningAlgorithm::parse(&self.algorithm)
            .ok_or_else(|| SettingsError::new("keys.algorithm", "must be RS256, PS256, ES256 or EdDSA"))?;
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
            keys => {
                MasterKeys::parse(keys.iter().map(String::as_str))
                    .map_err(|error| SettingsError::new("keys.master_keys", error))?;
                MasterKeySource::Given(keys.into_iter().map(SecretString::from).collect())
            }
        };
        let last_good_file = Some(self.last_good_file).filter(|path| !path.is_empty()).map(Into::into);
        Ok(KeySettings { master, plan: KeyPlan { alg, rsa_bits: self.rsa_bits }, last_good_file })
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
            .map_err(|error| SettingsError::new("passwords.memory_kib, iterations, parallelism", error))?;
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

    fn source_failures(&self) -> Result<Option<SourcePolicy>, SettingsError> {
        let window = self.source_window.delta("login.source_window", SECOND, DAY)?;
        source_policy("login.source_failures", self.source_failures, window)
    }

    fn source_registrations(&self) -> Result<Option<SourcePolicy>, SettingsError> {
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

impl WrittenPages {
    fn check(self) -> Result<PageSettings, SettingsError> {
        let name = self.name.trim();
        if !(1..=60).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            let problem = "must have 1 to 60 characters and no control characters";
            return Err(SettingsError::new("pages.name", problem));
        }
        if !self.logo.is_empty() && !is_image(&self.logo) {
            let problem = "must be an https:// URL, or a data:image/ URI of at most 48 KiB; or leave it out";
            return Err(SettingsError::new("pages.logo", problem));
        }
        Ok(PageSettings { name: name.to_owned(), logo: Some(self.logo).filter(|logo| !logo.is_empty()) })
    }
}

/// Every page carries the text, and its Content-Security-Policy the origin, where `;` and `,` would end what it is part of.
fn is_image(logo: &str) -> bool {
    const LONGEST: usize = 48 * 1024;
    if logo.len() > LONGEST || !logo.bytes().all(|b| b.is_ascii_graphic()) {
        return false;
    }
    let is_https = logo.starts_with("https://");
    let origin = origin_of(logo).filter(|origin| is_https && !origin.contains([';', ',']));
    logo.starts_with("data:image/") || origin.is_some()
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
