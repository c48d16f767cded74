use chrono::TimeDelta;

use crate::app::App;
use crate::store::{StoreError, idempotency_keys, sessions};

/// How long an Idempotency-Key is remembered.
const REMEMBER: TimeDelta = TimeDelta::hours(24);
/// Rows removed by one statement: short enough that nobody waits for it.
const BATCH: i64 = 1000;

/// Removes what is over: sessions past their absolute end and old Idempotency-Keys, a batch at a time.
pub async fn clean_up(app: &App) -> Result<u64, StoreError> {
    let now = app.clock.now();
    let mut removed = idempotency_keys::delete_older(&mut app.db.write().await?, now - REMEMBER).await?;
    loop {
        // The connection goes back between batches, so others get their turn.
        let batch = sessions::delete_expired(&mut app.db.write().await?, now, BATCH).await?;
        removed += batch;
        if batch < BATCH.unsigned_abs() {
            return Ok(removed);
        }
    }
}
