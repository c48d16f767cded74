use std::collections::{BTreeMap, HashMap};

use crate::app::App;
use crate::domain::keys::{Consumer, JwksFetch, KnownConsumer};
use crate::store::keys::{issued_tokens, jwks_consumers};
use crate::store::{StoreError, Tx};
use crate::usage_recorder::Batch;

/// A consumer that only comes back is written down this often.
const REFRESHED_EVERY: chrono::TimeDelta = chrono::TimeDelta::minutes(1);

/// Tells the database what this node has seen, in one transaction. What could not be told is kept for the next time.
pub async fn flush_usage(app: &App) -> Result<(), StoreError> {
    let mut taken = Taken { app, batch: app.usage_recorder.drain() };
    if taken.batch.is_empty() {
        return Ok(());
    }
    let untracked = write(app, &taken.batch).await?;
    taken.batch = Batch::default();
    metrics::counter!("chancery_jwks_consumers_untracked_total").increment(untracked);
    Ok(())
}

/// A batch that is restored if it is not written, also when the caller was cancelled.
struct Taken<'a> {
    app: &'a App,
    batch: Batch,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.app.usage_recorder.restore(std::mem::take(&mut self.batch));
    }
}

async fn write(app: &App, batch: &Batch) -> Result<u64, StoreError> {
    let mut tx = app.db.begin().await?;
    // Nodes write the same rows; in one order they cannot wait for each other in a circle.
    let issued: BTreeMap<_, _> = batch.issued.iter().collect();
    for ((kid, minute), tokens) in issued {
        issued_tokens::add(&mut tx, kid, *minute, *tokens).await?;
    }
    let untracked = write_consumers(&mut tx, batch).await?;
    tx.commit().await?;
    Ok(untracked + batch.untracked)
}

async fn write_consumers(tx: &mut Tx, batch: &Batch) -> Result<u64, StoreError> {
    if batch.consumers.is_empty() {
        return Ok(0);
    }
    let known = jwks_consumers::all(tx).await?;
    let (kept, untracked) = make_room(&known, batch);
    for (consumer, fetch) in kept {
        jwks_consumers::record(tx, &consumer, fetch).await?;
    }
    Ok(untracked)
}

/// The rows of a batch that are worth writing: consumers that are known and have news, and new ones as far as there is room, where
/// many of one network count as one. Also tells how many there was no room for.
fn make_room(known: &[KnownConsumer], batch: &Batch) -> (BTreeMap<Consumer, JwksFetch>, u64) {
    let rows: HashMap<&Consumer, &KnownConsumer> = known.iter().map(|row| (&row.consumer, row)).collect();
    let mut in_network: HashMap<&str, usize> = HashMap::new();
    for row in known {
        *in_network.entry(&row.consumer.network).or_default() += 1;
    }
    let mut room = Consumer::REMEMBERED.saturating_sub(known.len());
    let (mut kept, mut untracked) = (BTreeMap::<Consumer, JwksFetch>::new(), 0);
    for (consumer, fetch) in &batch.consumers {
        if let Some(row) = rows.get(consumer) {
            let is_news =
                fetch.published_until > row.published_until || fetch.at - row.last_seen_at >= REFRESHED_EVERY;
            if is_news {
                kept.insert(consumer.clone(), *fetch);
            }
            continue;
        }
        let neighbours = in_network.entry(&consumer.network).or_default();
        let is_crowded = *neighbours >= Consumer::PER_NETWORK;
        let consumer = if is_crowded { consumer.others() } else { consumer.clone() };
        if let Some(seen) = kept.get_mut(&consumer) {
            *seen = seen.merge(*fetch);
        } else if rows.contains_key(&consumer) {
            kept.insert(consumer, *fetch);
        } else if room > 0 {
            room -= 1;
            *neighbours += 1;
            kept.insert(consumer, *fetch);
        } else {
            untracked += 1;
        }
    }
    (kept, untracked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta, Utc};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn row(network: &str, agent: usize) -> KnownConsumer {
        let consumer = Consumer { network: network.to_owned(), user_agent: format!("agent {agent}") };
        KnownConsumer { consumer, first_seen_at: at(0), last_seen_at: at(100), published_until: at(50) }
    }

    fn batch(seen: impl IntoIterator<Item = KnownConsumer>, at_s: i64, published_s: i64) -> Batch {
        let fetch = JwksFetch { at: at(at_s), published_until: at(published_s) };
        let mut batch = Batch::default();
        batch.consumers = seen.into_iter().map(|row| (row.consumer, fetch)).collect();
        batch
    }

    #[test]
    fn a_consumer_that_only_comes_back_is_not_written_again_within_a_minute() {
        let known = [row("a", 1)];
        assert!(make_room(&known, &batch([row("a", 1)], 159, 50)).0.is_empty());
        assert_eq!(make_room(&known, &batch([row("a", 1)], 160, 50)).0.len(), 1);
        assert_eq!(make_room(&known, &batch([row("a", 1)], 101, 51)).0.len(), 1);
    }

    #[test]
    fn the_many_agents_of_one_network_count_as_one() {
        let (kept, untracked) = make_room(&[], &batch((0..100).map(|n| row("a", n)), 0, 0));
        assert_eq!((kept.len(), untracked), (Consumer::PER_NETWORK + 1, 0));
        assert!(kept.contains_key(&row("a", 1).consumer.others()));
    }

    #[test]
    fn a_full_table_takes_no_more_and_goes_on_with_those_it_has() {
        let known: Vec<KnownConsumer> = (0..1000).map(|n| row(&n.to_string(), 0)).collect();
        let seen = [row("7", 0), row("new", 0), row("newer", 0)];
        let (kept, untracked) = make_room(&known, &batch(seen, 500, 50));
        assert_eq!((kept.len(), untracked), (1, 2));
    }
}
