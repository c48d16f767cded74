use super::authorize::{Progress, asking, proceed, refusal, return_address};
use super::browser::{AuthorizeError, BrowserContext, NextStep, Restart, SubmittedForm};
use super::link_device::{begin_link, proceed_link, show_link_sign_in};
use crate::app::App;
use crate::domain::oauth::AuthorizationRequest;
use crate::domain::sessions::Session;
use crate::domain::{ClientId, OAuthCode, OAuthError};
use crate::flows::passwords::{AuthenticatedUser, LogIn, ProvePasswordError, prove_password};
use crate::flows::sessions::{BrowserUser, present_of};
use crate::flows::sessions::{audit_login, new_session};
use crate::store::accounts::users;
use crate::store::oauth::{authorization_codes, device_codes};
use crate::store::{StoreError, Tx, sessions};
use crate::throttle::DeviceToken;
use crate::tokens::{BrowserToken, PendingRequest, PendingRequestKind};

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
    /// This page has signed somebody in before; the request begins anew.
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
    page: &SubmittedForm,
    visitor: &BrowserContext,
    credentials: LogIn,
) -> Result<SignedIn, SignInError> {
    let SubmittedForm(flow) = page;
    let proved = prove_password(app, credentials).await?;
    let before = present_of(app, visitor.session.as_deref()).await?;
    let now = app.clock.now();
    let ends_at = now + app.settings.oauth.browser_session_life;
    let session = new_session(app, &proved, ClientId::browser(), now);
    let session = Session { expires_at: ends_at.min(session.expires_at), ..session };

    let mut tx = app.db.begin().await?;
    if !users::record_login(&mut tx, &proved.user, proved.rehashed.as_ref(), now).await? {
        return Err(ProvePasswordError::InvalidCredentials.into());
    }
    if !sessions::insert_of_flow(&mut tx, &session, Some(flow.id)).await? {
        return Err(SignInError::Used(restart_pending(app, flow)?));
    }
    if let Some(before) = &before {
        replace(&mut tx, before, &session).await?;
    }
    audit_login(&mut tx, &proved, &session, visitor.context.clone()).await?;
    tx.commit().await?;

    let AuthenticatedUser { user, device_token, .. } = proved;
    let cookie = BrowserToken::of(&app.master_keys, session.id);
    let present = Some(BrowserUser { session, user });
    let step = go_on(app, flow, present, visitor).await;
    Ok(SignedIn { cookie, device_token, step })
}

/// How a page that has done its work begins anew.
pub fn restart(app: &App, page: &SubmittedForm) -> Result<Restart, AuthorizeError> {
    restart_pending(app, &page.0)
}

fn restart_pending(app: &App, flow: &PendingRequest) -> Result<Restart, AuthorizeError> {
    Ok(match flow.kind {
        PendingRequestKind::Asked | PendingRequestKind::SignOut => Restart::Request(flow.parameters()),
        PendingRequestKind::Pushed | PendingRequestKind::Device => {
            let flow = flow.restarted(app.clock.now()).seal(&app.master_keys);
            Restart::PendingRequest(flow.ok_or(AuthorizeError::NoRandomness)?)
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

/// The page to sign in, once more: after wrong credentials, or for another account. `anew` lets it sign somebody in although it
/// has done so before.
pub async fn show_sign_in(
    app: &App,
    page: &SubmittedForm,
    visitor: &BrowserContext,
    anew: bool,
) -> Result<NextStep, AuthorizeError> {
    let fresh = page.0.restarted(app.clock.now());
    let flow = if anew { &fresh } else { &page.0 };
    if page.is_of_device() {
        return show_link_sign_in(app, flow, visitor).await;
    }
    let parameters = page.parameters();
    let (client, back) = return_address(app, &parameters).await?;
    // It was good when the page was made; where it is not any more, the next step says so.
    let request = AuthorizationRequest::read(&client, &parameters, back, app.settings.request_rules())
        .map_err(|_| AuthorizeError::Answered)?;
    Ok(NextStep::SignIn(Box::new(asking(app, flow, client, request)?)))
}

/// Shows a page that has an address of its own, as often as it is loaded.
pub async fn resume(
    app: &App,
    page: &SubmittedForm,
    visitor: &BrowserContext,
) -> Result<NextStep, AuthorizeError> {
    let present = present_of(app, visitor.session.as_deref()).await?;
    go_on(app, &page.0, present, visitor).await
}

/// Where a page leads that has been shown.
async fn go_on(
    app: &App,
    flow: &PendingRequest,
    present: Option<BrowserUser>,
    visitor: &BrowserContext,
) -> Result<NextStep, AuthorizeError> {
    if flow.kind == PendingRequestKind::Device {
        return proceed_link(app, flow, present, visitor).await;
    }
    let parameters = flow.parameters();
    let progress = Progress { flow, parameters: &parameters, present, agreed: false, asked: true };
    proceed(app, progress, visitor).await
}

/// The user agrees, or does not.
pub async fn decide(
    app: &App,
    page: &SubmittedForm,
    visitor: &BrowserContext,
    agrees: bool,
) -> Result<NextStep, AuthorizeError> {
    let parameters = page.parameters();
    if !agrees {
        return turn_back(app, page, visitor).await;
    }
    let present = present_of(app, visitor.session.as_deref()).await?;
    let progress = Progress { flow: &page.0, parameters: &parameters, present, agreed: true, asked: true };
    proceed(app, progress, visitor).await
}

/// Back to the client with nothing.
pub async fn turn_back(
    app: &App,
    page: &SubmittedForm,
    visitor: &BrowserContext,
) -> Result<NextStep, AuthorizeError> {
    // Nobody has decided anything about the device.
    if page.is_of_device() {
        return Ok(NextStep::Device(begin_link(app, visitor)?));
    }
    let (_, back) = return_address(app, &page.parameters()).await?;
    let error = OAuthError::new(OAuthCode::AccessDenied, "the user does not agree");
    Ok(NextStep::Return(refusal(app, &back, &error)))
}
