//! Housekeeping: each sub-module names the rows that it removes in its own `clean_ups.rs`; this file runs them.

use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::App;
use crate::store::StoreError;

/// How long an Idempotency-Key, a failed attempt, an authorization code and a revoked session are kept.
pub(super) const KEPT_FOR: TimeDelta = TimeDelta::hours(24);

/// Rows that one statement removes: few enough that other writers do not wait for it.
pub(super) const BATCH: i64 = 1000;

/// The pause between two batches, so that a long clean-up leaves most of the database to requests.
const PAUSE: Duration = Duration::from_millis(50);

type Removed<'a> = Pin<Box<dyn Future<Output = Result<u64, StoreError>> + Send + 'a>>;

/// Rows of one kind that are removed once they have no use.
pub(super) struct CleanUp {
    /// For the log.
    pub rows: &'static str,
    /// Removes up to [`BATCH`] rows and returns how many.
    pub remove_batch: for<'a> fn(&'a App, DateTime<Utc>) -> Removed<'a>,
}

/// A clean-up that is one statement: `clean_up!("sessions", |app, conn, now| sessions::delete_expired(conn, now, BATCH))`.
macro_rules! clean_up {
    ($rows:literal, |$app:pat_param, $conn:ident, $now:ident| $delete:expr) => {
        $crate::flows::clean_up::CleanUp {
            rows: $rows,
            remove_batch: |app, $now| {
                Box::pin(async move {
                    let $app = app;
                    let $conn = &mut app.db.write().await?;
                    $delete.await
                })
            },
        }
    };
}
pub(super) use clean_up;

/// Removes all rows of these kinds that have no use any more. A kind that fails does not keep the others from being removed;
/// the first failure is returned in the end.
pub(super) async fn run(app: &App, clean_ups: impl Iterator<Item = &CleanUp>) -> Result<u64, StoreError> {
    let now = app.clock.now();
    let (mut removed, mut failure) = (0, None);
    for clean_up in clean_ups {
        match remove_all(app, clean_up, now).await {
            Ok(0) => {}
            Ok(rows) => {
                tracing::debug!(event = "rows_removed", rows = clean_up.rows, removed = rows);
                removed += rows;
            }
            // Every other kind would wait for the database, too.
            Err(error @ StoreError::Unavailable(_)) => return Err(error),
            Err(error) => {
                tracing::warn!(event = "rows_not_removed", rows = clean_up.rows, %error);
                failure = failure.or(Some(error));
            }
        }
    }
    failure.map_or(Ok(removed), Err)
}

/// The connection goes back to the pool between batches.
async fn remove_all(app: &App, clean_up: &CleanUp, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        let batch = (clean_up.remove_batch)(app, now).await?;
        removed += batch;
        if batch < BATCH.unsigned_abs() {
            return Ok(removed);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
