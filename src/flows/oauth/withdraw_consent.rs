use crate::app::App;
use crate::domain::ClientId;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::flows::sessions::CurrentUser;
use crate::store::accounts::users;
use crate::store::oauth::{authorization_codes, consents, device_codes};
use crate::store::operations::audit;
use crate::store::{StoreError, sessions};

/// Takes back what the caller had let a client have, and ends what the client made of it. `false` when there was nothing.
pub async fn withdraw_consent(
    app: &App,
    current: &CurrentUser,
    client: &ClientId,
    context: &AuditContext,
) -> Result<bool, StoreError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    users::lock_for_update(&mut tx, current.user.id).await?;
    let codes = authorization_codes::delete_of(&mut tx, current.user.id, client).await?;
    let devices = device_codes::delete_of(&mut tx, current.user.id, client).await?;
    let had = consents::withdraw(&mut tx, current.user.id, client).await?;
    let ended = sessions::revoke_of_client(&mut tx, client, Some(current.user.id), now).await?;
    if !had && codes + devices + ended == 0 {
        return Ok(false);
    }
    let detail = serde_json::json!({ "client": client.as_str(), "sessions": ended }).to_string();
    let subject = current.user.id.to_string();
    audit::append(&mut tx, AuditEvent::ConsentWithdrawn, context, &subject, Some(&detail), now).await?;
    tx.commit().await?;
    Ok(true)
}
