use chrono::{DateTime, Utc};

use crate::app::App;
use crate::domain::accounts::{Authority, BeyondAuthority, Roles, User, UserStatus};
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::domain::passwords::PasswordHash;
use crate::domain::{DisplayName, Email, UserId};
use crate::flows::passwords::{NewPasswordError, hash_new_password};
use crate::store::StoreError;
use crate::store::accounts::users;
use crate::store::operations::audit;

/// An administrator's wish for an account.
pub struct CreateUser<'a> {
    pub email: Email,
    pub password: &'a str,
    pub name: Option<DisplayName>,
    pub roles: Roles,
    pub authority: Authority,
    pub context: AuditContext,
}

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateUserError {
    #[error("this address has an account already")]
    EmailTaken,
    #[error(transparent)]
    Authority(#[from] BeyondAuthority),
    #[error(transparent)]
    Password(#[from] NewPasswordError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes an account with the given roles.
pub async fn create_user(app: &App, request: CreateUser<'_>) -> Result<User, CreateUserError> {
    let CreateUser { email, password, name, roles, authority, context } = request;
    if !authority.covers(&app.settings.roles.scopes_of(&roles)) {
        return Err(BeyondAuthority.into());
    }
    let hash = hash_new_password(app, password, &email, name.as_ref()).await?;
    let now = app.clock.now();
    let user = new_user(email, name, hash, roles, now);
    let mut tx = app.db.begin().await?;
    if !users::insert(&mut tx, &user).await? {
        return Err(CreateUserError::EmailTaken);
    }
    let detail = serde_json::json!({ "roles": user.roles.names() }).to_string();
    audit::append(&mut tx, AuditEvent::UserCreated, &context, &user.id.to_string(), Some(&detail), now)
        .await?;
    tx.commit().await?;
    Ok(user)
}

pub(super) fn new_user(
    email: Email,
    name: Option<DisplayName>,
    password_hash: PasswordHash,
    roles: Roles,
    now: DateTime<Utc>,
) -> User {
    User {
        id: UserId::random(),
        email,
        email_verified: false,
        name,
        password_hash,
        password_changed_at: now,
        roles,
        status: UserStatus::Active,
        created_at: now,
        last_login_at: None,
    }
}
