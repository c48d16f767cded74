use uuid::Uuid;

use super::issue_tokens::scopes_now;
use super::load_keyring::{LoadKeyringError, fresh_keyring, load_keyring};
use crate::app::App;
use crate::domain::{Actor, Client, ClientId, GrantType, Scopes, Session, SessionId, User, UserId};
use crate::store::{StoreError, clients, sessions, users};
use crate::tokens::{AccessClaims, Expected, TokenError, verify};

/// A user who is asking, by a good access token of a live session.
#[derive(Debug)]
pub struct Caller {
    pub user: User,
    pub session: Session,
    /// What the token grants and the user's roles still give.
    pub scopes: Scopes,
    /// The client that acts for the user, by a token it got in exchange. Then it is not the session's client who asks.
    pub acting: Option<ClientId>,
}

/// Who is asking.
#[derive(Debug)]
pub enum Bearer {
    User(Box<Caller>),
    /// A service account: a client on its own behalf.
    Service {
        client: Box<Client>,
        scopes: Scopes,
    },
}

impl Bearer {
    pub fn scopes(&self) -> &Scopes {
        match self {
            Self::User(caller) => &caller.scopes,
            Self::Service { scopes, .. } => scopes,
        }
    }

    pub fn actor(&self) -> Actor {
        match self {
            Self::User(caller) => Actor::User(caller.user.id),
            Self::Service { client, .. } => Actor::Client(client.id.clone()),
        }
    }
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

/// Verifies an access token as a service would, and then asks the database what a service cannot: whether the session and the
/// user, or the client, are still there.
pub async fn authenticate(app: &App, token: &str) -> Result<Bearer, AuthenticateError> {
    let claims = verified_claims(app, token, Some(app.settings.own_audience())).await?;
    look_up(app, &claims).await
}

/// Who a token that is good in itself belongs to.
pub(super) async fn look_up(app: &App, claims: &AccessClaims) -> Result<Bearer, AuthenticateError> {
    match claims.sid {
        Some(sid) => user_of(app, claims, SessionId(sid)).await,
        None => service_of(app, claims).await,
    }
}

async fn user_of(app: &App, claims: &AccessClaims, sid: SessionId) -> Result<Bearer, AuthenticateError> {
    let now = app.clock.now();
    let mut conn = app.db.read().await?;
    let session = sessions::by_id(&mut conn, sid).await?;
    let is_theirs = |session: &Session| {
        claims.sub.parse::<Uuid>().is_ok_and(|sub| session.user_id == UserId(sub))
            && (claims.act.is_some() || session.client_id.as_str() == claims.client_id)
            && session.is_live(&app.settings.sessions, now)
    };
    let session = session.filter(is_theirs).ok_or(AuthenticateError::Ended)?;
    let user = users::by_id(&mut conn, session.user_id).await?;
    let user = user.filter(User::may_act).ok_or(AuthenticateError::Ended)?;
    let given = scopes_now(app, &user, session.grant.as_ref());
    let mut scopes = Scopes::from_claim(&claims.scope).intersection(&given);
    let mut acting = None;
    if claims.act.is_some() {
        // Nothing of it is written down, so it is good for as long as its client may do such a thing.
        let id = ClientId::from_row(claims.client_id.clone());
        let client = clients::by_id(&mut conn, &id).await?;
        let client = client.filter(|client| client.may(GrantType::TokenExchange));
        scopes = scopes.intersection(&client.ok_or(AuthenticateError::Ended)?.scopes);
        acting = Some(id);
    }
    Ok(Bearer::User(Box::new(Caller { user, session, scopes, acting })))
}

async fn service_of(app: &App, claims: &AccessClaims) -> Result<Bearer, AuthenticateError> {
    let id = ClientId::from_row(claims.client_id.clone());
    let client = clients::by_id(&mut app.db.read().await?, &id).await?;
    let client = client.filter(|client| client.may(GrantType::ClientCredentials));
    let client = client.ok_or(AuthenticateError::Ended)?;
    let scopes = Scopes::from_claim(&claims.scope).intersection(&client.scopes);
    Ok(Bearer::Service { client: Box::new(client), scopes })
}

/// `audience` is left out where the caller looks at it.
pub(super) async fn verified_claims(
    app: &App,
    token: &str,
    audience: Option<&str>,
) -> Result<AccessClaims, AuthenticateError> {
    let expected =
        Expected { issuer: &app.settings.server.issuer, audience, leeway: app.settings.tokens.leeway };
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
