use super::browser::BrowserContext;
use super::read_hint::read_hint;
use crate::app::App;
use crate::domain::clients::{Client, RedirectUri};
use crate::domain::oauth::NonRedirectableError;
use crate::domain::operations::{Actor, AuditContext, AuditEvent};
use crate::domain::sessions::Session;
use crate::domain::{ClientId, Parameters, SessionId};
use crate::flows::keys::LoadKeyringError;
use crate::flows::sessions::{BrowserUser, browser_user_of};
use crate::store::accounts::users;
use crate::store::operations::audit;
use crate::store::{StoreError, clients, sessions};
use crate::tokens::{IdClaims, PendingRequest, PendingRequestKind, SealedState};

/// What happens to somebody whom a client sends here to sign out (OpenID Connect RP-Initiated Logout).
pub enum SignOutStep {
    /// They are asked: anybody could have sent them.
    Confirm {
        pending: SealedState,
        user: String,
        client: Option<Box<Client>>,
        return_to: Option<RedirectUri>,
    },
    /// They are signed out, and go back if that is where they came from.
    Done { return_to: Option<(RedirectUri, Option<String>)> },
}

/// Why nothing happens.
#[derive(Debug, thiserror::Error)]
pub enum SignOutError {
    #[error("id_token_hint is another client's")]
    BadHint,
    #[error("a parameter is there twice")]
    Repeated,
    #[error(transparent)]
    NonRedirectableError(#[from] NonRedirectableError),
    #[error("the operating system gives no randomness")]
    NoRandomness,
    #[error(transparent)]
    Keys(#[from] LoadKeyringError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A client sends somebody here to sign out. With an ID token of the one who is signed in it happens at once; without one
/// they are asked.
pub async fn begin_sign_out(
    app: &App,
    parameters: &Parameters,
    browser: &BrowserContext,
) -> Result<SignOutStep, SignOutError> {
    let asked = read(app, parameters).await?;
    let Some(browser_user) = browser_user_of(app, browser.session.as_deref()).await? else {
        if let Some(hint) = &asked.hint {
            end_hinted(app, hint, &browser.audit).await?;
        }
        return Ok(SignOutStep::Done { return_to: asked.return_to(parameters) });
    };
    if asked.hint.as_ref().is_some_and(|hint| hint.sub == browser_user.user.id.to_string()) {
        end(app, &browser_user, &browser.audit).await?;
        return Ok(SignOutStep::Done { return_to: asked.return_to(parameters) });
    }
    let pending =
        PendingRequest::begin(PendingRequestKind::SignOut, parameters, browser.binding(app), app.clock.now());
    Ok(SignOutStep::Confirm {
        pending: pending.seal(&app.master_keys).ok_or(SignOutError::NoRandomness)?,
        user: browser_user.user.email.to_string(),
        client: asked.client.map(Box::new),
        return_to: asked.redirect_uri,
    })
}

/// They have said so themselves, on a page of ours.
pub async fn confirm_sign_out(
    app: &App,
    parameters: &Parameters,
    browser: &BrowserContext,
) -> Result<SignOutStep, SignOutError> {
    let asked = read(app, parameters).await?;
    if let Some(browser_user) = browser_user_of(app, browser.session.as_deref()).await? {
        end(app, &browser_user, &browser.audit).await?;
    }
    Ok(SignOutStep::Done { return_to: asked.return_to(parameters) })
}

/// The browser's session, and what applications got from it, but for what was promised to go on.
async fn end(app: &App, browser_user: &BrowserUser, context: &AuditContext) -> Result<(), StoreError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    users::lock_for_update(&mut tx, browser_user.user.id).await?;
    if sessions::revoke(&mut tx, browser_user.session.id, now).await? {
        sessions::revoke_children(&mut tx, browser_user.session.id, now).await?;
        let context = AuditContext { actor: Actor::User(browser_user.user.id), ..context.clone() };
        let detail = serde_json::json!({ "sid": browser_user.session.id.0 }).to_string();
        let subject = browser_user.user.id.to_string();
        audit::append(&mut tx, AuditEvent::LoggedOut, &context, &subject, Some(&detail), now).await?;
    }
    tx.commit().await
}

/// Nobody is signed in in this browser any more, and the client still has what it got from it.
async fn end_hinted(app: &App, hint: &IdClaims, context: &AuditContext) -> Result<(), StoreError> {
    let Some(id) = hint.sid.as_deref().and_then(|sid| sid.parse().ok()).map(SessionId) else { return Ok(()) };
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let session = sessions::by_id(&mut tx, id).await?;
    let is_meant = |session: &Session| {
        session.user_id.to_string() == hint.sub
            && session.client_id.as_str() == hint.aud
            && !session.is_offline()
    };
    let Some(session) = session.filter(is_meant) else { return Ok(()) };
    if sessions::revoke(&mut tx, id, now).await? {
        let context = AuditContext { actor: Actor::Client(session.client_id), ..context.clone() };
        let detail = serde_json::json!({ "sid": id.0 }).to_string();
        audit::append(&mut tx, AuditEvent::LoggedOut, &context, &hint.sub, Some(&detail), now).await?;
    }
    tx.commit().await
}

/// What a client asks for, as far as it is sure.
struct Asked {
    hint: Option<IdClaims>,
    client: Option<Client>,
    redirect_uri: Option<RedirectUri>,
}

impl Asked {
    fn return_to(&self, parameters: &Parameters) -> Option<(RedirectUri, Option<String>)> {
        let state = parameters.get("state").map(str::to_owned);
        self.redirect_uri.clone().map(|uri| (uri, state))
    }
}

async fn read(app: &App, parameters: &Parameters) -> Result<Asked, SignOutError> {
    parameters.each_once().map_err(|_| SignOutError::Repeated)?;
    let shown = parameters.get("id_token_hint");
    let hint = match shown {
        Some(hint) => read_hint(app, hint).await?,
        None => None,
    };
    // Its key may have been revoked, or somebody made it up. Who is signed in is asked, and goes nowhere.
    if shown.is_some() && hint.is_none() {
        return Ok(Asked { hint, client: None, redirect_uri: None });
    }
    let named = parameters.get("client_id");
    let of_hint = hint.as_ref().map(|claims| claims.aud.as_str());
    if named.is_some_and(|named| of_hint.is_some_and(|hinted| hinted != named)) {
        return Err(SignOutError::BadHint);
    }
    let client = match named.or(of_hint) {
        Some(id) => {
            let id = ClientId::parse(id).map_err(|_| NonRedirectableError::UnknownClient)?;
            let found = clients::by_id(&mut app.db.read().await?, &id).await?;
            Some(found.ok_or(NonRedirectableError::UnknownClient)?)
        }
        None => None,
    };
    let redirect_uri = match (parameters.get("post_logout_redirect_uri"), &client) {
        (None, _) => None,
        (Some(_), None) => return Err(NonRedirectableError::NoClient.into()),
        (Some(presented), Some(client)) => {
            let is_registered = client.post_logout_redirect_uris.iter().any(|uri| uri.admits(presented));
            let uri = RedirectUri::parse(presented).ok().filter(|_| is_registered);
            Some(uri.ok_or(NonRedirectableError::WrongRedirectUri)?)
        }
    };
    Ok(Asked { hint, client, redirect_uri })
}
