//! Verifies Chancery's access tokens offline: the one file to copy into a service of your own.
//!
//! The key set is fetched with the first token and kept. A `kid` that is not in it means that a key was rotated,
//! so the set is fetched again, but not more often than the cool-down allows: made-up `kid`s cost Chancery nothing.
//! While Chancery is away the last set stays good for a day, as its `stale-if-error` says.

use std::{
    collections::HashMap,
    sync::RwLock,
    time::{Duration, Instant},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, Jwk, JwkSet},
};
use serde::Deserialize;
use tokio::sync::Mutex;

const STALE: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Deserialize)]
pub struct Claims {
    pub sub: String,
    pub scope: Option<String>,
}

impl Claims {
    /// A good token is not always enough: this one must have the scope, too.
    pub fn need(&self, scope: &'static str) -> Result<(), Denied> {
        let mut scopes = self.scope.as_deref().unwrap_or_default().split_ascii_whitespace();
        scopes.any(|had| had == scope).then_some(()).ok_or(Denied::NoScope(scope))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Denied {
    /// 401, without an error code (RFC 6750, section 3.1).
    NoToken,
    /// 401, `invalid_token`.
    InvalidToken,
    /// 403, `insufficient_scope`.
    NoScope(&'static str),
    /// 503: the token may be good, but no key set could be had yet.
    NoKeys,
}

/// How long a key set is used without asking, and how long an unknown `kid` waits before it is asked for.
pub struct Patience {
    pub cache: Duration,
    pub cool_down: Duration,
}

pub struct Verifier {
    http: reqwest::Client,
    jwks_uri: String,
    validation: Validation,
    patience: Patience,
    keys: RwLock<Option<KeySet>>,
    last_fetch: Mutex<Option<Instant>>,
}

struct KeySet {
    by_kid: HashMap<String, DecodingKey>,
    fetched_at: Instant,
}

impl Verifier {
    pub fn new(
        issuer: &str,
        audience: &str,
        algorithm: Algorithm,
        patience: Patience,
    ) -> reqwest::Result<Self> {
        // Only this one is accepted, whatever the token's own header asks for.
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        // Without this a token that has no `iss` or `aud` at all would pass.
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = 5;
        Ok(Self {
            http: reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?,
            jwks_uri: format!("{issuer}/.well-known/jwks.json"),
            validation,
            patience,
            keys: RwLock::default(),
            last_fetch: Mutex::default(),
        })
    }

    pub async fn verify(&self, token: &str) -> Result<Claims, Denied> {
        let header = decode_header(token).map_err(|_| Denied::InvalidToken)?;
        // RFC 9068: only access tokens open an API, and jsonwebtoken leaves `typ` to us.
        if header.typ.as_deref() != Some("at+jwt") {
            return Err(Denied::InvalidToken);
        }
        // Chancery marks nothing critical, and jsonwebtoken leaves `crit` to us as well (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(Denied::InvalidToken);
        }
        let kid = header.kid.ok_or(Denied::InvalidToken)?;
        let key = self.key(&kid).await?;
        let token = decode(token, &key, &self.validation).map_err(|_| Denied::InvalidToken)?;
        Ok(token.claims)
    }

    async fn key(&self, kid: &str) -> Result<DecodingKey, Denied> {
        if let Ok(Some(key)) = self.cached(kid, self.patience.cache) {
            return Ok(key);
        }
        self.refresh().await;
        self.cached(kid, STALE)?.ok_or(Denied::InvalidToken)
    }

    fn cached(&self, kid: &str, max_age: Duration) -> Result<Option<DecodingKey>, Denied> {
        let keys = self.keys.read().expect("no one panics while holding the lock");
        match &*keys {
            Some(set) if set.fetched_at.elapsed() < max_age => Ok(set.by_kid.get(kid).cloned()),
            _ => Err(Denied::NoKeys),
        }
    }

    /// One fetch at a time: whoever waited for the lock finds the work done.
    async fn refresh(&self) {
        let mut last_fetch = self.last_fetch.lock().await;
        if last_fetch.is_some_and(|at| at.elapsed() < self.patience.cool_down) {
            return;
        }
        match self.fetch().await {
            Ok(set) => *self.keys.write().expect("no one panics while holding the lock") = Some(set),
            Err(error) => eprintln!("key set not fetched: {error}"),
        }
        *last_fetch = Some(Instant::now());
    }

    async fn fetch(&self) -> reqwest::Result<KeySet> {
        let answer = self.http.get(&self.jwks_uri).send().await?.error_for_status()?;
        let set: JwkSet = answer.json().await?;
        // A symmetric key in a public set would let anyone sign.
        let is_public = |jwk: &&Jwk| !matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
        let by_kid = set
            .keys
            .iter()
            .filter(is_public)
            .filter_map(|jwk| Some((jwk.common.key_id.clone()?, DecodingKey::from_jwk(jwk).ok()?)));
        Ok(KeySet { by_kid: by_kid.collect(), fetched_at: Instant::now() })
    }
}
