use super::authenticate::Caller;
use crate::app::App;
use crate::domain::SessionId;
use crate::store::{StoreError, sessions};

/// Ends one of the caller's own sessions. `false` when they have no such live session.
pub async fn end_session(app: &App, caller: &Caller, id: SessionId) -> Result<bool, StoreError> {
    let now = app.clock.now();
    let mut conn = app.db.write().await?;
    let own = sessions::by_id(&mut conn, id).await?.is_some_and(|session| {
        session.user_id == caller.user.id && session.is_live(&app.settings.sessions, now)
    });
    let ended = own && sessions::revoke(&mut conn, id, now).await?;
    if ended {
        tracing::info!(event = "session_ended", user = %caller.user.id, sid = %id);
    }
    Ok(ended)
}
