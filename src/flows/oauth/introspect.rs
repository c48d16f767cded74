use crate::app::App;
use crate::domain::accounts::User;
use crate::domain::clients::Client;
use crate::domain::sessions::Session;
use crate::flows::keys::LoadKeyringError;
use crate::flows::sessions::{AuthenticateError, TokenSubject, look_up, verified_claims};
use crate::store::accounts::users;
use crate::store::{StoreError, sessions};
use crate::tokens::{AccessClaims, RefreshKeys, RefreshToken};

/// What is known of a token (RFC 7662 section 2.2). Whatever is not good, or none of the asker's business, is `Inactive`, and
/// nothing else is said of it.
pub enum Introspection {
    Inactive,
    Access { claims: Box<AccessClaims>, scope: String },
    Refresh { session: Box<Session>, exp: i64 },
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectError {
    #[error(transparent)]
    Keys(#[from] LoadKeyringError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Tells a client about a token that was issued to it, or that is for one of its audiences.
pub async fn introspect(app: &App, asker: &Client, token: &str) -> Result<Introspection, IntrospectError> {
    match RefreshToken::parse(token) {
        Some(refresh) => introspect_refresh(app, asker, &refresh).await,
        None => introspect_access(app, asker, token).await,
    }
}

async fn introspect_access(app: &App, asker: &Client, token: &str) -> Result<Introspection, IntrospectError> {
    let Some((claims, subject)) = active(app, token).await? else { return Ok(Introspection::Inactive) };
    let is_own = claims.client_id == asker.id.as_str();
    let is_for = asker.audiences.iter().any(|audience| claims.aud.contains(audience));
    match is_own || is_for {
        // What a role that was taken away gave is gone from here, though the token still says it.
        true => Ok(Introspection::Access { scope: subject.scopes().to_string(), claims: Box::new(claims) }),
        false => Ok(Introspection::Inactive),
    }
}

/// What an access token says and whose it is, if it is good at this moment. Of a bound one no proof is asked: it is looked at, and
/// nothing is given for it.
pub(super) async fn active(
    app: &App,
    token: &str,
) -> Result<Option<(AccessClaims, TokenSubject)>, IntrospectError> {
    let looked_at = async {
        let claims = verified_claims(app, token, None).await?;
        let subject = look_up(app, &claims).await?;
        Ok((claims, subject))
    };
    match looked_at.await {
        Ok(found) => Ok(Some(found)),
        Err(AuthenticateError::Keys(error)) => Err(error.into()),
        Err(AuthenticateError::Store(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Refresh tokens are their client's alone.
async fn introspect_refresh(
    app: &App,
    asker: &Client,
    token: &RefreshToken,
) -> Result<Introspection, IntrospectError> {
    if !RefreshKeys(&app.master_keys).is_genuine(token, &asker.id) {
        return Ok(Introspection::Inactive);
    }
    let (limits, now) = (&app.settings.sessions, app.clock.now());
    let mut conn = app.db.read().await?;
    let session = sessions::by_id(&mut conn, token.session).await?;
    let session =
        session.filter(|session| session.is_live(limits, now) && session.generation == token.generation);
    let Some(session) = session else { return Ok(Introspection::Inactive) };
    let user = users::by_id(&mut conn, session.user_id).await?;
    if !user.as_ref().is_some_and(User::may_act) {
        return Ok(Introspection::Inactive);
    }
    let exp = session.refresh_expires_at(limits, session.last_used_at).timestamp();
    Ok(Introspection::Refresh { session: Box::new(session), exp })
}
