use secrecy::{ExposeSecret, SecretString};

use crate::app::App;
use crate::domain::passwords::{NewPassword, PasswordHash, PasswordRejected};
use crate::domain::{DisplayName, Email};
use crate::passwords::Busy;

/// Why a chosen password was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NewPasswordError {
    #[error(transparent)]
    Rejected(#[from] PasswordRejected),
    #[error(transparent)]
    Busy(#[from] Busy),
}

/// The one way for a password to be set: by the rules, and hashed.
pub(in crate::flows) async fn hash_new_password(
    app: &App,
    typed: &str,
    email: &Email,
    name: Option<&DisplayName>,
) -> Result<PasswordHash, NewPasswordError> {
    let minimum = app.settings.passwords.min_length;
    let (typed, email, name) = (SecretString::from(typed), email.clone(), name.cloned());
    let choose = move || NewPassword::parse(typed.expose_secret(), minimum, &email, name.as_ref());
    Ok(app.hasher.hash(choose).await??)
}
