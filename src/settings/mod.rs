//! Settings: defaults < file < environment, checked once, typed afterwards.
//!
//! `config/default.toml` is both the documentation and the defaults; it is built in. Secrets never appear in `Debug` or in
//! `config show`.

mod written;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use config::ConfigError;
use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;

use crate::domain::accounts::RolePolicy;
use crate::domain::keys::KeyPolicy;
use crate::domain::oauth::RequestRules;
use crate::domain::passwords::{NetworkPolicy, ThrottlePolicy};
use crate::domain::sessions::SessionLimits;
use crate::keys::KeyPlan;
use crate::passwords::HasherOptions;
use crate::tls::TlsFiles;
use written::Raw;

/// The documented defaults.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Environment variables by name.
pub type Variables = HashMap<String, String>;

/// Why the settings are refused. Names the key.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{0}")]
    Unreadable(ConfigError),
    #[error("{key}: {problem}")]
    Impossible { key: &'static str, problem: String },
    /// Settings have other names since the release after 0.1.0: each old name and its new one.
    #[error("{}", renamed(.0))]
    Renamed(Vec<(&'static str, &'static str)>),
}

impl SettingsError {
    fn new(key: &'static str, problem: impl ToString) -> Self {
        Self::Impossible { key, problem: problem.to_string() }
    }
}

fn renamed(names: &[(&str, &str)]) -> String {
    let lines: Vec<String> =
        names.iter().map(|(old, new)| format!("{old}: this setting is now called {new}")).collect();
    lines.join("\n")
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
    /// Failed password checks of one network. `None`: no limit.
    pub max_failures_per_network: Option<NetworkPolicy>,
    /// Registrations from one network.
    pub max_registrations_per_network: Option<NetworkPolicy>,
    pub oauth: OAuthSettings,
    pub pages: PageSettings,
    pub roles: RolePolicy,
    /// How long audit events are kept.
    pub audit_retention: TimeDelta,
    /// How many of the events that anybody can cause.
    pub max_unauthenticated_events: i64,
    pub log: LogSettings,
}

#[derive(Debug)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    /// Where operators ask, if not with everybody else.
    pub admin_listen: Option<SocketAddr>,
    /// `None`: plain HTTP, for behind a proxy.
    pub tls: Option<TlsFiles>,
    pub issuer: String,
    pub workers: usize,
    pub trusted_proxies: Vec<IpNet>,
    pub forwarded_header: ForwardedHeader,
    /// The issuer's origin first.
    pub origins: Vec<String>,
    pub request_timeout: Duration,
    pub shutdown_timeout: Duration,
}

impl ServerSettings {
    /// The path under which everything here is, as browsers see it: the issuer's, without a slash at the end.
    pub fn base(&self) -> &str {
        let after_scheme = self.issuer.find("://").map_or(0, |at| at + 3);
        self.issuer[after_scheme..].find('/').map_or("", |at| &self.issuer[after_scheme + at..])
    }
}

/// Which header the proxies in front write. Only that one is read: what they do not write they pass on, and then it says what
/// the client likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ForwardedHeader {
    #[default]
    #[serde(rename = "x-forwarded-for")]
    XForwardedFor,
    /// RFC 7239.
    #[serde(rename = "forwarded")]
    Forwarded,
}

#[derive(Debug)]
pub struct DatabaseSettings {
    pub url: SecretString,
    pub pool_size: u32,
    pub acquire_timeout: Duration,
    /// Whether a pooler stands before Postgres that lends a connection for one transaction at a time.
    pub transaction_pooling: bool,
}

#[derive(Debug)]
pub struct KeySettings {
    pub master: MasterKeySource,
    /// What new keys are to be.
    pub plan: KeyPlan,
    /// Where the last good key set is kept over a restart.
    pub jwks_cache_file: Option<PathBuf>,
}

/// Where the master keys are.
#[derive(Debug)]
pub enum MasterKeySource {
    File(PathBuf),
    Given(Vec<SecretString>),
}

#[derive(Debug)]
pub struct TokenSettings {
    pub access_token_ttl: TimeDelta,
    pub audience: Vec<String>,
    pub leeway: TimeDelta,
}

