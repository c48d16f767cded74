use super::authenticate::CurrentUser;
use crate::app::App;
use crate::domain::sessions::Session;
use crate::store::{StoreError, sessions};

/// The caller's live sessions, the last used first.
pub async fn list_sessions(app: &App, current: &CurrentUser) -> Result<Vec<Session>, StoreError> {
    let (limits, now) = (&app.settings.sessions, app.clock.now());
    sessions::live_of_user(&mut app.db.read().await?, current.user.id, limits, now).await
}
