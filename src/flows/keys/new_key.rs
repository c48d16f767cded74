use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::domain::keys::SigningKey;
use crate::keys::{Mint, MintError, MintedKey, SealError, seal_private_key};
use crate::store::keys::signing_keys;
use crate::store::keys::signing_keys::SealedPrivateKey;
use crate::store::{StoreError, Tx};

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub enum NewKeyError {
    #[error(transparent)]
    Mint(#[from] MintError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("making a key was interrupted")]
    Interrupted,
}

/// A new key, made on a thread that may be busy for a while.
pub(super) async fn mint_key(mint: &Arc<Mint>) -> Result<MintedKey, NewKeyError> {
    let mint = Arc::clone(mint);
    let minted = tokio::task::spawn_blocking(move || mint.take()).await;
    Ok(minted.map_err(|_| NewKeyError::Interrupted)??)
}

/// Two new keys.
pub(in crate::flows) async fn mint_two(mint: &Arc<Mint>) -> Result<(MintedKey, MintedKey), NewKeyError> {
    let one = mint_key(mint).await?;
    match mint_key(mint).await {
        Ok(two) => Ok((one, two)),
        Err(error) => {
            mint.give_back(one);
            Err(error)
        }
    }
}

/// Seals a minted key and adds its row: published from `now`, signing from `activated_at` if given.
pub(in crate::flows) async fn insert_key(
    tx: &mut Tx,
    app: &App,
    minted: &MintedKey,
    activated_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), NewKeyError> {
    let sealed = seal_private_key(&app.masters, &minted.kid, minted.alg, &minted.pkcs8)?;
    let life = app.settings.tokens.access_life;
    let next = SigningKey::next(minted.kid.clone(), minted.alg, minted.public_jwk.clone(), life, now);
    let key = SigningKey { activated_at, ..next };
    let sealed = SealedPrivateKey { master_key_id: sealed.master_key_id, ciphertext: sealed.ciphertext };
    Ok(signing_keys::insert(tx, &key, Some(&sealed)).await?)
}