#[derive(Debug)]
pub struct PasswordSettings {
    pub hasher: HasherOptions,
    pub min_length: usize,
}

/// How the hosted pages look.
#[derive(Debug)]
pub struct PageSettings {
    pub name: String,
    /// An https URL or a data URI of an image. `None`: the seal.
    pub logo: Option<String>,
}

#[derive(Debug)]
pub struct OAuthSettings {
    pub code_ttl: TimeDelta,
    /// Of a browser that is signed in at the hosted pages.
    pub browser_session_ttl: TimeDelta,
    /// How long a page may stand open.
    pub login_page_ttl: TimeDelta,
    /// Whether clients may be told at addresses that are not public.
    pub backchannel_private_networks: bool,
    /// How long a pushed request waits to be used.
    pub par_ttl: TimeDelta,
    pub registration: Registration,
    /// Whether a proof of possession must hold a nonce of ours (RFC 9449 section 8).
    pub dpop_nonce: bool,
    /// Whether a client that may do without PKCE may do without a nonce, too.
    pub nonce_optional: bool,
}

/// Who may register an application by themselves.
#[derive(Debug)]
pub enum Registration {
    Off,
    /// Whoever shows this.
    Token(SecretString),
    Open,
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
        Self::load(file, process_environment())
    }

    /// What every authorization request is held to.
    pub fn request_rules(&self) -> RequestRules {
        RequestRules { audience: self.tokens.audience.clone(), needs_nonce: !self.oauth.nonce_optional }
    }

    /// The audience of tokens for this server itself.
    pub fn own_audience(&self) -> &str {
        self.tokens.audience.first().map_or("", String::as_str)
    }
}

