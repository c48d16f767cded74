use super::find_user::UserError;
use crate::app::App;
use crate::domain::UserId;
use crate::domain::accounts::{Authority, BeyondAuthority};
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::store::accounts::users;
use crate::store::operations::audit;
use crate::store::sessions;

/// Removes an account and its sessions. The audit lines stay; they name only its id.
pub async fn delete_user(
    app: &App,
    id: UserId,
    authority: &Authority,
    context: &AuditContext,
) -> Result<(), UserError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let user = users::by_id(&mut tx, id).await?.ok_or(UserError::NotFound)?;
    if !authority.covers(&app.settings.roles.scopes_of(&user.roles)) {
        return Err(BeyondAuthority.into());
    }
    // The rows go with the user; their clients are told before.
    sessions::revoke_of_user(&mut tx, id, None, now).await?;
    if !users::delete(&mut tx, id).await? {
        return Err(UserError::NotFound);
    }
    audit::append(&mut tx, AuditEvent::UserDeleted, context, &id.to_string(), None, now).await?;
    tx.commit().await?;
    Ok(())
}
