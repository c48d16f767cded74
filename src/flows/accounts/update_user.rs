use super::find_user::UserError;
use crate::app::App;
use crate::domain::accounts::{Authority, BeyondAuthority, Roles, User, UserStatus};
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::domain::{DisplayName, UserId};
use crate::store::accounts::users;
use crate::store::operations::audit;
use crate::store::sessions;

/// What an administrator changes of an account. `None` leaves a thing as it is.
#[derive(Debug, Default)]
pub struct UserChange {
    pub name: Option<Option<DisplayName>>,
    pub roles: Option<Roles>,
    pub status: Option<UserStatus>,
}

/// Changes name, roles or status. Disabling ends all the user's sessions in the same transaction.
pub async fn update_user(
    app: &App,
    id: UserId,
    change: UserChange,
    authority: &Authority,
    context: &AuditContext,
) -> Result<User, UserError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let before = users::by_id(&mut tx, id).await?.ok_or(UserError::NotFound)?;
    let name = change.name.as_ref().map(Option::as_ref);
    let changed = users::update(&mut tx, id, name, change.roles.as_ref(), change.status).await?;
    let user = changed.ok_or(UserError::NotFound)?;
    let scopes_of = |user: &User| app.settings.roles.scopes_of(&user.roles);
    if !authority.covers(&scopes_of(&before)) || !authority.covers(&scopes_of(&user)) {
        return Err(BeyondAuthority.into());
    }
    let event = match change.status {
        Some(UserStatus::Disabled) => AuditEvent::UserDisabled,
        Some(UserStatus::Active) => AuditEvent::UserEnabled,
        None => AuditEvent::UserUpdated,
    };
    if user.status == UserStatus::Disabled {
        sessions::revoke_of_user(&mut tx, id, None, now).await?;
    }
    let detail =
        serde_json::json!({ "roles": user.roles.names(), "status": user.status.as_str() }).to_string();
    audit::append(&mut tx, event, context, &id.to_string(), Some(&detail), now).await?;
    tx.commit().await?;
    Ok(user)
}
