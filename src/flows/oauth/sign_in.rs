use super::authorize::{Progress, asking, proceed, redirect_target, refusal};
use super::browser::{AuthorizeError, BrowserContext, NextStep, Restart, SubmittedForm};
use super::link_device::{begin_link, proceed_link, show_link_sign_in};
use crate::app::App;
use crate::domain::oauth::AuthorizationRequest;
use crate::domain::sessions::Session;
use crate::domain::{ClientId, OAuthCode, OAuthError};
use crate::flows::passwords::{AuthenticatedUser, LogIn, ProvePasswordError, prove_password};
use crate::flows::sessions::{BrowserUser, browser_user_of};
use crate::flows::sessions::{audit_login, new_session};
use crate::store::accounts::users;
use crate::store::oauth::{authorization_codes, device_codes};
use crate::store::{StoreError, Tx, sessions};
use crate::throttle::DeviceToken;
use crate::tokens::{BrowserToken, PendingRequest, PendingRequestKind, ReturnTarget};

/// Somebody who has signed in at the hosted pages. They have, whatever becomes of what the client asked for.
pub struct SignedIn {
    pub cookie: BrowserToken,
    pub device_token: DeviceToken,
    pub step: Result<NextStep, AuthorizeError>,
}

/// Why nobody has signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error(transparent)]
    Proof(#[from] ProvePasswordError),
    /// This page has signed a user in before; the request begins again.
    #[error("this page has been used")]
    Used(Restart),
    #[error(transparent)]
    Authorize(#[from] AuthorizeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Begins a browser session, and goes on with what the client asked for. The session is always a new one, with a new id: who
/// knew the old one knows nothing (session fixation).
pub async fn sign_in(
    app: &App,
    submitted: &SubmittedForm,
    browser: &BrowserContext,
    credentials: LogIn,
) -> Result<SignedIn, SignInError> {
    let SubmittedForm(pending) = submitted;
    let authenticated = prove_password(app, credentials).await?;
    let before = browser_user_of(app, browser.session.as_deref()).await?;
    let now = app.clock.now();
    let ends_at = now + app.settings.oauth.browser_session_ttl;
    let session = new_session(app, &authenticated, ClientId::browser(), now);
    let session = Session { expires_at: ends_at.min(session.expires_at), ..session };

    let mut tx = app.db.begin().await?;
    if !users::record_login(&mut tx, &authenticated.user, authenticated.rehashed.as_ref(), now).await? {
        return Err(ProvePasswordError::InvalidCredentials.into());
    }
    if !sessions::insert_of_flow(&mut tx, &session, Some(pending.id)).await? {
        return Err(SignInError::Used(restart_pending(app, pending)?));
    }
    if let Some(before) = &before {
        replace(&mut tx, before, &session).await?;
    }
    audit_login(&mut tx, &authenticated, &session, browser.audit.clone()).await?;
    tx.commit().await?;

    let AuthenticatedUser { user, device_token, .. } = authenticated;
    let cookie = BrowserToken::of(&app.master_keys, session.id);
    let browser_user = Some(BrowserUser { session, user });
    let step = go_on(app, pending, browser_user, browser).await;
    Ok(SignedIn { cookie, device_token, step })
}

/// How the request of a used page begins again.
pub fn restart(app: &App, submitted: &SubmittedForm) -> Result<Restart, AuthorizeError> {
    restart_pending(app, &submitted.0)
}

fn restart_pending(app: &App, pending: &PendingRequest) -> Result<Restart, AuthorizeError> {
    Ok(match pending.kind {
        PendingRequestKind::Asked => Restart::Request(pending.parameters()),
        PendingRequestKind::SignOut => Restart::SignOut(pending.parameters()),
        PendingRequestKind::Pushed | PendingRequestKind::Device => {
            let pending = pending.restarted(app.clock.now()).seal(&app.master_keys);
            Restart::PendingRequest(pending.ok_or(AuthorizeError::NoRandomness)?)
        }
    })
}

/// The same user goes on where they were; another one does not get what was not theirs.
async fn replace(tx: &mut Tx, before: &BrowserUser, session: &Session) -> Result<(), StoreError> {
    // The browser's first, as wherever sessions end. What has ended since it was looked at leaves nothing to take over.
    if !sessions::revoke(tx, before.session.id, session.created_at).await? {
        return Ok(());
    }
    if before.session.user_id == session.user_id {
        let (from, to) = (before.session.id, session.id);
        sessions::transfer_children(tx, from, to).await?;
        authorization_codes::transfer_children(tx, from, to).await?;
        device_codes::transfer_children(tx, from, to).await?;
    } else {
        sessions::revoke_children(tx, before.session.id, session.created_at).await?;
    }
    Ok(())
}

/// The page to sign in, once more: after wrong credentials, or for another account. `is_restart` permits a
/// second sign-in with the page.
pub async fn show_sign_in(
    app: &App,
    submitted: &SubmittedForm,
    browser: &BrowserContext,
    is_restart: bool,
) -> Result<NextStep, AuthorizeError> {
    let fresh = submitted.0.restarted(app.clock.now());
    let pending = if is_restart { &fresh } else { &submitted.0 };
    match submitted.return_target() {
        Some(ReturnTarget::Device) => show_link_sign_in(app, pending, browser).await,
        Some(ReturnTarget::Client) => show_client_sign_in(app, pending).await,
        None => Err(AuthorizeError::Answered),
    }
}

async fn show_client_sign_in(app: &App, pending: &PendingRequest) -> Result<NextStep, AuthorizeError> {
    let parameters = pending.parameters();
    let (client, back) = redirect_target(app, &parameters).await?;
    // The request was good when the page was made. If it is not good any more, the next step says so.
    let request = AuthorizationRequest::read(&client, &parameters, back, app.settings.request_rules())
        .map_err(|_| AuthorizeError::Answered)?;
    Ok(NextStep::SignIn(Box::new(asking(app, pending, client, request)?)))
}

/// Shows a page that has an address of its own, as often as it is loaded.
pub async fn resume(
    app: &App,
    submitted: &SubmittedForm,
    browser: &BrowserContext,
) -> Result<NextStep, AuthorizeError> {
    let browser_user = browser_user_of(app, browser.session.as_deref()).await?;
    go_on(app, &submitted.0, browser_user, browser).await
}

/// Where a page leads that has been shown.
async fn go_on(
    app: &App,
    pending: &PendingRequest,
    browser_user: Option<BrowserUser>,
    browser: &BrowserContext,
) -> Result<NextStep, AuthorizeError> {
    match pending.kind.return_target() {
        Some(ReturnTarget::Device) => proceed_link(app, pending, browser_user, browser).await,
        Some(ReturnTarget::Client) => {
            let parameters = pending.parameters();
            let progress =
                Progress { pending, parameters: &parameters, browser_user, agreed: false, asked: true };
            proceed(app, progress, browser).await
        }
        None => Err(AuthorizeError::Answered),
    }
}

/// The user agrees, or does not.
pub async fn decide(
    app: &App,
    submitted: &SubmittedForm,
    browser: &BrowserContext,
    agrees: bool,
) -> Result<NextStep, AuthorizeError> {
    let parameters = submitted.parameters();
    if !agrees {
        return turn_back(app, submitted, browser).await;
    }
    let browser_user = browser_user_of(app, browser.session.as_deref()).await?;
    let progress =
        Progress { pending: &submitted.0, parameters: &parameters, browser_user, agreed: true, asked: true };
    proceed(app, progress, browser).await
}

/// Back to the client with nothing.
pub async fn turn_back(
    app: &App,
    submitted: &SubmittedForm,
    browser: &BrowserContext,
) -> Result<NextStep, AuthorizeError> {
    // The user has not decided about the device, so the page asks for the code again.
    if submitted.return_target() == Some(ReturnTarget::Device) {
        return Ok(NextStep::Device(begin_link(app, browser)?));
    }
    let (_, back) = redirect_target(app, &submitted.parameters()).await?;
    let error = OAuthError::new(OAuthCode::AccessDenied, "the user does not agree");
    Ok(NextStep::Return(refusal(app, &back, &error)))
}
