use chrono::{DateTime, Utc};

use crate::app::App;
use crate::domain::{AuditEvent, DisplayName, Email, Origin, Roles, User, UserId, UserStatus};
use crate::store::{StoreError, audit, sessions, users};

/// What an administrator changes of an account. `None` leaves a thing as it is.
#[derive(Debug, Default)]
pub struct UserChange {
    pub name: Option<Option<DisplayName>>,
    pub roles: Option<Roles>,
    pub status: Option<UserStatus>,
}

/// Why an account was not found or changed.
#[derive(Debug, thiserror::Error)]
pub enum ManageUserError {
    #[error("there is no such user")]
    NotFound,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One page of accounts, oldest first, and where the next begins.
pub struct UserPage {
    pub users: Vec<User>,
    pub next: Option<(DateTime<Utc>, UserId)>,
}

pub async fn list_users(
    app: &App,
    after: Option<(DateTime<Utc>, UserId)>,
    limit: u16,
) -> Result<UserPage, StoreError> {
    let limit = usize::from(limit);
    let wanted = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let mut users = users::page(&mut app.db.read().await?, after, wanted).await?;
    let more = users.len() > limit;
    users.truncate(limit);
    let next = users.last().filter(|_| more).map(|user| (user.created_at, user.id));
    Ok(UserPage { users, next })
}

pub async fn get_user(app: &App, id: UserId) -> Result<User, ManageUserError> {
    users::by_id(&mut app.db.read().await?, id).await?.ok_or(ManageUserError::NotFound)
}

/// Whom an operator means.
pub async fn find_user(app: &App, email: &Email) -> Result<User, ManageUserError> {
    users::by_email(&mut app.db.read().await?, email).await?.ok_or(ManageUserError::NotFound)
}

/// Changes name, roles or status. Disabling ends all the user's sessions in the same transaction.
pub async fn update_user(
    app: &App,
    id: UserId,
    change: UserChange,
    origin: &Origin,
) -> Result<User, ManageUserError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let mut user = users::by_id(&mut tx, id).await?.ok_or(ManageUserError::NotFound)?;
    let event = match change.status {
        Some(status) if status == user.status => AuditEvent::UserUpdated,
        Some(UserStatus::Disabled) => AuditEvent::UserDisabled,
        Some(UserStatus::Active) => AuditEvent::UserEnabled,
        None => AuditEvent::UserUpdated,
    };
    user.name = change.name.unwrap_or(user.name);
    user.roles = change.roles.unwrap_or(user.roles);
    user.status = change.status.unwrap_or(user.status);
    if !users::update(&mut tx, id, user.name.as_ref(), &user.roles, user.status).await? {
        return Err(ManageUserError::NotFound);
    }
    if user.status == UserStatus::Disabled {
        sessions::revoke_of_user(&mut tx, id, None, now).await?;
    }
    let detail =
        serde_json::json!({ "roles": user.roles.names(), "status": user.status.as_str() }).to_string();
    audit::append(&mut tx, event, origin, &id.to_string(), Some(&detail), now).await?;
    tx.commit().await?;
    tracing::info!(event = event.as_str(), user = %id, actor = %origin.actor);
    Ok(user)
}

/// Removes an account and its sessions. The audit lines stay; they name only its id.
pub async fn delete_user(app: &App, id: UserId, origin: &Origin) -> Result<(), ManageUserError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if !users::delete(&mut tx, id).await? {
        return Err(ManageUserError::NotFound);
    }
    audit::append(&mut tx, AuditEvent::UserDeleted, origin, &id.to_string(), None, now).await?;
    tx.commit().await?;
    tracing::info!(event = "user_deleted", user = %id, actor = %origin.actor);
    Ok(())
}
