use super::key_change::{ReadKeysError, finish_key_change};
use super::new_key::{NewKeyError, generate_key, insert_key};
use super::open_key::{OpenKeyError, open_key};
use super::rotate_keys::{RotateKeys, RotateKeysError, rotate_keys};
use crate::app::App;
use crate::domain::keys::{KeySet, Kid, SigningKey, Trigger};
use crate::domain::operations::{AuditContext, AuditEvent, Reason};
use crate::keys::{Keyring, MasterKeys};
use crate::store;
use crate::store::keys::signing_keys;
use crate::store::keys::signing_keys::StoredKey;
use crate::store::operations::audit;
use crate::store::{Conn, StoreError};

/// Why a damaged key is still there.
#[derive(Debug, thiserror::Error)]
pub enum RepairKeysError {
    #[error(transparent)]
    Read(#[from] ReadKeysError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NewKey(#[from] NewKeyError),
    #[error(transparent)]
    Rotate(#[from] RotateKeysError),
}

/// Mends what can be mended: writes down a public half that was made anew, and replaces a key whose private half cannot be
/// used, a waiting one by another, the signing one by rotating as soon as the gate allows it. Only where the row is damaged
/// beyond doubt; a node that was given other master keys, or is of an older version, must not touch what it cannot read.
pub async fn repair_keys(app: &App) -> Result<(), RepairKeysError> {
    let Some(keyring) = app.keyring.load_full() else { return Ok(()) };
    let set = keyring.set();
    let is_sound = |key: &SigningKey| keyring.is_sound(&key.kid);
    if is_sound(set.current()) && is_sound(set.next()) {
        return Ok(());
    }
    repair_public_keys(app, &keyring).await?;
    // The connection goes back before anything else is asked of the pool.
    let pair = read_pair(&mut app.db.read().await?).await?;
    match pair {
        Some(Pair { current, next }) if is_damaged(&app.master_keys, &next, &current) => {
            replace_next(app).await
        }
        Some(Pair { current, next }) if is_damaged(&app.master_keys, &current, &next) => {
            replace_current(app).await
        }
        // All is well, or nothing opens, which is no damage but the wrong master key.
        _ => Ok(()),
    }
}

/// Writes down the public halves that this node made anew from their private halves.
async fn repair_public_keys(app: &App, keyring: &Keyring) -> Result<(), RepairKeysError> {
    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    let stored = signing_keys::all(&mut tx).await?;
    let mut repaired = Vec::new();
    for row in stored.iter().filter(|row| row.sealed.is_some()) {
        let Some(opened) = keyring.opened(&row.key.kid) else { continue };
        let is_altered = matches!(row.key.damage, None | Some("public_jwk")) && !opened.fits(&row.key);
        let Some(public_jwk) = opened.signer.public_jwk().filter(|_| is_altered) else { continue };
        signing_keys::repair_public_key(&mut tx, &row.key.kid, &public_jwk).await?;
        repaired.push(row.key.kid.clone());
    }
    let now = app.clock.now();
    for kid in &repaired {
        let (event, context) = (AuditEvent::KeyRepaired, AuditContext::schedule());
        audit::append(&mut tx, event, &context, kid.as_str(), None, now).await?;
    }
    if !repaired.is_empty() {
        signing_keys::announce(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The current and the next key as they are stored.
struct Pair {
    current: StoredKey,
    next: StoredKey,
}

async fn read_pair(conn: &mut Conn) -> Result<Option<Pair>, RepairKeysError> {
    let mut stored = signing_keys::all(conn).await?;
    let set = KeySet::new(stored.iter().map(|stored| stored.key.clone()).collect());
    let set = set.map_err(ReadKeysError::from)?;
    let mut take = |kid: &Kid| {
        let at = stored.iter().position(|stored| stored.key.kid == *kid)?;
        Some(stored.swap_remove(at))
    };
    Ok(take(&set.current().kid).zip(take(&set.next().kid)).map(|(current, next)| Pair { current, next }))
}

/// Whether `key` is damaged beyond doubt: a cell cannot be read, or it does not open under a master key that opens `other`.
fn is_damaged(master_keys: &MasterKeys, key: &StoredKey, other: &StoredKey) -> bool {
    let master = |stored: &StoredKey| stored.sealed.as_ref().map(|sealed| sealed.master_key_id.clone());
    match open_key(master_keys, key) {
        Ok(_) => false,
        Err(error @ OpenKeyError::Damaged { .. }) => error.is_damage(),
        Err(OpenKeyError::NoPrivateHalf(_)) => true,
        Err(error) => {
            error.is_damage() && master(key) == master(other) && open_key(master_keys, other).is_ok()
        }
    }
}

async fn replace_next(app: &App) -> Result<(), RepairKeysError> {
    let generated = generate_key(&app.key_factory).await?;
    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    let Some(Pair { current, next }) = read_pair(&mut tx).await? else {
        app.key_factory.return_unused(generated);
        return Ok(());
    };
    let now = app.clock.now();
    let retires_at = app.settings.key_policy.withdrawn_until(&next.key, now);
    let withdrawn = is_damaged(&app.master_keys, &next, &current)
        && signing_keys::withdraw(&mut tx, &next.key.kid, now, retires_at).await?;
    if !withdrawn {
        app.key_factory.return_unused(generated);
        return Ok(());
    }
    insert_key(&mut tx, app, &generated, None, now).await?;
    let detail =
        serde_json::json!({ "reason": "its row is damaged", "next": generated.kid.as_str() }).to_string();
    let (event, context) = (AuditEvent::KeyWithdrawn, AuditContext::schedule());
    audit::append(&mut tx, event, &context, next.key.kid.as_str(), Some(&detail), now).await?;
    signing_keys::announce(&mut tx).await?;
    tx.commit().await?;
    finish_key_change(app, now).await;
    Ok(())
}

async fn replace_current(app: &App) -> Result<(), RepairKeysError> {
    let request = RotateKeys {
        trigger: Trigger::Repair,
        reason: Reason::parse("the row of the current key is damaged").ok(),
        dry_run: false,
        idempotency_key: None,
        context: AuditContext::schedule(),
    };
    match rotate_keys(app, request).await {
        Ok(_) | Err(RotateKeysError::NotEligible { .. } | RotateKeysError::Superseded) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
