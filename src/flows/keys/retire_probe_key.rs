use crate::app::App;
use crate::domain::keys::Kid;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::store;
use crate::store::StoreError;
use crate::store::keys::signing_keys;
use crate::store::operations::audit;

/// Takes a drill's key out of the JWK Set. It retires and is not revoked: nothing is stolen, and caches need not be made to
/// ask each time. `false` when it has left already or never came.
pub async fn retire_probe_key(app: &App, kid: &Kid, service: &str) -> Result<bool, StoreError> {
    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    let now = app.clock.now();
    if !signing_keys::retire(&mut tx, kid, now).await? {
        return Ok(false);
    }
    let detail = serde_json::json!({ "what": "taken back", "service": service }).to_string();
    let (event, context) = (AuditEvent::ProbeKey, AuditContext::operator());
    audit::append(&mut tx, event, &context, kid.as_str(), Some(&detail), now).await?;
    signing_keys::announce(&mut tx).await?;
    tx.commit().await?;
    Ok(true)
}
