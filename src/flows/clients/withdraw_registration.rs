use super::delete_client::remove;
use crate::app::App;
use crate::domain::ClientId;
use crate::domain::operations::{Actor, AuditContext, AuditEvent};
use crate::store::operations::audit;
use crate::store::{StoreError, clients};

/// An application takes its registration back (RFC 7592 section 2.3): the client goes, and its sessions end. `false` when it was
/// gone.
pub async fn withdraw_registration(
    app: &App,
    id: &ClientId,
    context: &AuditContext,
) -> Result<bool, StoreError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if clients::lock_for_update(&mut tx, id).await?.is_none() {
        return Ok(false);
    }
    let ended = remove(&mut tx, id, now).await?;
    let context = AuditContext { actor: Actor::Client(id.clone()), ..context.clone() };
    let detail = serde_json::json!({ "sessions": ended }).to_string();
    audit::append(&mut tx, AuditEvent::ClientWithdrawn, &context, id.as_str(), Some(&detail), now).await?;
    tx.commit().await?;
    Ok(true)
}
