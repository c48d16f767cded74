use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::browser::{Answer, Asking, AuthorizeError, BrowserContext, NextStep};
use super::read_hint::read_hint;
use crate::app::App;
use crate::domain::clients::Client;
use crate::domain::oauth::{AuthorizationCode, AuthorizationRequest, NonRedirectableError, RedirectTarget};
use crate::domain::operations::AuditEvent;
use crate::domain::sessions::GrantedAccess;
use crate::domain::{ClientId, OAuthCode, OAuthError, Parameters, SessionId};
use crate::flows::keys::LoadKeyringError;
use crate::flows::sessions::scopes_now;
use crate::flows::sessions::{BrowserUser, browser_user_of};
use crate::store::oauth::{authorization_codes, consents, pushed_requests};
use crate::store::operations::audit;
use crate::store::{clients, sessions};
use crate::tokens::{
    AuthorizationCodeSecret, IdClaims, PendingRequest, PendingRequestKind, PresentedConsent, RequestUri,
};

/// A browser session is noted to be in use this often.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);

/// A client sends somebody here.
pub async fn begin_authorization(
    app: &App,
    parameters: &Parameters,
    browser: &BrowserContext,
) -> Result<NextStep, AuthorizeError> {
    let pushed = match pushed_name(parameters) {
        Some(name) => Some(consume_pushed(app, parameters, name).await?),
        None => None,
    };
    let kind = pushed.as_ref().map_or(PendingRequestKind::Asked, |_| PendingRequestKind::Pushed);
    let parameters = pushed.as_ref().unwrap_or(parameters);
    let pending = PendingRequest::begin(kind, parameters, browser.binding(app), app.clock.now());
    let browser_user = browser_user_of(app, browser.session.as_deref()).await?;
    let progress = Progress { pending: &pending, parameters, browser_user, agreed: false, asked: false };
    Ok(match proceed(app, progress, browser).await? {
        NextStep::SignIn(asking) | NextStep::Consent(asking, _) if kind == PendingRequestKind::Pushed => {
            NextStep::Continue(asking.pending)
        }
        step => step,
    })
}

/// The name of a request that was pushed here. Any other `request_uri` is a parameter like the rest, and is refused.
fn pushed_name(parameters: &Parameters) -> Option<&str> {
    parameters.get("request_uri").filter(|name| name.starts_with(RequestUri::PREFIX))
}

/// What the client has pushed under this name, which is good once and for this client. It takes the place of all that came with
/// the name (RFC 9126 section 4).
async fn consume_pushed(
    app: &App,
    parameters: &Parameters,
    name: &str,
) -> Result<Parameters, AuthorizeError> {
    let client = parameters.get("client_id").ok_or(NonRedirectableError::NoClient)?;
    let client = ClientId::parse(client).map_err(|_| NonRedirectableError::UnknownClient)?;
    let conn = &mut app.db.write().await?;
    let pushed =
        pushed_requests::consume(conn, &RequestUri::digest_of(name), &client, app.clock.now()).await?;
    Ok(pushed.ok_or(NonRedirectableError::NotPushed)?)
}

/// How far a request has come.
pub(super) struct Progress<'a> {
    pub pending: &'a PendingRequest,
    pub parameters: &'a Parameters,
    /// Who is signed in in this browser.
    pub browser_user: Option<BrowserUser>,
    /// The user has just agreed.
    pub agreed: bool,
    /// A page was shown, and gives one code and no more.
    pub asked: bool,
}

/// Reads the request anew, as at every step: what was sealed an hour ago may not be right any more.
pub(super) async fn proceed(
    app: &App,
    progress: Progress<'_>,
    browser: &BrowserContext,
) -> Result<NextStep, AuthorizeError> {
    let (pending, now) = (progress.pending, app.clock.now());
    let (client, back) = redirect_target(app, progress.parameters).await?;
    let refuse = |error: OAuthError| Ok(NextStep::Return(refusal(app, &back, &error)));
    let request = match AuthorizationRequest::read(
        &client,
        progress.parameters,
        back.clone(),
        app.settings.request_rules(),
    ) {
        Ok(request) => request,
        Err(error) => return refuse(error),
    };
    if client.require_pushed && pending.kind != PendingRequestKind::Pushed {
        return refuse(OAuthError::invalid_request("the client must push its requests (RFC 9126)"));
    }
    let hinted = match hinted_user(app, &client, &request).await? {
        Ok(hinted) => hinted,
        Err(error) => return refuse(error),
    };
    let is_hinted = |browser_user: &BrowserUser| {
        let user = browser_user.user.id;
        request.claims.admits(user) && hinted.as_ref().is_none_or(|hint| hint.sub == user.to_string())
    };
    let has_just_signed_in = |browser_user: &BrowserUser| browser_user.session.auth_time >= pending.begun();
    if progress
        .browser_user
        .as_ref()
        .is_some_and(|browser_user| has_just_signed_in(browser_user) && !is_hinted(browser_user))
    {
        return refuse(OAuthError::new(OAuthCode::LoginRequired, "somebody else has signed in"));
    }
    let fitting = progress.browser_user.filter(is_hinted);
    let session = fitting.as_ref().map(|browser_user| &browser_user.session);
    let Some(browser_user) =
        fitting.as_ref().filter(|_| !request.needs_sign_in(session, pending.begun(), now))
    else {
        if request.prompt.none {
            return refuse(OAuthError::new(
                OAuthCode::LoginRequired,
                "nobody is signed in, or not recently enough",
            ));
        }
        return Ok(NextStep::SignIn(Box::new(asking(app, pending, client, request)?)));
    };

    let mut conn = app.db.read().await?;
    let known = consents::of(&mut conn, browser_user.user.id, &client.id).await?;
    drop(conn);
    let presented = PresentedConsent { user: browser_user.user.id.0, scope: request.scopes.to_string() };
    // Somebody else may have signed in meanwhile in another tab, or the client have changed: what was not shown is not agreed to.
    let agreed = progress.agreed && pending.has_presented(&presented);
    if request.needs_consent(&client, known.as_ref()) && !agreed {
        if request.prompt.none {
            return refuse(OAuthError::new(OAuthCode::ConsentRequired, "the user has not agreed to this"));
        }
        let user = browser_user.user.clone();
        let asking = asking(app, &pending.presenting(presented), client, request)?;
        return Ok(NextStep::Consent(Box::new(asking), Box::new(user)));
    }
    let code = AuthorizationCodeSecret::random().ok_or(AuthorizeError::NoRandomness)?;
    let remembered =
        new_code(app, &request, &client, browser_user, &code, progress.asked.then_some(pending.id), now);
    let mut tx = app.db.begin().await?;
    if agreed {
        consents::remember(
            &mut tx,
            browser_user.user.id,
            &client.id,
            &known.unwrap_or_default().union(&request.scopes),
            now,
        )
        .await?;
        let detail = serde_json::json!({ "client": client.id.as_str(), "scope": request.scopes.to_string() });
        let (event, subject) = (AuditEvent::ConsentGiven, browser_user.user.id.to_string());
        audit::append(&mut tx, event, &browser.audit, &subject, Some(&detail.to_string()), now).await?;
    }
    if !authorization_codes::insert(&mut tx, &remembered).await? {
        return Err(AuthorizeError::Answered);
    }
    if now - browser_user.session.last_used_at > TOUCH_EVERY {
        sessions::mark_used(&mut tx, browser_user.session.id, now).await?;
    }
    tx.commit().await?;
    let parameters = vec![("code", code.expose().to_owned())];
    Ok(NextStep::Return(answer(app, &back, parameters)))
}

