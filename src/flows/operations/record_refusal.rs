use crate::app::App;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::store::StoreError;
use crate::store::operations::audit;

/// Records that somebody was turned away. That it could not be recorded changes nothing about it, and is logged.
pub async fn record_refusal(app: &App, event: AuditEvent, context: &AuditContext, subject: &str) {
    if let Err(error) = record(app, event, context, subject).await {
        tracing::warn!(event = event.as_str(), actor = %context.actor, subject, %error, "not in the audit table");
    }
}

async fn record(
    app: &App,
    event: AuditEvent,
    context: &AuditContext,
    subject: &str,
) -> Result<(), StoreError> {
    let mut tx = app.db.begin().await?;
    audit::append(&mut tx, event, context, subject, None, app.clock.now()).await?;
    tx.commit().await
}
