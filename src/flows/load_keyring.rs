use std::sync::Arc;

use crate::app::App;
use crate::domain::{KeySet, KeySetBroken};
use crate::keys::{Keyring, KeyringError, SealError, Signer, SignerError, open_private_key};
use crate::store::signing_keys::{self, StoredKey};
use crate::store::{self, StoreError};

/// Why this node has no view of the signing keys to work by.
#[derive(Debug, thiserror::Error)]
pub enum LoadKeyringError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Set(#[from] KeySetBroken),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Signer(#[from] SignerError),
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error("the current key has no private half")]
    NoPrivateHalf,
    #[error("the signing keys kept changing while they were read")]
    Unsettled,
}

/// The node's view, read anew when it is older than the policy allows. What signs goes through here: a node that cannot
/// read the database issues nothing, and no node signs with a key more than `keys.poll` after it was demoted.
pub async fn fresh_keyring(app: &App) -> Result<Arc<Keyring>, LoadKeyringError> {
    match app.keyring.load_full() {
        Some(keyring) if !keyring.is_stale(&app.settings.key_policy, app.clock.now()) => Ok(keyring),
        _ => load_keyring(app).await,
    }
}

/// Reads the keys and makes them this node's view.
pub async fn load_keyring(app: &App) -> Result<Arc<Keyring>, LoadKeyringError> {
    // A key that is demoted between reading it and recording our token life on it sends us round again.
    for _ in 0..3 {
        let (read_at, ticket) = (app.clock.now(), app.next_keyring_ticket());
        let stored = signing_keys::all(&mut app.db.read().await?).await?;
        let set = KeySet::new(stored.iter().map(|stored| stored.key.clone()).collect())?;
        if !record_token_life(app, &set).await? {
            continue;
        }
        let signer = signer_of(app, &set, &stored)?;
        let keyring = Arc::new(Keyring::new(set, signer, &app.settings.key_policy, read_at, ticket)?);
        // Two readers may finish out of order; the later look stays.
        app.keyring.rcu(|held| match held {
            Some(held) if held.is_later_than(&keyring) => Arc::clone(held),
            _ => Arc::clone(&keyring),
        });
        return Ok(keyring);
    }
    Err(LoadKeyringError::Unsettled)
}

/// Retirement is computed from the longest life a key ever signed, so a life longer than recorded is recorded before the
/// first token. `false` when the key does not sign any more.
async fn record_token_life(app: &App, set: &KeySet) -> Result<bool, StoreError> {
    let life = app.settings.tokens.access_life;
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

/// The current key, opened and parsed only when it is another one than before.
fn signer_of(app: &App, set: &KeySet, stored: &[StoredKey]) -> Result<Arc<Signer>, LoadKeyringError> {
    let kid = &set.current().kid;
    if let Some(keyring) = app.keyring.load_full().filter(|keyring| keyring.signer().kid() == kid) {
        return Ok(Arc::clone(keyring.signer()));
    }
    let current = stored.iter().find(|stored| stored.key.kid == *kid);
    let sealed = current.and_then(|stored| stored.sealed.as_ref()).ok_or(LoadKeyringError::NoPrivateHalf)?;
    let alg = set.current().alg;
    let pkcs8 = open_private_key(&app.masters, kid, alg, &sealed.master_key_id, &sealed.ciphertext)?;
    Ok(Arc::new(Signer::from_pkcs8(kid.clone(), alg, &pkcs8)?))
}
