use super::authenticate::CurrentUser;
use crate::app::App;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::store::accounts::users;
use crate::store::operations::audit;
use crate::store::{StoreError, sessions};

/// Ends the caller's session, or all of the caller's sessions.
pub async fn log_out(
    app: &App,
    current: &CurrentUser,
    all: bool,
    context: &AuditContext,
) -> Result<(), StoreError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    users::lock_for_update(&mut tx, current.user.id).await?;
    let event = if all {
        sessions::revoke_of_user(&mut tx, current.user.id, None, now).await?;
        AuditEvent::SessionsEnded
    } else {
        sessions::revoke(&mut tx, current.session.id, now).await?;
        AuditEvent::LoggedOut
    };
    let detail = serde_json::json!({ "sid": current.session.id.0 }).to_string();
    audit::append(&mut tx, event, context, &current.user.id.to_string(), Some(&detail), now).await?;
    tx.commit().await
}
