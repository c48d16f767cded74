use std::sync::Arc;

use super::open_key::{OpenKeyError, open_key, open_private_half};
use super::sync_clock::sync_clock;
use crate::app::App;
use crate::domain::keys::{KeySet, KeySetBroken, SigningKey};
use crate::keys::{KeyFault, Keyring, Opened, OpenedPrivateKeys, Reading};
use crate::store;
use crate::store::StoreError;
use crate::store::keys::signing_keys;
use crate::store::keys::signing_keys::StoredKey;

/// The column a public half is in.
const DAMAGED_PUBLIC_HALF: &str = "public_jwk";

/// Why this node has no view of the signing keys to work by.
#[derive(Debug, thiserror::Error)]
pub enum LoadKeyringError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Set(#[from] KeySetBroken),
    #[error("the signing keys kept changing while they were read")]
    Unsettled,
}

/// The node's view, read anew when it is older than the policy allows. What signs goes through here: a node that cannot
/// read the database issues nothing, and no node signs with a key more than `keys.refresh_interval` after it was demoted.
///
/// It is the first step of whatever goes by the time, so a clock that has jumped is measured here.
pub async fn fresh_keyring(app: &App) -> Result<Arc<Keyring>, LoadKeyringError> {
    if app.clock.has_jumped() {
        sync_clock(app).await?;
    }
    match app.keyring.load_full() {
        Some(keyring) if !keyring.is_stale(&app.settings.key_policy, app.clock.now()) => Ok(keyring),
        _ => load_keyring(app).await,
    }
}

/// Reads the keys and makes them this node's view.
pub async fn load_keyring(app: &App) -> Result<Arc<Keyring>, LoadKeyringError> {
    // A key that is demoted between reading it and recording our token life on it sends us round again.
    for _ in 0..3 {
        let mut conn = app.db.read().await?;
        let (at, ticket) = (app.clock.now(), app.next_keyring_ticket());
        // The version first: what is read after it is at least as new.
        let version = signing_keys::version(&mut conn).await?;
        let mut stored = signing_keys::all(&mut conn).await?;
        drop(conn);
        let held = app.keyring.load_full();
        let mut faults = repair_public_keys(app, &mut stored, held.as_deref());
        faults.extend(recall_damaged(app, &mut stored, held.as_deref()));
        let set = KeySet::new(stored.iter().map(|stored| stored.key.clone()).collect())?;
        if !record_token_ttl(app, &set).await? {
            continue;
        }

        let private = OpenedPrivateKeys {
            current: private_half(app, set.current(), &stored, held.as_deref(), &mut faults),
            next: private_half(app, set.next(), &stored, held.as_deref(), &mut faults),
        };
        let reading = Reading { at, ticket, version };
        let keyring = Arc::new(Keyring::new(set, private, faults, &app.settings.key_policy, reading));
        log_changes(held.as_deref(), &keyring);
        // Two readers may finish out of order; the later look stays.
        app.keyring.rcu(|held| match held {
            Some(held) if held.is_later_than(&keyring) => Arc::clone(held),
            _ => Arc::clone(&keyring),
        });
        return Ok(keyring);
    }
    Err(LoadKeyringError::Unsettled)
}

/// A public half that cannot be read, or that its private half does not belong to, must not be published. Where the private
/// half opens, the public half is made of it anew; `repair_keys` writes it down.
fn repair_public_keys(app: &App, stored: &mut [StoredKey], held: Option<&Keyring>) -> Vec<KeyFault> {
    let mut faults = Vec::new();
    for row in stored.iter_mut().filter(|row| row.sealed.is_some()) {
        if !matches!(row.key.damage, None | Some(DAMAGED_PUBLIC_HALF)) {
            continue;
        }
        let known = held.and_then(|held| held.opened(&row.key.kid)).cloned();
        let opened = known.or_else(|| open_private_half(&app.master_keys, row).ok().map(Arc::new));
        let Some(opened) = opened.filter(|opened| !opened.fits(&row.key)) else {
            continue;
        };
        let Some(public_jwk) = opened.signer.public_jwk() else { continue };
        let problem = "its public half was altered and is made anew from its private half".to_owned();
        faults.push(KeyFault { kid: row.key.kid.clone(), problem });
        row.key.public_jwk = public_jwk;
        row.key.damage = None;
    }
    faults
}

