use super::authenticate::Caller;
use crate::app::App;
use crate::domain::{AuditEvent, Origin};
use crate::store::{StoreError, audit, sessions};

/// Ends the caller's session, or all of the caller's sessions.
pub async fn log_out(app: &App, caller: &Caller, all: bool, origin: &Origin) -> Result<(), StoreError> {
    let now = app.clock.now();
    if all {
        let mut tx = app.db.begin().await?;
        sessions::revoke_of_user(&mut tx, caller.user.id, None, now).await?;
        let subject = caller.user.id.to_string();
        audit::append(&mut tx, AuditEvent::SessionsEnded, origin, &subject, None, now).await?;
        tx.commit().await?;
    } else {
        sessions::revoke(&mut app.db.write().await?, caller.session.id, now).await?;
    }
    tracing::info!(event = "logout", user = %caller.user.id, all);
    Ok(())
}
