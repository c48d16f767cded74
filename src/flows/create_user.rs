use chrono::{DateTime, Utc};

use crate::app::App;
use crate::domain::{
    AuditEvent, DisplayName, Email, NewPassword, Origin, PasswordHash, PasswordRejected, Roles, User, UserId,
    UserStatus,
};
use crate::passwords::Busy;
use crate::store::{StoreError, audit, users};

/// An administrator's wish for an account.
pub struct CreateUser<'a> {
    pub email: Email,
    pub password: &'a str,
    pub name: Option<DisplayName>,
    pub roles: Roles,
    pub origin: Origin,
}

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateUserError {
    #[error("this address has an account already")]
    EmailTaken,
    #[error(transparent)]
    Password(#[from] PasswordRejected),
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes an account with the given roles.
pub async fn create_user(app: &App, request: CreateUser<'_>) -> Result<User, CreateUserError> {
    let CreateUser { email, password, name, roles, origin } = request;
    let minimum = app.settings.passwords.min_length;
    let password = NewPassword::parse(password, minimum, &email, name.as_ref())?;
    let hash = app.hasher.hash(password).await?;
    let now = app.clock.now();
    let user = new_user(email, name, hash, roles, now);
    let mut tx = app.db.begin().await?;
    users::insert(&mut tx, &user).await.map_err(|error| match error {
        StoreError::Duplicate => CreateUserError::EmailTaken,
        other => other.into(),
    })?;
    let detail = serde_json::json!({ "roles": user.roles.names() }).to_string();
    audit::append(&mut tx, AuditEvent::UserCreated, &origin, &user.id.to_string(), Some(&detail), now)
        .await?;
    tx.commit().await?;
    tracing::info!(event = "user_created", user = %user.id, actor = %origin.actor);
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
