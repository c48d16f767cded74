use std::time::Duration;

use chrono::TimeDelta;

use crate::app::App;
use crate::domain::keys::Consumer;
use crate::domain::oauth::{BackchannelLogout, DeviceGrant};
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::store::clients::client_registrations;
use crate::store::keys::{idempotency_keys, issued_tokens, jwks_consumers};
use crate::store::oauth::{authorization_codes, backchannel_logouts, device_codes, pushed_requests};
use crate::store::operations::audit;
use crate::store::passwords::{login_attempts, network_attempts};
use crate::store::sessions::replay_guard;
use crate::store::{StoreError, clients, sessions};

/// How long an Idempotency-Key, a failed attempt, an authorization code and a session that was ended are remembered.
const REMEMBER: TimeDelta = TimeDelta::hours(24);
/// How long an application that has registered itself waits for its first user.
const UNUSED_FOR: TimeDelta = TimeDelta::days(30);
/// Rows removed by one statement: short enough that nobody waits for it.
const BATCH: i64 = 1000;

/// Between two batches, so that a long clean-up leaves most of the database to others.
const BREATH: Duration = Duration::from_millis(50);

/// Deletes a batch at a time; the connection goes back between batches, so others get their turn.
macro_rules! in_batches {
    ($delete:expr) => {{
        let mut removed = 0;
        loop {
            let batch = $delete;
            removed += batch;
            if batch < BATCH.unsigned_abs() {
                break removed;
            }
            tokio::time::sleep(BREATH).await;
        }
    }};
}

/// Removes what is over: sessions past their absolute end, old Idempotency-Keys, failed attempts long past, consumers not
/// seen for long, counts of expired tokens, codes, devices, pushed requests, client secrets and assertions that are over,
/// applications that registered themselves and nobody uses, audit events past their time. Returns how many rows that was.
pub async fn clean_up(app: &App) -> Result<u64, StoreError> {
    let (now, db) = (app.clock.now(), &app.db);
    let (lockout_threshold, forgotten) = (app.settings.throttle.lockout_threshold, now - REMEMBER);
    let kept_since = now - app.settings.audit_retention;
    let mut removed = idempotency_keys::delete_older(&mut db.write().await?, forgotten).await?;
    removed += jwks_consumers::delete_unseen(&mut db.write().await?, now - Consumer::REMEMBERED_FOR).await?;
    removed += issued_tokens::delete_expired(&mut db.write().await?, forgotten).await?;
    removed += in_batches!(sessions::delete_expired(&mut db.write().await?, now, BATCH).await?);
    removed += in_batches!(sessions::delete_revoked(&mut db.write().await?, forgotten, BATCH).await?);
    removed += in_batches!({
        // One that was used is remembered, for it may come again.
        authorization_codes::delete_expired(&mut db.write().await?, now, forgotten, BATCH).await?
    });
    // Who tries for so long has given up by then.
    let told_since = now - BackchannelLogout::KEPT_FOR - BackchannelLogout::KEPT_FOR;
    removed +=
        in_batches!(backchannel_logouts::delete_older(&mut db.write().await?, told_since, BATCH).await?);
    removed += in_batches!(clients::delete_expired_secrets(&mut db.write().await?, now, BATCH).await?);
    removed += in_batches!(pushed_requests::delete_expired(&mut db.write().await?, now, BATCH).await?);
    removed += in_batches!({
        // A device that asks a little too late is told that its time is over, and not that nobody knows it.
        let unused = now - DeviceGrant::LIFE;
        device_codes::delete_expired(&mut db.write().await?, unused, forgotten, BATCH).await?
    });
    removed += in_batches!(replay_guard::delete_expired(&mut db.write().await?, now, BATCH).await?);
    removed += in_batches!(remove_unused_clients(app).await?);
    removed += in_batches!({
        login_attempts::delete_older(&mut db.write().await?, forgotten, lockout_threshold, BATCH).await?
    });
    removed += in_batches!(network_attempts::delete_settled(&mut db.write().await?, now, BATCH).await?);
    removed += in_batches!(audit::delete_older(&mut db.write().await?, kept_since, BATCH).await?);
    let kept = app.settings.max_unauthenticated_events;
    removed += in_batches!(audit::delete_unauthenticated(&mut db.write().await?, kept, BATCH).await?);
    Ok(removed)
}

async fn remove_unused_clients(app: &App) -> Result<u64, StoreError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let removed = client_registrations::delete_unused(&mut tx, now - UNUSED_FOR, now, BATCH).await?;
    for id in &removed {
        let (event, context) = (AuditEvent::ClientWithdrawn, AuditContext::schedule());
        audit::append(&mut tx, event, &context, id.as_str(), None, now).await?;
    }
    tx.commit().await?;
    Ok(u64::try_from(removed.len()).unwrap_or(BATCH.unsigned_abs()))
}
