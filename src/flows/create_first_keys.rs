use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::domain::{AuditEvent, Origin, SigningKey};
use crate::keys::{MasterKeys, Mint, MintError, MintedKey, SealError, seal_private_key};
use crate::store::signing_keys::SealedPrivateKey;
use crate::store::{self, StoreError, Tx, audit, signing_keys};

/// Why there are no keys to start with.
#[derive(Debug, thiserror::Error)]
pub enum CreateFirstKeysError {
    #[error(transparent)]
    Mint(#[from] MintError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("making keys was interrupted")]
    Interrupted,
}

/// On a database without keys, makes the first current and the first next one. Nobody has cached anything yet, so the
/// current one may sign at once. Any number of nodes may try together; one set comes of it. Returns whether it was ours.
pub async fn create_first_keys(app: &App) -> Result<bool, CreateFirstKeysError> {
    if !signing_keys::all(&mut app.db.read().await?).await?.is_empty() {
        return Ok(false);
    }
    let (current, next) = (mint_key(&app.mint).await?, mint_key(&app.mint).await?);
    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    if !signing_keys::all(&mut tx).await?.is_empty() {
        return Ok(false);
    }
    let now = app.clock.now();
    insert_key(&mut tx, &app.masters, &next, app, None, now).await?;
    insert_key(&mut tx, &app.masters, &current, app, Some(now), now).await?;
    let subject = current.kid.to_string();
    audit::append(&mut tx, AuditEvent::KeysCreated, &Origin::schedule(), &subject, None, now).await?;
    store::announce_keys(&mut tx).await?;
    tx.commit().await?;
    tracing::info!(event = "keys_created", kid = %current.kid, next = %next.kid);
    Ok(true)
}

/// A new key, made on a thread that may be busy for a while.
pub(super) async fn mint_key(mint: &Arc<Mint>) -> Result<MintedKey, CreateFirstKeysError> {
    let mint = Arc::clone(mint);
    let minted = tokio::task::spawn_blocking(move || mint.take()).await;
    Ok(minted.map_err(|_| CreateFirstKeysError::Interrupted)??)
}

/// Seals a minted key and adds its row: published from `now`, signing from `activated_at` if given.
pub(super) async fn insert_key(
    tx: &mut Tx,
    masters: &MasterKeys,
    minted: &MintedKey,
    app: &App,
    activated_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), CreateFirstKeysError> {
    let sealed = seal_private_key(masters, &minted.kid, minted.alg, &minted.pkcs8)?;
    let key = SigningKey {
        kid: minted.kid.clone(),
        alg: minted.alg,
        public_jwk: minted.public_jwk.clone(),
        longest_life: app.settings.tokens.access_life,
        created_at: now,
        published_at: now,
        activated_at,
        demoted_at: None,
        retires_at: None,
        revoked_at: None,
    };
    let sealed = SealedPrivateKey { master_key_id: sealed.master_key_id, ciphertext: sealed.ciphertext };
    Ok(signing_keys::insert(tx, &key, &sealed).await?)
}
