use chrono::TimeDelta;

use crate::app::App;
use crate::domain::Consumer;
use crate::store::{StoreError, idempotency_keys, issued_tokens, jwks_consumers, login_attempts, sessions};

/// How long an Idempotency-Key and a failed attempt are remembered.
const REMEMBER: TimeDelta = TimeDelta::hours(24);
/// Rows removed by one statement: short enough that nobody waits for it.
const BATCH: i64 = 1000;

/// Removes what is over: sessions past their absolute end, old Idempotency-Keys, failed attempts long past, consumers not
/// seen for long, counts of expired tokens. A batch at a
/// time, and the connection goes back between batches, so others get their turn.
pub async fn clean_up(app: &App) -> Result<u64, StoreError> {
    let now = app.clock.now();
    let mut removed = idempotency_keys::delete_older(&mut app.db.write().await?, now - REMEMBER).await?;
    loop {
        let batch = sessions::delete_expired(&mut app.db.write().await?, now, BATCH).await?;
        removed += batch;
        if batch < BATCH.unsigned_abs() {
            break;
        }
    }
    removed +=
        jwks_consumers::delete_unseen(&mut app.db.write().await?, now - Consumer::REMEMBERED_FOR).await?;
    removed += issued_tokens::delete_expired(&mut app.db.write().await?, now - REMEMBER).await?;
    let hard_stop = app.settings.throttle.hard_stop;
    loop {
        let mut conn = app.db.write().await?;
        let batch = login_attempts::delete_older(&mut conn, now - REMEMBER, hard_stop, BATCH).await?;
        removed += batch;
        if batch < BATCH.unsigned_abs() {
            return Ok(removed);
        }
    }
}
