use chrono::{DateTime, TimeDelta, Utc};
use zeroize::Zeroizing;

use super::key_change::{ReadKeysError, finish_key_change, read_set};
use crate::app::App;
use crate::domain::keys::{KeySet, KeyStatus, Kid, SigningKey};
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::keys::{ImportError, ImportOptions, ImportedKey, import_key as read_key};
use crate::store;
use crate::store::keys::signing_keys;
use crate::store::keys::signing_keys::SealedPrivateKey;
use crate::store::operations::audit;
use crate::store::{StoreError, Tx};
use crate::tokens::{SealError, seal_private_key};
use crate::views::KeyView;

/// Where an imported key takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It is published, and signs from the next rotation on. What waited before is taken back. Tokens it signed elsewhere live
    /// this long.
    Next { token_ttl: TimeDelta },
    /// It is published until the tokens it signed elsewhere are dead, which live this long. Its private half is not kept.
    Previous { token_ttl: TimeDelta },
}

impl Placement {
    /// Whether it is to sign here.
    fn signs(self) -> bool {
        matches!(self, Self::Next { .. })
    }
}

/// A wish to take in a key made elsewhere.
pub struct ImportKey {
    /// A PEM, DER or JWK file as it was read.
    pub file: Zeroizing<Vec<u8>>,
    pub options: ImportOptions,
    pub placement: Placement,
    /// Only tell what would happen.
    pub dry_run: bool,
    pub context: AuditContext,
}

/// Why the key was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportKeyError {
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("a key that is to sign needs its private half, and this is only the public one")]
    PrivateHalfMissing,
    #[error("signing key {kid} is here already, as {}", .status.as_str())]
    Known { kid: Kid, status: KeyStatus },
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Read(#[from] ReadKeysError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes in a key of another server with its own kid, so that services move over without a token being refused.
pub async fn import_key(app: &App, request: ImportKey) -> Result<KeyView, ImportKeyError> {
    let imported = read_key(&request.file, &request.options)?;
    if request.placement.signs() && imported.pkcs8.is_none() {
        return Err(ImportKeyError::PrivateHalfMissing);
    }
    let policy = &app.settings.key_policy;
    let seen = read_set(&mut app.db.read().await?).await?;
    let now = app.clock.now();
    refuse_known(&seen, &imported.kid, now)?;
    if request.dry_run {
        return Ok(KeyView::of(&row(app, &imported, request.placement, now), policy, now));
    }

    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    let set = read_set(&mut tx).await?;
    let now = app.clock.now();
    refuse_known(&set, &imported.kid, now)?;
    let key = row(app, &imported, request.placement, now);
    if request.placement.signs() {
        withdraw(&mut tx, app, &set, &key.kid, &request.context, now).await?;
    }
    let sealed = seal(app, &imported, request.placement)?;
    signing_keys::insert(&mut tx, &key, sealed.as_ref()).await?;
    let status = key.status(now).as_str();
    let detail = serde_json::json!({ "as": status, "alg": key.alg.as_str() }).to_string();
    let event = AuditEvent::KeyImported;
    audit::append(&mut tx, event, &request.context, key.kid.as_str(), Some(&detail), now).await?;
    signing_keys::announce(&mut tx).await?;
    tx.commit().await?;
    let repaired = finish_key_change(app, now).await;
    let key = repaired.as_ref().and_then(|set| set.find(&key.kid)).unwrap_or(&key);
    Ok(KeyView::of(key, policy, app.clock.now()))
}

fn refuse_known(set: &KeySet, kid: &Kid, now: DateTime<Utc>) -> Result<(), ImportKeyError> {
    match set.find(kid) {
        None => Ok(()),
        Some(key) => Err(ImportKeyError::Known { kid: kid.clone(), status: key.status(now) }),
    }
}

fn row(app: &App, imported: &ImportedKey, placement: Placement, now: DateTime<Utc>) -> SigningKey {
    let key = |life| SigningKey {
        imported_at: Some(now),
        ..SigningKey::next(imported.kid.clone(), imported.alg, imported.public_jwk.clone(), life, now)
    };
    match placement {
        Placement::Next { token_ttl } => key(token_ttl.max(app.settings.tokens.access_token_ttl)),
        Placement::Previous { token_ttl } => {
            key(token_ttl).verifying_until(app.settings.key_policy.retires_at(now, token_ttl))
        }
    }
}

/// The key that waited has signed nothing here, so nobody misses it.
async fn withdraw(
    tx: &mut Tx,
    app: &App,
    set: &KeySet,
    for_kid: &Kid,
    context: &AuditContext,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let waiting = &set.next().kid;
    let retires_at = app.settings.key_policy.withdrawn_until(set.next(), now);
    signing_keys::withdraw(tx, waiting, now, retires_at).await?;
    let detail = serde_json::json!({ "reason": "another key was imported", "next": for_kid.as_str() });
    let detail = detail.to_string();
    audit::append(tx, AuditEvent::KeyWithdrawn, context, waiting.as_str(), Some(&detail), now).await
}

fn seal(
    app: &App,
    imported: &ImportedKey,
    placement: Placement,
) -> Result<Option<SealedPrivateKey>, SealError> {
    let Some(pkcs8) = imported.pkcs8.as_ref().filter(|_| placement.signs()) else {
        return Ok(None);
    };
    let sealed = seal_private_key(&app.master_keys, &imported.kid, imported.alg, pkcs8)?;
    Ok(Some(SealedPrivateKey { master_key_id: sealed.master_key_id, ciphertext: sealed.ciphertext }))
}
