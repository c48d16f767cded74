use super::authenticate::CurrentUser;
use crate::app::App;
use crate::domain::SessionId;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::store::accounts::users;
use crate::store::operations::audit;
use crate::store::{StoreError, sessions};

/// Ends one of the caller's own sessions. `false` when they have no such live session.
pub async fn end_session(
    app: &App,
    current: &CurrentUser,
    id: SessionId,
    context: &AuditContext,
) -> Result<bool, StoreError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    users::lock_for_update(&mut tx, current.user.id).await?;
    let own = sessions::by_id(&mut tx, id).await?.is_some_and(|session| {
        session.user_id == current.user.id && session.is_live(&app.settings.sessions, now)
    });
    let ended = own && sessions::revoke(&mut tx, id, now).await?;
    if ended {
        // Of a browser, what its applications got from it.
        sessions::revoke_children(&mut tx, id, now).await?;
        let detail = serde_json::json!({ "sid": id.0 }).to_string();
        let subject = current.user.id.to_string();
        audit::append(&mut tx, AuditEvent::SessionsEnded, context, &subject, Some(&detail), now).await?;
    }
    tx.commit().await?;
    Ok(ended)
}