/// The client and where its answers go. Everything else may be told there.
pub(super) async fn redirect_target(
    app: &App,
    parameters: &Parameters,
) -> Result<(Client, RedirectTarget), AuthorizeError> {
    let id = parameters.get("client_id").ok_or(NonRedirectableError::NoClient)?;
    let id = ClientId::parse(id).map_err(|_| NonRedirectableError::UnknownClient)?;
    let client =
        clients::by_id(&mut app.db.read().await?, &id).await?.ok_or(NonRedirectableError::UnknownClient)?;
    let back = RedirectTarget::find(&client, parameters)?;
    Ok((client, back))
}

/// Whom the client believes to be there.
pub(super) async fn hinted_user(
    app: &App,
    client: &Client,
    request: &AuthorizationRequest,
) -> Result<Result<Option<IdClaims>, OAuthError>, LoadKeyringError> {
    let Some(hint) = &request.id_token_hint else { return Ok(Ok(None)) };
    Ok(match read_hint(app, hint).await? {
        Some(claims) if claims.aud == client.id.as_str() => Ok(Some(claims)),
        _ => Err(OAuthError::invalid_request("id_token_hint is no ID token of this client's")),
    })
}

pub(super) fn asking(
    app: &App,
    pending: &PendingRequest,
    client: Client,
    request: AuthorizationRequest,
) -> Result<Asking, AuthorizeError> {
    let pending = pending.seal(&app.master_keys).ok_or(AuthorizeError::NoRandomness)?;
    Ok(Asking {
        pending,
        client,
        scopes: request.scopes,
        login_hint: request.login_hint,
        return_to: Some(request.redirect_uri),
    })
}

fn new_code(
    app: &App,
    request: &AuthorizationRequest,
    client: &Client,
    browser_user: &BrowserUser,
    code: &AuthorizationCodeSecret,
    flow_id: Option<Uuid>,
    now: DateTime<Utc>,
) -> AuthorizationCode {
    let audience = client.audience_for(&request.resources);
    let requested = GrantedAccess { scopes: request.scopes.clone(), audience };
    let granted =
        GrantedAccess { scopes: scopes_now(app, &browser_user.user, Some(&requested)), ..requested };
    AuthorizationCode {
        digest: code.digest(),
        flow_id,
        client_id: client.id.clone(),
        browser: browser_user.session.id,
        granted,
        redirect_uri: request.redirect_uri.clone(),
        redirect_uri_was_sent: request.redirect_uri_was_sent,
        nonce: request.nonce.clone(),
        id_claims: request.claims.id_token.clone(),
        challenge: request.challenge.clone(),
        dpop_jkt: request.dpop_jkt.clone(),
        session: SessionId::new(now),
        created_at: now,
        expires_at: now + app.settings.oauth.code_ttl,
    }
}

/// An error for the client (RFC 6749 section 4.1.2.1).
pub(super) fn refusal(app: &App, back: &RedirectTarget, error: &OAuthError) -> Answer {
    let description: Cow<'_, str> = Cow::clone(&error.description);
    let parameters =
        vec![("error", error.code.as_str().to_owned()), ("error_description", description.into_owned())];
    answer(app, back, parameters)
}

/// With the client's `state` as it was sent, and who answers: a client of several servers must be able to tell them apart
/// (RFC 9207).
fn answer(app: &App, back: &RedirectTarget, mut parameters: Vec<(&'static str, String)>) -> Answer {
    parameters.extend(back.state.clone().map(|state| ("state", state)));
    parameters.push(("iss", app.settings.server.issuer.clone()));
    Answer { redirect_uri: back.redirect_uri.clone(), mode: back.mode, parameters }
}