/// This process's environment, as far as it is text. What is no text is no setting.
pub fn process_environment() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// What is in force, as TOML, with secrets left out.
pub fn show(file: Option<&Path>, environment: Variables) -> Result<String, SettingsError> {
    let raw = Raw::load(file, environment)?;
    let mut shown: serde_json::Value = raw.merged.clone();
    raw.check()?;
    for (section, key) in [("database", "url"), ("keys", "master_keys"), ("oauth", "registration_token")] {
        let secret = &mut shown[section][key];
        let is_embedded = |url: &str| section == "database" && url.starts_with("sqlite:");
        let is_plain = secret.as_str().is_some_and(|text| text.is_empty() || is_embedded(text));
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

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::domain::keys::SigningAlgorithm;
    use crate::passwords::HashCost;

    fn load(environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::load(None, environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn the_defaults_are_good_and_are_the_contracts() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.key_policy.lead(), TimeDelta::seconds(5 + 300 + 900));
        assert_eq!(settings.tokens.access_token_ttl, TimeDelta::minutes(10));
        assert_eq!(settings.own_audience(), "chancery");
        assert_eq!(settings.passwords.hasher.cost, HashCost::new(19456, 2, 1).unwrap());
        assert_eq!((settings.passwords.min_length, settings.throttle.lockout_threshold), (8, 100));
        assert_eq!(settings.server.origins, ["http://127.0.0.1:8080"]);
    }

    #[test]
    fn the_issuers_path_is_where_browsers_find_the_pages() {
        for (issuer, base) in
            [("https://a.test", ""), ("https://a.test/auth", "/auth"), ("http://[::1]:8080/a/b", "/a/b")]
        {
            assert_eq!(load(&[("CHANCERY_SERVER__ISSUER", issuer)]).unwrap().server.base(), base);
        }
    }

    #[test]
    fn the_environment_sets_numbers_lists_booleans_durations_and_roles() {
        let settings = load(&[
            ("CHANCERY_SERVER__WORKERS", "3"),
            ("CHANCERY_TOKENS__AUDIENCE", "chancery, orders"),
            ("CHANCERY_LOGIN__REGISTRATION", "false"),
            ("CHANCERY_TOKENS__ACCESS_TOKEN_TTL", "90s"),
            ("CHANCERY_ROLES__CLERK", "orders:read,orders:write"),
            ("CHANCERY_CONFIG", "is no setting"),
            ("UNRELATED", "x"),
            // What Kubernetes sets for a service of this name.
            ("CHANCERY_PORT", "tcp://10.0.0.1:80"),
            ("CHANCERY_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("CHANCERY_SERVICE_HOST", "10.0.0.1"),
            ("CHANCERY_SERVICE_PORT_HTTP", "80"),
        ])
        .unwrap();
        assert_eq!(settings.server.workers, 3);
        assert_eq!(settings.tokens.audience, ["chancery", "orders"]);
        assert!(!settings.registration);
        assert_eq!(settings.tokens.access_token_ttl, TimeDelta::seconds(90));
        assert!(settings.roles.parse_roles(["clerk"]).is_ok());
    }

    #[test]
    fn new_keys_are_as_configured() {
        let plan = |environment: &[(&str, &str)]| load(environment).unwrap().keys.plan;
        assert_eq!(plan(&[]), KeyPlan { alg: SigningAlgorithm::Rs256, rsa_bits: 2048 });
        for alg in SigningAlgorithm::ALL {
            let written = [("CHANCERY_KEYS__ALGORITHM", alg.as_str()), ("CHANCERY_KEYS__RSA_BITS", "3072")];
            assert_eq!(plan(&written), KeyPlan { alg, rsa_bits: 3072 });
        }
    }

    #[test]
    fn pages_bear_the_name_and_the_image_they_are_given() {
        let pages = load(&[]).unwrap().pages;
        assert_eq!((pages.name.as_str(), pages.logo), ("Chancery", None));
        for logo in ["https://a.test:8443/logo.svg?v=2", "data:image/png;base64,iVBORw0KGgo="] {
            let name = "Kanzlei M\u{fc}ller & S\u{f6}hne";
            let pages =
                load(&[("CHANCERY_PAGES__NAME", name), ("CHANCERY_PAGES__LOGO", logo)]).unwrap().pages;
            assert_eq!((pages.name.as_str(), pages.logo.as_deref()), (name, Some(logo)));
        }
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
            ("CHANCERY_DATABASE__URL", "sqlite", "database.url"),
            ("CHANCERY_DATABASE__URL", "sqlite://", "database.url"),
            ("CHANCERY_DATABASE__URL", "sqlite::memory:", "database.url"),
            ("CHANCERY_DATABASE__URL", "sqlite://x.db?mode=ro", "database.url"),
            ("CHANCERY_DATABASE__URL", "postgres:x", "database.url"),
            ("CHANCERY_KEYS__MASTER_KEYS", "nonsense", "keys.master_keys"),
            ("CHANCERY_SERVER__ISSUER", "https://a.test\n", "server.issuer"),
            ("CHANCERY_SERVER__ISSUER", "https://A.test:443", "server.issuer"),
            ("CHANCERY_PASSWORDS__ITERATIONS", "0", "passwords"),
            ("CHANCERY_KEYS__RSA_BITS", "1024", "keys.rsa_bits"),
            ("CHANCERY_KEYS__ALGORITHM", "HS256", "keys.algorithm: must be RS256, PS256, ES256 or EdDSA"),
            ("CHANCERY_KEYS__ALGORITHM", "none", "keys.algorithm"),
            ("CHANCERY_KEYS__ALGORITHM", "es256", "keys.algorithm"),
            ("CHANCERY_KEYS__JWKS_MAX_AGE", "6m", "keys.jwks_max_age"),
            ("CHANCERY_TOKENS__ACCESS_TOKEN_TTL", "10 parsecs", "tokens.access_token_ttl"),
            ("CHANCERY_TOKENS__LEEWAY", "61s", "tokens.leeway"),
            ("CHANCERY_TOKENS__AUDIENCE", "", "tokens.audience"),
            ("CHANCERY_TOKENS__AUDIENCE", "my api", "tokens.audience"),
            ("CHANCERY_SESSIONS__IDLE_TIMEOUT", "31d", "sessions.idle_timeout"),
            ("CHANCERY_SESSIONS__REFRESH_GRACE", "61s", "sessions.refresh_grace"),
            ("CHANCERY_PASSWORDS__MEMORY_KIB", "1", "passwords.memory_kib"),
            ("CHANCERY_PASSWORDS__MIN_LENGTH", "4", "passwords.min_length"),
            ("CHANCERY_LOGIN__ATTEMPTS_BEFORE_BACKOFF", "0", "login.attempts_before_backoff"),
            ("CHANCERY_LOGIN__LOCKOUT_THRESHOLD", "4", "login.lockout_threshold"),
            ("CHANCERY_PAGES__NAME", "  ", "pages.name"),
            ("CHANCERY_PAGES__NAME", "a\nb", "pages.name"),
            ("CHANCERY_PAGES__NAME", &"x".repeat(61), "pages.name"),
            ("CHANCERY_PAGES__LOGO", "/logo.png", "pages.logo"),
            ("CHANCERY_PAGES__LOGO", "http://a.test/logo.png", "pages.logo"),
            ("CHANCERY_PAGES__LOGO", "https://u:p@a.test/logo.png", "pages.logo"),
            ("CHANCERY_PAGES__LOGO", "https://a;b.test/logo.png", "pages.logo"),
            ("CHANCERY_PAGES__LOGO", "https://a.test/my logo.png", "pages.logo"),
            ("CHANCERY_PAGES__LOGO", "data:text/html,x", "pages.logo"),
            ("CHANCERY_PAGES__LOGO", &format!("data:image/png,{}", "x".repeat(48 * 1024)), "pages.logo"),
            ("CHANCERY_PAGES__LOGO", "javascript:alert(1)", "pages.logo"),
            ("CHANCERY_OAUTH__REGISTRATION", "yes", "oauth.registration: must be"),
            ("CHANCERY_OAUTH__REGISTRATION", "token", "oauth.registration_token"),
            ("CHANCERY_OAUTH__REGISTRATION_TOKEN", "short", "oauth.registration_token"),
            ("CHANCERY_OAUTH__REGISTRATION_TOKEN_FILE", "/nonexistent", "oauth.registration_token_file"),
            ("CHANCERY_LOG__FORMAT", "xml", "log.format"),
            ("CHANCERY_AUDIT__RETENTION", "1h", "audit.retention"),
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
            ("CHANCERY_KEYS__MASTER_KEYS".to_owned(), format!("m:{}", "s3cr3t+/".repeat(5) + "s3c=")),
        ]);
        let shown = show(None, environment).unwrap();
        assert!(!shown.contains("s3cr3t") && shown.contains("(secret)"), "{shown}");

        std::fs::write(&file, "s3cr3t-s3cr3t-s3cr3t\n").unwrap();
        let (by_file, mode) = (
            ("CHANCERY_OAUTH__REGISTRATION_TOKEN_FILE", file.to_str().unwrap()),
            ("CHANCERY_OAUTH__REGISTRATION", "token"),
        );
        let by_value = ("CHANCERY_OAUTH__REGISTRATION_TOKEN", "sqlite:s3cr3t-s3cr3t");
        for given in [by_file, by_value] {
            let settings = load(&[mode, given]).unwrap();
            assert!(matches!(settings.oauth.registration, Registration::Token(_)));
            assert!(!format!("{settings:?}").contains("s3cr3t"));
            let environment = [mode, given].map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert!(!show(None, environment.into()).unwrap().contains("s3cr3t"));
        }
        assert!(load(&[mode, by_file, by_value]).is_err());
    }

    #[test]
    fn a_file_overrides_defaults_and_its_unknown_keys_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        std::fs::write(&file, "[tokens]\naccess_token_ttl = \"1m\"\n").unwrap();
        assert_eq!(
            Settings::load(Some(&file), HashMap::new()).unwrap().tokens.access_token_ttl,
            TimeDelta::minutes(1)
        );
        std::fs::write(&file, "[tokens]\nacces_token_ttl = \"1m\"\n").unwrap();
        let error = Settings::load(Some(&file), HashMap::new()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("acces_token_ttl"), "{error}");
        let missing = folder.path().join("missing.toml");
        assert!(Settings::load(Some(&missing), HashMap::new()).is_err());
    }
}
