use crate::app::App;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::store::StoreError;
use crate::store::keys::signing_keys;
use crate::store::operations::audit;

/// Tells the audit table of keys that have left the JWK Set by the clock. Each is told once, by whichever node is first.
pub async fn record_retirements(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let retired = signing_keys::record_retirements(&mut tx, now).await?;
    for kid in &retired {
        let (event, context) = (AuditEvent::KeyRetired, AuditContext::schedule());
        audit::append(&mut tx, event, &context, kid.as_str(), None, now).await?;
    }
    tx.commit().await
}
