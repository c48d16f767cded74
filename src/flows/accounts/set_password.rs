use crate::app::App;
use crate::domain::accounts::{Authority, BeyondAuthority, User};
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::flows::passwords::{NewPasswordError, hash_new_password};
use crate::store::accounts::users;
use crate::store::operations::audit;
use crate::store::{StoreError, sessions};

/// Why no password was set.
#[derive(Debug, thiserror::Error)]
pub enum SetPasswordError {
    #[error("there is no such user")]
    NotFound,
    #[error(transparent)]
    Authority(#[from] BeyondAuthority),
    #[error(transparent)]
    Password(#[from] NewPasswordError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An administrator sets a user's password. All the user's sessions end, and failed
/// attempts count no more.
pub async fn set_password(
    app: &App,
    user: &User,
    password: &str,
    authority: &Authority,
    context: &AuditContext,
) -> Result<(), SetPasswordError> {
    if !authority.covers(&app.settings.roles.scopes_of(&user.roles)) {
        return Err(BeyondAuthority.into());
    }
    let hash = hash_new_password(app, password, &user.email, user.name.as_ref()).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if !users::set_password(&mut tx, user.id, &hash, None, now).await? {
        return Err(SetPasswordError::NotFound);
    }
    sessions::revoke_of_user(&mut tx, user.id, None, now).await?;
    audit::append(&mut tx, AuditEvent::PasswordChanged, context, &user.id.to_string(), None, now).await?;
    tx.commit().await?;
    Ok(())
}
