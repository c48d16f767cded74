use chrono::{DateTime, Utc};

use crate::app::App;
use crate::domain::UserId;
use crate::domain::accounts::User;
use crate::store::StoreError;
use crate::store::accounts::users;

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
