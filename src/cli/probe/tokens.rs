use std::sync::Arc;

use chrono::TimeDelta;
use uuid::Uuid;

use crate::app::App;
use crate::cli::{Failure, failed};
use crate::domain::keys::SigningAlgorithm;
use crate::flows::keys::load_keyring;
use crate::keys::{GeneratedKey, KeyFactory, Keyring, Signer};
use crate::tokens::{AccessClaims, AccessToken, Audience, Forgery, SigningMaterial, forge, issue};

/// The longest life of a token that is only made to be shown once.
const LIFE: TimeDelta = TimeDelta::minutes(5);

/// Makes the tokens of a drill. Their user and session do not exist, so Chancery's own endpoints refuse them.
pub struct TokenMaker {
    keyring: Arc<Keyring>,
    /// A key nobody publishes.
    stranger: OwnKey,
    issuer: String,
    audience: Audience,
    scope: String,
    life: TimeDelta,
}

/// A key made for the drill. Its private half never leaves this process.
pub struct OwnKey {
    pub generated: GeneratedKey,
    pub signer: Signer,
}

impl OwnKey {
    pub async fn make(key_factory: &Arc<KeyFactory>) -> Result<Self, Failure> {
        let key_factory = Arc::clone(key_factory);
        let generated = tokio::task::spawn_blocking(move || key_factory.take_key())
            .await
            .map_err(failed)?
            .map_err(failed)?;
        let signer =
            Signer::from_pkcs8(generated.kid.clone(), generated.alg, &generated.pkcs8).map_err(failed)?;
        Ok(Self { generated, signer })
    }
}

impl TokenMaker {
    pub async fn prepare(app: &App, audience: Option<String>, scope: String) -> Result<Self, Failure> {
        let tokens = &app.settings.tokens;
        Ok(Self {
            keyring: load_keyring(app).await.map_err(failed)?,
            stranger: OwnKey::make(&app.key_factory).await?,
            issuer: app.settings.server.issuer.clone(),
            audience: audience.map_or_else(|| Audience::of(&tokens.audience), Audience::One),
            scope,
            life: tokens.access_token_ttl.min(LIFE),
        })
    }

    /// What a service must be set to, to accept them.
    pub fn expectation(&self) -> String {
        let audience = match &self.audience {
            Audience::One(one) => one.clone(),
            Audience::Many(many) => many.join(" or "),
        };
        format!("issuer {} and audience {audience}", self.issuer)
    }

    /// Under the key that signs.
    pub fn current(&self, app: &App) -> Result<AccessToken, Failure> {
        self.signed_by(self.keyring.signer().map_err(failed)?, app)
    }

    /// Under the key that will sign. `None` when this node cannot open it.
    pub fn next(&self, app: &App) -> Result<Option<AccessToken>, Failure> {
        let opened = self.keyring.opened(&self.keyring.set().next().kid);
        opened.map(|opened| self.signed_by(&opened.signer, app)).transpose()
    }

    /// The next key's algorithm, where it is not the current one's.
    pub fn other_algorithm(&self) -> Option<SigningAlgorithm> {
        let set = self.keyring.set();
        Some(set.next().alg).filter(|alg| *alg != set.current().alg)
    }

    pub fn signed_by(&self, signer: &Signer, app: &App) -> Result<AccessToken, Failure> {
        issue(signer, &self.claims(app)).map_err(failed)
    }

    pub fn forged(&self, forgery: Forgery, app: &App) -> Result<AccessToken, Failure> {
        let ours = SigningMaterial {
            signer: self.keyring.signer().map_err(failed)?,
            public_jwk: &self.keyring.set().current().public_jwk,
        };
        let theirs = SigningMaterial {
            signer: &self.stranger.signer,
            public_jwk: &self.stranger.generated.public_jwk,
        };
        forge(forgery, self.claims(app), ours, theirs).map_err(failed)
    }

    fn claims(&self, app: &App) -> AccessClaims {
        let now = app.clock.now();
        AccessClaims {
            iss: self.issuer.clone(),
            sub: Uuid::new_v4().to_string(),
            aud: self.audience.clone(),
            exp: (now + self.life).timestamp(),
            iat: now.timestamp(),
            nbf: Some(now.timestamp()),
            jti: Uuid::new_v4(),
            client_id: "chancery-probe".to_owned(),
            scope: self.scope.clone(),
            sid: Some(Uuid::new_v4()),
            auth_time: Some(now.timestamp()),
            roles: Some(Vec::new()),
            amr: Some(vec!["pwd".to_owned()]),
            act: None,
            cnf: None,
        }
    }
}
