use chrono::{DateTime, TimeDelta, Utc};

use crate::app::App;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::flows::clean_up::{BATCH, CleanUp, clean_up};
use crate::store::clients::client_registrations;
use crate::store::operations::audit;
use crate::store::{StoreError, clients};

/// How long a client that registered itself may wait for its first user.
const UNUSED_FOR: TimeDelta = TimeDelta::days(30);

pub(in crate::flows) const CLEAN_UPS: &[CleanUp] = &[
    clean_up!("expired client secrets", |_, conn, now| clients::delete_expired_secrets(conn, now, BATCH)),
    CleanUp {
        rows: "unused self-registered clients",
        remove_batch: |app, now| Box::pin(remove_unused_clients(app, now)),
    },
];

async fn remove_unused_clients(app: &App, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let mut tx = app.db.begin().await?;
    let removed = client_registrations::delete_unused(&mut tx, now - UNUSED_FOR, now, BATCH).await?;
    for id in &removed {
        let (event, context) = (AuditEvent::ClientWithdrawn, AuditContext::schedule());
        audit::append(&mut tx, event, &context, id.as_str(), None, now).await?;
    }
    tx.commit().await?;
    Ok(u64::try_from(removed.len()).unwrap_or(BATCH.unsigned_abs()))
}
