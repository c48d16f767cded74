use std::net::IpAddr;

use super::check_password::{Attempt, CheckPasswordError, Payers, TooManyAttempts, check_password};
use crate::app::App;
use crate::domain::Email;
use crate::domain::accounts::User;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::domain::passwords::{CandidatePassword, PasswordHash};
use crate::passwords::{Busy, Checked};
use crate::store::StoreError;
use crate::store::accounts::users;
use crate::throttle::{Account, DeviceToken, KnownDevice, Subject};

/// Credentials, and what they came from. What cannot be an address or a password is `None`, and wrong.
pub struct LogIn {
    pub email: Option<Email>,
    pub password: Option<CandidatePassword>,
    pub device: Device,
    pub context: AuditContext,
    /// What a device that has logged in before shows; see [`KnownDevice`].
    pub device_token: Option<String>,
}

/// Where a session lives, for the user to recognise it by.
#[derive(Clone, Debug, Default)]
pub struct Device {
    pub ip: Option<IpAddr>,
    pub user_agent: Option<String>,
}

/// Why nobody has proved who they are.
#[derive(Debug, thiserror::Error)]
pub enum ProvePasswordError {
    /// Unknown, wrong or disabled; nobody outside learns which.
    #[error("the credentials are not right")]
    InvalidCredentials,
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    TooManyAttempts(#[from] TooManyAttempts),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CheckPasswordError> for ProvePasswordError {
    fn from(error: CheckPasswordError) -> Self {
        match error {
            CheckPasswordError::Busy(busy) => Self::Busy(busy),
            CheckPasswordError::TooManyAttempts(error) => Self::TooManyAttempts(error),
            CheckPasswordError::Store(error) => Self::Store(error),
        }
    }
}

/// Somebody who has shown the right password a moment ago.
pub(in crate::flows) struct AuthenticatedUser {
    pub user: User,
    /// The password under the present cost, where its hash was made at a lower one.
    pub rehashed: Option<PasswordHash>,
    pub device: Device,
    pub known_device: bool,
    /// What the device may show next time.
    pub device_token: DeviceToken,
}

/// Checks credentials. Whoever begins a session with them must still see that the account has not changed meanwhile:
/// `users::record_login`.
pub(in crate::flows) async fn prove_password(
    app: &App,
    request: LogIn,
) -> Result<AuthenticatedUser, ProvePasswordError> {
    // The connection goes back before the hash is computed.
    let user = match &request.email {
        Some(email) => users::by_email(&mut app.db.read().await?, email).await?,
        None => None,
    };
    let account = request.email.as_ref().map(|email| Account::new(email, user.as_ref()));
    let known = account.as_ref().zip(request.device_token.as_deref());
    let known = known.and_then(|(account, token)| KnownDevice::parse(token, &app.master_keys, account));
    let subject = account.map(|account| match known {
        Some(device) => Subject::device(&app.master_keys, &account, device),
        None => Subject::account(&app.master_keys, &account),
    });
    let ip = request.device.ip.filter(|_| known.is_none());
    let payers = Payers::new(app, subject, ip);
    let attempt = Attempt { payers, context: &request.context, failure: AuditEvent::LoginFailed };
    let Checked::Right { rehashed } = check_password(app, attempt, user.as_ref(), request.password).await?
    else {
        return Err(ProvePasswordError::InvalidCredentials);
    };
    let user = user.ok_or(ProvePasswordError::InvalidCredentials)?;
    let account = Account::new(&user.email, Some(&user));
    let device_token = known.unwrap_or_else(KnownDevice::random).token(&app.master_keys, &account);
    Ok(AuthenticatedUser {
        rehashed,
        device: request.device,
        known_device: known.is_some(),
        device_token,
        user,
    })
}
