use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::app::App;
use crate::domain::{Session, User};
use crate::keys::{Keyring, SignerError};
use crate::tokens::{AccessClaims, AccessToken, Audience, RefreshKeys, RefreshTokenText, issue};

/// What a login or a refresh gives. Lives are in seconds.
#[derive(Debug)]
pub struct IssuedTokens {
    pub access_token: AccessToken,
    pub expires_in: i64,
    pub refresh_token: RefreshTokenText,
    pub refresh_expires_in: i64,
    pub scope: String,
}

/// Signs an access token for the session and computes the refresh token of its present generation. Stores nothing.
pub(super) fn issue_tokens(
    app: &App,
    keyring: &Keyring,
    user: &User,
    session: &Session,
    now: DateTime<Utc>,
) -> Result<IssuedTokens, SignerError> {
    let settings = &app.settings;
    let scope = settings.roles.scopes_of(&user.roles).to_string();
    // An access token never outlives its session.
    let expires_at = (now + settings.tokens.access_life).min(session.expires_at);
    let claims = AccessClaims {
        iss: settings.server.issuer.clone(),
        sub: user.id.0,
        aud: Audience::of(&settings.tokens.audience),
        exp: expires_at.timestamp(),
        iat: now.timestamp(),
        nbf: now.timestamp(),
        jti: Uuid::new_v4(),
        client_id: session.client_id.to_string(),
        scope: scope.clone(),
        sid: session.id.0,
        auth_time: session.auth_time.timestamp(),
        roles: user.roles.names(),
        amr: session.amr.split_ascii_whitespace().map(str::to_owned).collect(),
    };
    let signer = keyring.signer()?;
    let access_token = issue(signer, &claims)?;
    app.ledger.issued(signer.kid(), expires_at);
    Ok(IssuedTokens {
        access_token,
        expires_in: claims.exp - claims.iat,
        refresh_token: RefreshKeys(&app.masters).token(
            session.id,
            session.generation,
            &session.client_id,
            session.master_key_id.as_deref(),
        ),
        refresh_expires_in: (session.refresh_expires_at(&settings.sessions, now) - now).num_seconds(),
        scope,
    })
}
