use chrono::{DateTime, Utc};

use super::flush_usage::flush_usage;
use crate::app::App;
use crate::domain::keys::{Consumer, KnownConsumer};
use crate::store::StoreError;
use crate::store::keys::jwks_consumers;

/// Everyone who is known to fetch the JWK Set, the one longest not seen first, with what this node has seen just now.
pub async fn read_propagation(app: &App) -> Result<Vec<KnownConsumer>, StoreError> {
    flush_usage(app).await?;
    let oldest = oldest(app);

    let mut known = jwks_consumers::all(&mut app.db.read().await?).await?;
    known.retain(|consumer| consumer.last_seen_at >= oldest);
    Ok(known)
}

/// Sets the gauges of how far the next key has come.
pub async fn measure_propagation(app: &App) -> Result<(), StoreError> {
    let Some(keyring) = app.keyring.load_full() else { return Ok(()) };
    let published_at = keyring.set().next().published_at;
    let (known, fetched) =
        jwks_consumers::reach(&mut app.db.read().await?, published_at, oldest(app)).await?;
    #[expect(clippy::cast_precision_loss, reason = "a thousand at most")]
    let count = |n: i64| n as f64;
    metrics::gauge!("chancery_jwks_consumers", "next_key" => "fetched").set(count(fetched));
    metrics::gauge!("chancery_jwks_consumers", "next_key" => "not_fetched").set(count(known - fetched));
    Ok(())
}

fn oldest(app: &App) -> DateTime<Utc> {
    app.clock.now() - Consumer::REMEMBERED_FOR
}
