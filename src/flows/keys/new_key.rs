use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::domain::keys::SigningKey;
use crate::keys::{GeneratedKey, KeyFactory, KeyFactoryError};
use crate::store::keys::signing_keys;
use crate::store::keys::signing_keys::SealedPrivateKey;
use crate::store::{StoreError, Tx};
use crate::tokens::{SealError, seal_private_key};

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub enum NewKeyError {
    #[error(transparent)]
    KeyFactory(#[from] KeyFactoryError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("making a key was interrupted")]
    Interrupted,
}

/// A new key, made on a thread that may be busy for a while.
pub(super) async fn generate_key(key_factory: &Arc<KeyFactory>) -> Result<GeneratedKey, NewKeyError> {
    let key_factory = Arc::clone(key_factory);
    let generated = tokio::task::spawn_blocking(move || key_factory.take_key()).await;
    Ok(generated.map_err(|_| NewKeyError::Interrupted)??)
}

/// Two new keys.
pub(in crate::flows) async fn generate_two(
    key_factory: &Arc<KeyFactory>,
) -> Result<(GeneratedKey, GeneratedKey), NewKeyError> {
    let one = generate_key(key_factory).await?;
    match generate_key(key_factory).await {
        Ok(two) => Ok((one, two)),
        Err(error) => {
            key_factory.return_unused(one);
            Err(error)
        }
    }
}

/// Seals a generated key and adds its row: published from `now`, signing from `activated_at` if given.
pub(in crate::flows) async fn insert_key(
    tx: &mut Tx,
    app: &App,
    generated: &GeneratedKey,
    activated_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), NewKeyError> {
    let sealed = seal_private_key(&app.master_keys, &generated.kid, generated.alg, &generated.pkcs8)?;
    let life = app.settings.tokens.access_token_ttl;
    let next =
        SigningKey::next(generated.kid.clone(), generated.alg, generated.public_jwk.clone(), life, now);
    let key = SigningKey { activated_at, ..next };
    let sealed = SealedPrivateKey { master_key_id: sealed.master_key_id, ciphertext: sealed.ciphertext };
    Ok(signing_keys::insert(tx, &key, Some(&sealed)).await?)
}
