use chrono::{DateTime, Utc};

use super::issue_tokens::{IssuedTokens, issue_tokens};
use crate::app::App;
use crate::domain::accounts::User;
use crate::domain::operations::{Actor, AuditContext, AuditEvent};
use crate::domain::sessions::Session;
use crate::domain::{ClientId, SessionId};
use crate::flows::keys::{LoadKeyringError, fresh_keyring};
use crate::flows::passwords::TooManyAttempts;
use crate::flows::passwords::{AuthenticatedUser, LogIn, ProvePasswordError, prove_password};
use crate::keys::SignerError;
use crate::passwords::Busy;
use crate::store::accounts::users;
use crate::store::operations::audit;
use crate::store::{StoreError, Tx, sessions};
use crate::throttle::DeviceToken;

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum LogInError {
    /// Unknown, wrong or disabled; nobody outside learns which.
    #[error("the credentials are not right")]
    InvalidCredentials,
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    TooManyAttempts(#[from] TooManyAttempts),
    #[error(transparent)]
    Keys(#[from] LoadKeyringError),
    #[error(transparent)]
    Sign(#[from] SignerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who logged in, with what, and what their device may show next time.
pub struct LoggedIn {
    pub user: User,
    pub tokens: IssuedTokens,
    pub device_token: DeviceToken,
}

impl From<ProvePasswordError> for LogInError {
    fn from(error: ProvePasswordError) -> Self {
        match error {
            ProvePasswordError::InvalidCredentials => Self::InvalidCredentials,
            ProvePasswordError::Busy(busy) => Self::Busy(busy),
            ProvePasswordError::TooManyAttempts(error) => Self::TooManyAttempts(error),
            ProvePasswordError::Store(error) => Self::Store(error),
        }
    }
}

/// Checks the credentials and begins a session.
pub async fn log_in(app: &App, request: LogIn) -> Result<LoggedIn, LogInError> {
    let context = request.context.clone();
    let authenticated = prove_password(app, request).await?;
    let user = &authenticated.user;
    let keyring = fresh_keyring(app).await?;
    let now = app.clock.now();
    let session = new_session(app, &authenticated, ClientId::first_party(), now);
    let tokens = issue_tokens(app, &keyring, user, &session, now)?;

    let mut tx = app.db.begin().await?;
    if !users::record_login(&mut tx, user, authenticated.rehashed.as_ref(), now).await? {
        return Err(LogInError::InvalidCredentials);
    }
    sessions::insert(&mut tx, &session).await?;
    audit_login(&mut tx, &authenticated, &session, context).await?;
    tx.commit().await?;
    Ok(LoggedIn { user: authenticated.user, tokens, device_token: authenticated.device_token })
}

/// The session of somebody who has just proved who they are.
pub(in crate::flows) fn new_session(
    app: &App,
    authenticated: &AuthenticatedUser,
    client_id: ClientId,
    now: DateTime<Utc>,
) -> Session {
    Session {
        id: SessionId::new(now),
        user_id: authenticated.user.id,
        client_id,
        generation: 1,
        reuse_count: 0,
        auth_time: now,
        amr: "pwd".to_owned(),
        created_at: now,
        last_used_at: now,
        expires_at: now + app.settings.sessions.max_lifetime,
        revoked_at: None,
        ip: authenticated.device.ip,
        user_agent: authenticated.device.user_agent.clone(),
        parent: None,
        granted: None,
        master_key_id: Some(app.master_keys.first().id().to_owned()),
        dpop_jkt: None,
    }
}

pub(in crate::flows) async fn audit_login(
    tx: &mut Tx,
    authenticated: &AuthenticatedUser,
    session: &Session,
    context: AuditContext,
) -> Result<(), StoreError> {
    let context = AuditContext { actor: Actor::User(authenticated.user.id), ..context };
    let detail = serde_json::json!({
        "sid": session.id.0, "known_device": authenticated.known_device, "client": session.client_id.as_str(),
    });
    let (event, subject) = (AuditEvent::LoginSucceeded, authenticated.user.id.to_string());
    audit::append(tx, event, &context, &subject, Some(&detail.to_string()), session.created_at).await
}
