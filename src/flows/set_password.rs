use crate::app::App;
use crate::domain::{AuditEvent, NewPassword, Origin, PasswordRejected, User};
use crate::passwords::Busy;
use crate::store::{StoreError, audit, login_attempts, sessions, users};
use crate::throttle::Subject;

/// Why no password was set.
#[derive(Debug, thiserror::Error)]
pub enum SetPasswordError {
    #[error("there is no such user")]
    NotFound,
    #[error(transparent)]
    Password(#[from] PasswordRejected),
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An administrator sets a user's password. All the user's sessions end, and failed attempts are forgotten.
pub async fn set_password(
    app: &App,
    user: &User,
    password: &str,
    origin: &Origin,
) -> Result<(), SetPasswordError> {
    let minimum = app.settings.passwords.min_length;
    let password = NewPassword::parse(password, minimum, &user.email, user.name.as_ref())?;
    let hash = app.hasher.hash(password).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if !users::set_password(&mut tx, user.id, &hash, None, now).await? {
        return Err(SetPasswordError::NotFound);
    }
    sessions::revoke_of_user(&mut tx, user.id, None, now).await?;
    login_attempts::clear(&mut tx, Subject::address(&app.masters, &user.email).as_bytes()).await?;
    audit::append(&mut tx, AuditEvent::PasswordChanged, origin, &user.id.to_string(), None, now).await?;
    tx.commit().await?;
    tracing::info!(event = "password_changed", user = %user.id, actor = %origin.actor);
    Ok(())
}
