use chrono::{DateTime, Utc};

use super::client_authority::may_manage;
use super::find_client::ClientError;
use crate::app::App;
use crate::domain::ClientId;
use crate::domain::accounts::Authority;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::store::oauth::backchannel_logouts;
use crate::store::operations::audit;
use crate::store::{StoreError, Tx, clients, sessions};

/// Removes a client, and ends its sessions. Returns how many that were, or with `dry_run` would be.
pub async fn delete_client(
    app: &App,
    id: &ClientId,
    authority: &Authority,
    context: &AuditContext,
    dry_run: bool,
) -> Result<u64, ClientError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let client = clients::lock_for_update(&mut tx, id).await?.ok_or(ClientError::NotFound)?;
    may_manage(app, authority, &client)?;
    let ended = remove(&mut tx, id, now).await?;
    if dry_run {
        // What is not committed has not happened.
        return Ok(ended);
    }
    let detail = serde_json::json!({ "sessions": ended }).to_string();
    audit::append(&mut tx, AuditEvent::ClientDeleted, context, id.as_str(), Some(&detail), now).await?;
    tx.commit().await?;
    Ok(ended)
}

/// Removes a client and all that is its own. Returns how many of its sessions ended.
pub(super) async fn remove(tx: &mut Tx, id: &ClientId, now: DateTime<Utc>) -> Result<u64, StoreError> {
    // Its codes go with the row, so this waits for whoever is making a session of one; the statement after it sees that session.
    clients::delete(tx, id).await?;
    let ended = sessions::revoke_of_client(tx, id, None, now).await?;
    backchannel_logouts::forget_client(tx, id).await?;
    Ok(ended)
}
