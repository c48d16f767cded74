use super::create_user::new_user;
use crate::app::App;
use crate::domain::{AuditEvent, DisplayName, Email, NewPassword, Origin, PasswordRejected, Roles, User};
use crate::passwords::Busy;
use crate::store::{StoreError, audit, users};

/// A stranger's wish for an account.
pub struct SignUp<'a> {
    pub email: Email,
    pub password: &'a str,
    pub name: Option<DisplayName>,
    pub origin: Origin,
}

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    #[error("registration is closed")]
    Closed,
    #[error(transparent)]
    Password(#[from] PasswordRejected),
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes an account without roles. Whoever asks for an address that has one gets the same answer after the same work,
/// and changes nothing: registration tells nobody who is registered (`docs/decisions/0005-registration-is-no-oracle.md`).
pub async fn sign_up(app: &App, request: SignUp<'_>) -> Result<User, SignUpError> {
    if !app.settings.registration {
        return Err(SignUpError::Closed);
    }
    let SignUp { email, password, name, origin } = request;
    let minimum = app.settings.passwords.min_length;
    let password = NewPassword::parse(password, minimum, &email, name.as_ref())?;
    let hash = app.hasher.hash(password).await?;
    let now = app.clock.now();
    let user = new_user(email, name, hash, Roles::default(), now);
    let mut tx = app.db.begin().await?;
    match users::insert(&mut tx, &user).await {
        Ok(()) => {
            let subject = user.id.to_string();
            audit::append(&mut tx, AuditEvent::UserCreated, &origin, &subject, None, now).await?;
            tx.commit().await?;
            tracing::info!(event = "user_created", user = %user.id, actor = %origin.actor);
        }
        Err(StoreError::Duplicate) => tracing::info!(event = "sign_up_repeated"),
        Err(error) => return Err(error.into()),
    }
    Ok(user)
}
