//! Grants: by what a client gets tokens (RFC 6749 section 4). One file each; what they share is here. The client is known by
//! then.

mod authorization_code;
mod begin_session;
mod client_credentials;
mod device_code;
mod refresh_token;
mod token_exchange;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::domain::accounts::User;
use crate::domain::clients::{Client, GrantType};
use crate::domain::oauth::UserClaim;
use crate::domain::operations::AuditContext;
use crate::domain::sessions::{GrantedAccess, Session};
use crate::domain::{OAuthCode, OAuthError, Parameters, scope};
use crate::flows::keys::LoadKeyringError;
use crate::flows::sessions::{IssuedTokens, amr, scopes_now};
use crate::flows::sessions::{KeyProof, PresentedProof, ProveKeyError, prove_key};
use crate::keys::{Keyring, SignerError};
use crate::store::StoreError;
use crate::tokens::{AccessToken, IdClaims, IdToken, RefreshTokenText, at_hash, issue_id_token};

/// What a client gets. Lives are in seconds.
pub struct TokenSet {
    pub access_token: AccessToken,
    pub expires_in: i64,
    pub scope: String,
    pub refresh_token: Option<RefreshTokenText>,
    pub refresh_expires_in: Option<i64>,
    pub id_token: Option<IdToken>,
    /// What was issued, where a token was exchanged (RFC 8693 section 2.2.1).
    pub issued_token_type: Option<&'static str>,
}

/// Why it gets nothing.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    #[error(transparent)]
    OAuth(#[from] OAuthError),
    #[error("the session kept changing while it was read")]
    Contended,
    #[error(transparent)]
    Keys(#[from] LoadKeyringError),
    #[error(transparent)]
    Sign(#[from] SignerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ProveKeyError> for GrantError {
    fn from(error: ProveKeyError) -> Self {
        match error {
            ProveKeyError::Proof(error) => OAuthError::from(error).into(),
            ProveKeyError::Store(error) => Self::Store(error),
        }
    }
}

/// Gives a client tokens by the grant it names, if it may use that one.
pub async fn redeem_grant(
    app: &App,
    client: &Client,
    parameters: &Parameters,
    presented: &PresentedProof,
    context: &AuditContext,
) -> Result<TokenSet, GrantError> {
    parameters.each_once()?;
    let named = parameters.require("grant_type")?;
    let kind = GrantType::parse(named)
        .ok_or_else(|| OAuthError::new(OAuthCode::UnsupportedGrantType, "there is no such grant"))?;
    if !client.may(kind) {
        let text = "the client is not registered for this grant";
        return Err(OAuthError::new(OAuthCode::UnauthorizedClient, text).into());
    }
    let proof = proof_of(app, client, presented)?;
    let proof = proof.as_ref();
    match kind {
        GrantType::AuthorizationCode => {
            authorization_code::redeem(app, client, parameters, proof, context).await
        }
        GrantType::ClientCredentials => client_credentials::redeem(app, client, parameters, proof).await,
        GrantType::DeviceCode => device_code::redeem(app, client, parameters, proof, context).await,
        GrantType::RefreshToken => refresh_token::redeem(app, client, parameters, proof, context).await,
        GrantType::TokenExchange => token_exchange::redeem(app, client, parameters, proof).await,
    }
}

/// The proof that came with the request, good in itself, so that nothing is used up for one that is not. A grant uses it up when
/// it knows that there is something to give: a client that need not show who it is could fill the table otherwise.
fn proof_of(app: &App, client: &Client, presented: &PresentedProof) -> Result<Option<KeyProof>, OAuthError> {
    match presented.texts.is_empty() {
        false => Ok(Some(prove_key(app, presented, None)?)),
        true if client.dpop_bound_access_tokens => {
            let text = "the client gets no token that is not bound to a key; send a DPoP header";
            Err(OAuthError::new(OAuthCode::InvalidDpopProof, text))
        }
        true => Ok(None),
    }
}

/// The resources a token request names of those that were granted (RFC 8707 section 2.2). None for all of them.
fn granted_resources<'p>(
    app: &App,
    client: &Client,
    parameters: &'p Parameters,
    grant: &GrantedAccess,
) -> Result<Vec<&'p str>, OAuthError> {
    let resources = client.resources(parameters, &app.settings.tokens.audience)?;
    match grant.is_for(&resources) {
        true => Ok(resources),
        false => Err(OAuthError::new(OAuthCode::InvalidTarget, "this resource was not granted")),
    }
}

/// What an authorization request has said of the ID token.
#[derive(Default)]
struct IdTokenOptions {
    nonce: Option<String>,
    claims: BTreeSet<UserClaim>,
}

/// What a session gives its client: the refresh token only to who may use one, the ID token only to who asked who it is.
fn build_token_set(
    app: &App,
    keyring: &Keyring,
    client: &Client,
    (user, session): (&User, &Session),
    tokens: IssuedTokens,
    options: IdTokenOptions,
    now: DateTime<Utc>,
) -> Result<TokenSet, SignerError> {
    let scopes = session.granted.as_ref().map(|grant| scopes_now(app, user, Some(grant))).unwrap_or_default();
    let tells = |claim: UserClaim| options.claims.contains(&claim) && scopes.contains(claim.scope());
    let is_openid = session.granted.as_ref().is_some_and(|grant| grant.scopes.contains(scope::OPENID));
    let id_token = match is_openid {
        true => {
            let signer = keyring.signer()?;
            let claims = IdClaims {
                iss: app.settings.server.issuer.clone(),
                sub: user.id.to_string(),
                aud: client.id.to_string(),
                exp: now.timestamp() + tokens.expires_in,
                iat: now.timestamp(),
                auth_time: session.auth_time.timestamp(),
                nonce: options.nonce,
                at_hash: Some(at_hash(signer.alg(), tokens.access_token.expose())),
                acr: Session::ACR.to_owned(),
                amr: amr(session),
                sid: Some(session.id.to_string()),
                name: user
                    .name
                    .as_ref()
                    .filter(|_| tells(UserClaim::Name))
                    .map(|name| name.as_str().to_owned()),
                email: tells(UserClaim::Email).then(|| user.email.to_string()),
                email_verified: tells(UserClaim::EmailVerified).then_some(user.email_verified),
            };
            Some(issue_id_token(signer, &claims)?)
        }
        false => None,
    };
    let may_refresh = client.may(GrantType::RefreshToken);
    Ok(TokenSet {
        access_token: tokens.access_token,
        expires_in: tokens.expires_in,
        scope: tokens.scope,
        refresh_expires_in: may_refresh.then_some(tokens.refresh_expires_in),
        refresh_token: may_refresh.then_some(tokens.refresh_token),
        id_token,
        issued_token_type: None,
    })
}