/// A row that has become unreadable while this node runs: what the node remembers of the key itself is still true, and tokens
/// it signed go on to verify. What has happened to the key since is only in the row.
fn recall_damaged(app: &App, stored: &mut [StoredKey], held: Option<&Keyring>) -> Vec<KeyFault> {
    let mut faults = Vec::new();
    for key in stored.iter_mut().map(|stored| &mut stored.key) {
        let Some(column) = key.damage else { continue };
        let remembered = held.and_then(|held| held.set().find(&key.kid)).filter(|key| key.damage.is_none());
        let Some(remembered) = remembered else { continue };
        let problem = format!("column {column} cannot be read; this node remembers the key");
        faults.push(KeyFault { kid: key.kid.clone(), problem });
        key.alg = remembered.alg;
        key.public_jwk = remembered.public_jwk.clone();
        key.longest_life = key.longest_life.max(remembered.longest_life);
        key.created_at = remembered.created_at;
        match column {
            "published_at" => key.published_at = remembered.published_at,
            "retires_at" => {
                let policy = &app.settings.key_policy;
                let computed = || key.demoted_at.map(|at| policy.retires_at(at, key.longest_life));
                key.retires_at = remembered.retires_at.or_else(computed);
            }
            _ => {}
        }
        key.damage = None;
    }
    faults
}

/// Retirement is computed from the longest life a key ever signed, so a life longer than recorded is recorded before the
/// first token. `false` when the key does not sign any more.
async fn record_token_ttl(app: &App, set: &KeySet) -> Result<bool, StoreError> {
    let life = app.settings.tokens.access_token_ttl;
    if set.current().longest_life >= life {
        return Ok(true);
    }
    let mut tx = app.db.begin().await?;
    // A rotation reads the recorded life under this lock.
    store::lock_signing_keys(&mut tx).await?;
    let recorded = signing_keys::raise_longest_life(&mut tx, &set.current().kid, life).await?;
    tx.commit().await?;
    Ok(recorded)
}

/// The private half of a key, opened and parsed only when its row is another one than before. One that has been opened
/// outlives damage to its row. What cannot be opened is noted and missed.
fn private_half(
    app: &App,
    key: &SigningKey,
    stored: &[StoredKey],
    held: Option<&Keyring>,
    faults: &mut Vec<KeyFault>,
) -> Option<Arc<Opened>> {
    let row = stored.iter().find(|stored| stored.key.kid == key.kid)?;
    let known = held.and_then(|held| held.opened(&key.kid)).cloned();
    let is_unchanged = |opened: &Arc<Opened>| {
        row.sealed.as_ref().is_some_and(|sealed| sealed.ciphertext == opened.ciphertext)
    };
    if known.as_ref().is_some_and(is_unchanged) {
        return known;
    }
    match open_key(&app.master_keys, row) {
        Ok(opened) => Some(Arc::new(opened)),
        // Told with the public half's faults.
        Err(OpenKeyError::Damaged { .. }) => known,
        Err(error) => {
            faults.push(KeyFault { kid: key.kid.clone(), problem: error.to_string() });
            known
        }
    }
}

/// Alarms, once each: keys that have come into quarantine, and a database that was set back.
fn log_changes(held: Option<&Keyring>, keyring: &Keyring) {
    let known = held.map(Keyring::faults).unwrap_or_default();
    for fault in keyring.faults().iter().filter(|fault| !known.contains(fault)) {
        tracing::error!(event = "signing_key_quarantined", kid = %fault.kid, problem = fault.problem);
    }
    if let Some(held) = held.filter(|held| !held.is_later_than(keyring) && held.version() > keyring.version())
    {
        metrics::counter!("chancery_signing_keys_set_back_total").increment(1);
        tracing::error!(
            event = "signing_keys_set_back",
            before = held.version(),
            now = keyring.version(),
            "the database holds older signing keys than before; was a backup restored?"
        );
    }
}
