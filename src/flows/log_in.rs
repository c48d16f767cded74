use std::net::IpAddr;

use super::check_password::{Attempt, CheckPasswordError, Payers, TooManyAttempts, check_password};
use super::issue_tokens::{IssuedTokens, issue_tokens};
use super::load_keyring::{LoadKeyringError, fresh_keyring};
use crate::app::App;
use crate::domain::{
    Actor, AuditEvent, CandidatePassword, ClientId, Email, Origin, Session, SessionId, User,
};
use crate::keys::SignerError;
use crate::passwords::{Busy, Checked};
use crate::store::{StoreError, audit, sessions, users};
use crate::throttle::{Account, DeviceToken, KnownDevice, Subject};

/// Credentials, and what they came from. What cannot be an address or a password is `None`, and wrong.
pub struct LogIn {
    pub email: Option<Email>,
    pub password: Option<CandidatePassword>,
    pub device: Device,
    pub origin: Origin,
    /// What a device that has logged in before shows; see [`KnownDevice`].
    pub device_token: Option<String>,
}

/// Where a session lives, for the user to recognise it by.
#[derive(Clone, Debug, Default)]
pub struct Device {
    pub ip: Option<IpAddr>,
    pub user_agent: Option<String>,
}

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

impl From<CheckPasswordError> for LogInError {
    fn from(error: CheckPasswordError) -> Self {
        match error {
            CheckPasswordError::Busy(busy) => Self::Busy(busy),
            CheckPasswordError::TooManyAttempts(error) => Self::TooManyAttempts(error),
            CheckPasswordError::Store(error) => Self::Store(error),
        }
    }
}

/// Checks the credentials and begins a session.
pub async fn log_in(app: &App, request: LogIn) -> Result<LoggedIn, LogInError> {
    // The connection goes back before the hash is computed.
    let user = match &request.email {
        Some(email) => users::by_email(&mut app.db.read().await?, email).await?,
        None => None,
    };
    let account = request.email.as_ref().map(|email| Account::new(email, user.as_ref()));
    let known = account.as_ref().zip(request.device_token.as_deref());
    let known = known.and_then(|(account, token)| KnownDevice::parse(token, &app.masters, account));
    let subject = account.map(|account| match known {
        Some(device) => Subject::device(&app.masters, &account, device),
        None => Subject::account(&app.masters, &account),
    });
    let ip = request.device.ip.filter(|_| known.is_none());
    let payers = Payers::new(app, subject, ip);
    let attempt = Attempt { payers, origin: &request.origin, failure: AuditEvent::LoginFailed };
    let Checked::Right { rehashed } = check_password(app, attempt, user.as_ref(), request.password).await?
    else {
        return Err(LogInError::InvalidCredentials);
    };
    let user = user.ok_or(LogInError::InvalidCredentials)?;
    let keyring = fresh_keyring(app).await?;
    let now = app.clock.now();
    let session = Session {
        id: SessionId::new(now),
        user_id: user.id,
        client_id: ClientId::first_party(),
        generation: 1,
        replays: 0,
        auth_time: now,
        amr: "pwd".to_owned(),
        created_at: now,
        last_used_at: now,
        expires_at: now + app.settings.sessions.absolute_life,
        revoked_at: None,
        ip: request.device.ip,
        user_agent: request.device.user_agent,
        master_key_id: Some(app.masters.first().id().to_owned()),
    };
    let tokens = issue_tokens(app, &keyring, &user, &session, now)?;

    let mut tx = app.db.begin().await?;
    if !users::note_login(&mut tx, &user, rehashed.as_ref(), now).await? {
        return Err(LogInError::InvalidCredentials);
    }
    sessions::insert(&mut tx, &session).await?;
    let origin = Origin { actor: Actor::User(user.id), ..request.origin };
    let detail = serde_json::json!({ "sid": session.id.0, "known_device": known.is_some() }).to_string();
    let (event, subject) = (AuditEvent::LoginSucceeded, user.id.to_string());
    audit::append(&mut tx, event, &origin, &subject, Some(&detail), now).await?;
    tx.commit().await?;
    let account = Account::new(&user.email, Some(&user));
    let device_token = known.unwrap_or_else(KnownDevice::random).token(&app.masters, &account);
    Ok(LoggedIn { user, tokens, device_token })
}
