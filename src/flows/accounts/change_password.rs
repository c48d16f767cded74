use crate::app::App;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::domain::passwords::CandidatePassword;
use crate::flows::passwords::{Attempt, CheckPasswordError, Payers, TooManyAttempts, check_password};
use crate::flows::passwords::{NewPasswordError, hash_new_password};
use crate::flows::sessions::CurrentUser;
use crate::passwords::{Busy, Checked};
use crate::store::accounts::users;
use crate::store::operations::audit;
use crate::store::{StoreError, sessions};
use crate::throttle::{Account, Subject};

/// A user's wish for another password.
pub struct ChangePassword<'a> {
    pub current: Option<CandidatePassword>,
    pub new: &'a str,
}

/// Why the password stays.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    #[error("the current password is not right")]
    WrongPassword,
    #[error(transparent)]
    Password(#[from] NewPasswordError),
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    TooManyAttempts(#[from] TooManyAttempts),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CheckPasswordError> for ChangePasswordError {
    fn from(error: CheckPasswordError) -> Self {
        match error {
            CheckPasswordError::Busy(busy) => Self::Busy(busy),
            CheckPasswordError::TooManyAttempts(error) => Self::TooManyAttempts(error),
            CheckPasswordError::Store(error) => Self::Store(error),
        }
    }
}

/// Sets the caller's password, proved by the current one. Their other sessions end.
pub async fn change_password(
    app: &App,
    current: &CurrentUser,
    request: ChangePassword<'_>,
    context: &AuditContext,
) -> Result<(), ChangePasswordError> {
    let user = &current.user;
    let subject = Subject::account(&app.master_keys, &Account::new(&user.email, Some(user)));
    let payers = Payers::new(app, Some(subject), context.ip);
    let attempt = Attempt { payers, context, failure: AuditEvent::PasswordProofFailed };
    if check_password(app, attempt, Some(user), request.current).await? == Checked::Wrong {
        return Err(ChangePasswordError::WrongPassword);
    }
    let hash = hash_new_password(app, request.new, &user.email, user.name.as_ref()).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    // Of two changes at once, both proved by the same old password, one comes too late.
    if !users::set_password(&mut tx, user.id, &hash, Some(user.password_changed_at), now).await? {
        return Err(ChangePasswordError::WrongPassword);
    }
    sessions::revoke_of_user(&mut tx, user.id, Some(current.session.id), now).await?;
    audit::append(&mut tx, AuditEvent::PasswordChanged, context, &user.id.to_string(), None, now).await?;
    tx.commit().await?;
    Ok(())
}
