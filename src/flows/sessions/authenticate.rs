use uuid::Uuid;

use super::issue_tokens::scopes_now;
use super::prove_key::{PresentedProof, ProveKeyError, prove_key};
use crate::app::App;
use crate::domain::accounts::User;
use crate::domain::clients::{Client, GrantType};
use crate::domain::operations::Actor;
use crate::domain::sessions::Session;
use crate::domain::{ClientId, Scopes, SessionId, UserId};
use crate::flows::keys::{LoadKeyringError, fresh_keyring, load_keyring};
use crate::store::accounts::users;
use crate::store::{StoreError, clients, sessions};
use crate::tokens::{AccessClaims, DpopError, Expected, TokenError, verify};

/// A user who is asking, by a good access token of a live session.
#[derive(Debug)]
pub struct CurrentUser {
    pub user: User,
    pub session: Session,
    /// What the token grants and the user's roles still give.
    pub scopes: Scopes,
    /// The client that acts for the user, by a token it got in exchange. Then it is not the session's client who asks.
    pub acting: Option<ClientId>,
}

/// Who is asking.
#[derive(Debug)]
pub enum TokenSubject {
    User(Box<CurrentUser>),
    /// A service account: a client on its own behalf.
    Service {
        client: Box<Client>,
        scopes: Scopes,
    },
}

impl TokenSubject {
    pub fn scopes(&self) -> &Scopes {
        match self {
            Self::User(current) => &current.scopes,
            Self::Service { scopes, .. } => scopes,
        }
    }

    pub fn actor(&self) -> Actor {
        match self {
            Self::User(current) => Actor::User(current.user.id),
            Self::Service { client, .. } => Actor::Client(client.id.clone()),
        }
    }
}

/// An access token as it is shown.
pub struct PresentedToken {
    pub text: String,
    /// `None` when it is shown as a bearer's, which proves nothing.
    pub proof: Option<PresentedProof>,
}

/// Why a bearer is nobody.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the token is bound to a key, and is shown as a bearer's")]
    Bound,
    #[error("the token is bound to no key")]
    Unbound,
    #[error("the token is bound to another key")]
    WrongKey,
    #[error(transparent)]
    Proof(#[from] DpopError),
    #[error("the session has ended or its user may not act")]
    Ended,
    #[error(transparent)]
    Keys(#[from] LoadKeyringError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ProveKeyError> for AuthenticateError {
    fn from(error: ProveKeyError) -> Self {
        match error {
            ProveKeyError::Proof(error) => Self::Proof(error),
            ProveKeyError::Store(error) => Self::Store(error),
        }
    }
}

/// Verifies an access token as a service would, and then asks the database what a service cannot: whether the session and the
/// user, or the client, are still there. A token that is bound to a key costs one row for the minutes its proof is good.
pub async fn authenticate(app: &App, shown: &PresentedToken) -> Result<TokenSubject, AuthenticateError> {
    let claims = verified_claims(app, &shown.text, Some(app.settings.own_audience())).await?;
    check_binding(app, &claims, shown).await?;
    look_up(app, &claims).await
}

/// A token that is bound to a key is of use to who proves to have it, and one that is not is shown as a bearer's (RFC 9449
/// section 7.2).
async fn check_binding(
    app: &App,
    claims: &AccessClaims,
    shown: &PresentedToken,
) -> Result<(), AuthenticateError> {
    match (&claims.cnf, &shown.proof) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(AuthenticateError::Bound),
        (None, Some(_)) => Err(AuthenticateError::Unbound),
        (Some(bound), Some(proof)) => {
            let proof = prove_key(app, proof, Some(&shown.text))?;
            if proof.jkt() != bound.jkt {
                return Err(AuthenticateError::WrongKey);
            }
            proof.consume(&mut app.db.write().await?).await?;
            Ok(())
        }
    }
}

/// Who a token that is good in itself belongs to.
pub(in crate::flows) async fn look_up(
    app: &App,
    claims: &AccessClaims,
) -> Result<TokenSubject, AuthenticateError> {
    match claims.sid {
        Some(sid) => user_of(app, claims, SessionId(sid)).await,
        None => service_of(app, claims).await,
    }
}

async fn user_of(
    app: &App,
    claims: &AccessClaims,
    sid: SessionId,
) -> Result<TokenSubject, AuthenticateError> {
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
    let given = scopes_now(app, &user, session.granted.as_ref());
    let mut scopes = Scopes::from_claim(&claims.scope).intersection(&given);
    let mut acting = None;
    if claims.act.is_some() {
        // Nothing of it is written down, so it is good for as long as its client may do such a thing.
        let id = ClientId::new_unchecked(claims.client_id.clone());
        let client = clients::by_id(&mut conn, &id).await?;
        let client = client.filter(|client| client.may(GrantType::TokenExchange));
        scopes = scopes.intersection(&client.ok_or(AuthenticateError::Ended)?.scopes);
        acting = Some(id);
    }
    Ok(TokenSubject::User(Box::new(CurrentUser { user, session, scopes, acting })))
}

async fn service_of(app: &App, claims: &AccessClaims) -> Result<TokenSubject, AuthenticateError> {
    let id = ClientId::new_unchecked(claims.client_id.clone());
    let client = clients::by_id(&mut app.db.read().await?, &id).await?;
    let client = client.filter(|client| client.may(GrantType::ClientCredentials));
    let client = client.ok_or(AuthenticateError::Ended)?;
    let scopes = Scopes::from_claim(&claims.scope).intersection(&client.scopes);
    Ok(TokenSubject::Service { client: Box::new(client), scopes })
}

/// `audience` is left out where the caller looks at it.
pub(in crate::flows) async fn verified_claims(
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
