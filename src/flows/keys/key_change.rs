//! What every change of the signing keys shares.

use chrono::{DateTime, TimeDelta, Utc};

use super::load_keyring::load_keyring;
use crate::app::App;
use crate::domain::keys::{KeySet, KeySetBroken, SigningKey};
use crate::store;
use crate::store::keys::signing_keys;
use crate::store::{Conn, StoreError};

/// The bounds have seconds to spare for a commit that takes less.
const SLOW_COMMIT: TimeDelta = TimeDelta::seconds(1);

/// Why the keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadKeysError {
    #[error(transparent)]
    Set(#[from] KeySetBroken),
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(in crate::flows) async fn read_set(conn: &mut Conn) -> Result<KeySet, ReadKeysError> {
    Ok(KeySet::new(signing_keys::all(conn).await?.into_iter().map(|stored| stored.key).collect())?)
}

/// What follows a committed change stamped `stamped_at`. It is a fact by now: what fails here is an alarm and not the
/// caller's failure. Gives the keys anew where mending changed them.
pub(in crate::flows) async fn finish_key_change(app: &App, stamped_at: DateTime<Utc>) -> Option<KeySet> {
    let repaired = repair_after_slow_commit(app, stamped_at).await.unwrap_or_else(|error| {
        tracing::error!(event = "slow_commit_not_repaired", %error);
        None
    });
    if let Err(error) = load_keyring(app).await {
        // The poll will read it.
        tracing::warn!(event = "keyring_not_loaded", %error);
    }
    repaired
}

/// Both bounds of a key's life count from the moment other nodes can see the change, and the rows say the moment before
/// the commit. Where the commit took long, the new next key's lead and the old key's retirement are moved by as much.
async fn repair_after_slow_commit(
    app: &App,
    stamped_at: DateTime<Utc>,
) -> Result<Option<KeySet>, ReadKeysError> {
    let now = app.clock.now();
    let took = now - stamped_at;
    if took <= SLOW_COMMIT {
        return Ok(None);
    }
    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    let set = read_set(&mut tx).await?;
    if set.next().published_at == stamped_at {
        signing_keys::postpone_publication(&mut tx, &set.next().kid, now).await?;
    }
    let signed = |key: &&SigningKey| key.demoted_at == Some(stamped_at) && key.activated_at.is_some();
    for demoted in set.all().iter().filter(signed) {
        let retires_at = demoted.retires_at.unwrap_or(now) + took;
        signing_keys::postpone_retirement(&mut tx, &demoted.kid, retires_at).await?;
    }
    signing_keys::announce(&mut tx).await?;
    let repaired = read_set(&mut tx).await?;
    tx.commit().await?;
    tracing::warn!(event = "slow_commit", ms = took.num_milliseconds());
    Ok(Some(repaired))
}
