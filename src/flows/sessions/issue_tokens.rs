use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::app::App;
use crate::domain::accounts::User;
use crate::domain::clients::Client;
use crate::domain::sessions::{GrantedAccess, Session};
use crate::domain::{Scopes, Thumbprint, scope};
use crate::keys::{Keyring, SignerError};
use crate::tokens::{
    AccessClaims, AccessToken, Audience, Confirmation, RefreshKeys, RefreshTokenText, issue,
};

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
    issue_client_tokens(app, keyring, user, session, &ClientTokenOptions::default(), now)
}

/// What a client may want other than usual.
#[derive(Default)]
pub(in crate::flows) struct ClientTokenOptions<'a> {
    pub client: Option<&'a Client>,
    /// Less than was granted, for this access token only (RFC 6749 section 6, RFC 8707 section 2.2).
    pub scopes: Option<&'a Scopes>,
    pub resources: &'a [&'a str],
    /// The key it has shown, to which the access token is bound.
    pub key: Option<&'a Thumbprint>,
}

impl ClientTokenOptions<'_> {
    /// An application that users must be asked about acts by the scopes they gave it, and by nothing else they are.
    fn tells_roles(&self) -> bool {
        self.client.is_none_or(|client| !client.require_consent)
    }
}

/// The same for a client with wishes.
pub(in crate::flows) fn issue_client_tokens(
    app: &App,
    keyring: &Keyring,
    user: &User,
    session: &Session,
    options: &ClientTokenOptions<'_>,
    now: DateTime<Utc>,
) -> Result<IssuedTokens, SignerError> {
    let settings = &app.settings;
    let mut scopes = scopes_now(app, user, session.granted.as_ref());
    if let Some(client) = options.client {
        // What was taken from the client since is not its sessions' any more.
        scopes = scopes.intersection(&client.scopes);
    }
    if let Some(narrowed) = options.scopes {
        scopes = scopes.intersection(narrowed);
    }
    // An access token never outlives its session.
    let expires_at = (now + access_token_ttl(app, options.client)).min(session.expires_at);
    let claims = AccessClaims {
        iss: settings.server.issuer.clone(),
        sub: user.id.to_string(),
        aud: audience(app, session.granted.as_ref(), &scopes, options.resources, options.client),
        exp: expires_at.timestamp(),
        iat: now.timestamp(),
        nbf: Some(now.timestamp()),
        jti: Uuid::new_v4(),
        client_id: session.client_id.to_string(),
        scope: scopes.to_string(),
        sid: Some(session.id.0),
        auth_time: Some(session.auth_time.timestamp()),
        roles: options.tells_roles().then(|| user.roles.names()),
        amr: Some(amr(session)),
        act: None,
        cnf: options.key.map(Confirmation::from),
    };
    let access_token = sign_access_token(app, keyring, &claims, expires_at)?;
    Ok(IssuedTokens {
        access_token,
        expires_in: claims.exp - claims.iat,
        refresh_token: RefreshKeys(&app.master_keys).token(
            session.id,
            session.generation,
            &session.client_id,
            session.master_key_id.as_deref(),
        ),
        refresh_expires_in: (session.refresh_expires_at(&settings.sessions, now) - now).num_seconds(),
        scope: claims.scope,
    })
}

/// Signs with the current key, and counts it: what a revocation of that key would cost.
pub(in crate::flows) fn sign_access_token(
    app: &App,
    keyring: &Keyring,
    claims: &AccessClaims,
    expires_at: DateTime<Utc>,
) -> Result<AccessToken, SignerError> {
    let signer = keyring.signer()?;
    let token = issue(signer, claims)?;
    app.usage_recorder.issued(signer.kid(), expires_at);
    Ok(token)
}

/// What a token of this user may say now: what was granted, as far as the user's roles still give it.
pub(in crate::flows) fn scopes_now(app: &App, user: &User, grant: Option<&GrantedAccess>) -> Scopes {
    let given = app.settings.roles.scopes_of(&user.roles);
    match grant {
        None => given,
        Some(grant) => grant.scopes.intersection(&given.union(&Scopes::of_users())),
    }
}

/// Whom a token is for: what was granted, or the `resources` that a request names of it, as far as the client still has it. Who may
/// ask userinfo by its `scopes` has a token for this server, too.
pub(in crate::flows) fn audience(
    app: &App,
    grant: Option<&GrantedAccess>,
    scopes: &Scopes,
    resources: &[&str],
    client: Option<&Client>,
) -> Audience {
    let own = &app.settings.tokens.audience[..];
    let may_have = client.map_or(own, |client| client.audiences_or(own));
    let granted = grant.map_or(&[][..], |grant| &grant.audience);
    let requested = match resources {
        [] => granted.to_vec(),
        named => named.iter().map(ToString::to_string).collect(),
    };
    let mut audiences: Vec<String> =
        requested.into_iter().filter(|audience| may_have.contains(audience)).collect();
    if audiences.is_empty() {
        let registered = client.is_some_and(|client| !client.audiences.is_empty());
        audiences = may_have.iter().take(if registered { 1 } else { may_have.len() }).cloned().collect();
    }
    let own = app.settings.own_audience();
    if scopes.contains(scope::OPENID) && !audiences.iter().any(|audience| audience == own) {
        audiences.push(own.to_owned());
    }
    Audience::of(&audiences)
}

/// Never longer than the server's, for which keys are kept.
pub(in crate::flows) fn access_token_ttl(app: &App, client: Option<&Client>) -> TimeDelta {
    let longest = app.settings.tokens.access_token_ttl;
    client.and_then(|client| client.access_token_ttl).map_or(longest, |life| life.min(longest))
}

pub(in crate::flows) fn amr(session: &Session) -> Vec<String> {
    session.amr.split_ascii_whitespace().map(str::to_owned).collect()
}
