use crate::app::App;
use crate::domain::accounts::{BeyondAuthority, User};
use crate::domain::{Email, UserId};
use crate::store::StoreError;
use crate::store::accounts::users;

/// Why nothing was done with an account.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("there is no such user")]
    NotFound,
    #[error(transparent)]
    Authority(#[from] BeyondAuthority),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The account with this id.
pub async fn get_user(app: &App, id: UserId) -> Result<User, UserError> {
    users::by_id(&mut app.db.read().await?, id).await?.ok_or(UserError::NotFound)
}

/// The account with this address.
pub async fn find_user(app: &App, email: &Email) -> Result<User, UserError> {
    users::by_email(&mut app.db.read().await?, email).await?.ok_or(UserError::NotFound)
}
