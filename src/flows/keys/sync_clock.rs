use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::app::App;
use crate::store;
use crate::store::StoreError;

/// A machine clock further off than this is somebody's to mend.
const ALARM: TimeDelta = TimeDelta::seconds(5);

/// A measurement that took longer says too little about when the database looked at its clock.
const SLOW: Duration = Duration::from_millis(500);

/// Measures the machine's clock against the database's, so that all nodes bind agreeing times.
pub async fn sync_clock(app: &App) -> Result<(), StoreError> {
    let mut conn = app.db.read().await?;
    let asked = Instant::now();
    let Some(theirs) = store::database_clock(&mut conn).await? else {
        app.clock.correct_by(None);
        return Ok(());
    };
    let took = asked.elapsed();
    if took > SLOW {
        return Ok(());
    }
    // The database looked at its clock about halfway between question and answer.
    let offset = app.clock.correct_by(Some(theirs + took / 2));
    #[expect(clippy::cast_precision_loss, reason = "a gauge needs no more than 52 bits")]
    metrics::gauge!("chancery_clock_offset_seconds").set(offset.num_milliseconds() as f64 / 1000.0);
    if offset.abs() > ALARM {
        tracing::error!(
            event = "clock_offset",
            offset_ms = offset.num_milliseconds(),
            "this machine's clock is off from the database's"
        );
    }
    Ok(())
}
