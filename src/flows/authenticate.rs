use super::load_keyring::{LoadKeyringError, fresh_keyring, load_keyring};
use crate::app::App;
use crate::domain::{Scopes, Session, SessionId, User, UserId};
use crate::store::{StoreError, sessions, users};
use crate::tokens::{AccessClaims, Expected, TokenError, verify};

/// Who is asking, by a good access token of a live session of an active user.
#[derive(Debug)]
pub struct Caller {
    pub user: User,
    pub session: Session,
    /// What the token grants and the user's roles still give.
    pub scopes: Scopes,
}

/// Why a bearer is nobody.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the session has ended or its user may not act")]
    Ended,
    #[error(transparent)]
    Keys(#[from] LoadKeyringError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Verifies an access token as a service would, and then asks the database what a service cannot: whether the session
/// and the user still live.
pub async fn authenticate(app: &App, token: &str) -> Result<Caller, AuthenticateError> {
    let claims = verified_claims(app, token).await?;
    let now = app.clock.now();
    let mut conn = app.db.read().await?;
    let session = sessions::by_id(&mut conn, SessionId(claims.sid)).await?;
    let session = session
        .filter(|session| {
            session.user_id == UserId(claims.sub) && session.is_live(&app.settings.sessions, now)
        })
        .ok_or(AuthenticateError::Ended)?;
    let user = users::by_id(&mut conn, session.user_id).await?;
    let user = user.filter(User::may_act).ok_or(AuthenticateError::Ended)?;
    let given = app.settings.roles.scopes_of(&user.roles);
    let scopes = Scopes::from_claim(&claims.scope).intersection(&given);
    Ok(Caller { user, session, scopes })
}

async fn verified_claims(app: &App, token: &str) -> Result<AccessClaims, AuthenticateError> {
    let expected = Expected {
        issuer: &app.settings.server.issuer,
        audience: app.settings.own_audience(),
        leeway: app.settings.tokens.leeway,
    };
    let keyring = fresh_keyring(app).await?;
    match verify(token, &keyring, &expected, app.clock.now()) {
        // Another node may have rotated and signed before this one heard of it.
        Err(TokenError::WaitingKey) => {
            let keyring = load_keyring(app).await?;
            Ok(verify(token, &keyring, &expected, app.clock.now())?)
        }
        verdict => Ok(verdict?),
    }
}
