use super::open_key::OpenKeyError;
use crate::app::App;
use crate::domain::keys::Kid;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::keys::{SealError, open_private_key, seal_private_key};
use crate::store;
use crate::store::StoreError;
use crate::store::keys::signing_keys;
use crate::store::keys::signing_keys::{SealedPrivateKey, StoredKey};
use crate::store::operations::audit;
use crate::store::sessions;
use crate::store::sessions::MasterKeyUse;
use crate::views::{MasterKeyView, RewrapView};

/// Why not every private key is sealed under the first master key.
#[derive(Debug, thiserror::Error)]
pub enum RewrapKeysError {
    /// The others are done; names every kid that is not.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    CannotOpen(Vec<OpenKeyError>),
    #[error("the signing keys kept changing while they were sealed anew; try again")]
    Unsettled,
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far it is: keys done, and keys in all.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Seals every private key anew under the first master key, one row and one transaction at a time: whatever ends it, what is
/// done is done, and running it again does the rest. Then tells what each configured master key is still needed for.
pub async fn rewrap_keys(
    app: &App,
    context: &AuditContext,
    dry_run: bool,
    progress: Progress<'_>,
) -> Result<RewrapView, RewrapKeysError> {
    let mut moved = Vec::new();
    // Keys that come by a rotation meanwhile are sealed in another round.
    for _ in 0..10 {
        let stored = signing_keys::all(&mut app.db.read().await?).await?;
        let sealed: Vec<&StoredKey> = stored.iter().filter(|key| key.sealed.is_some()).collect();
        let waiting: Vec<&StoredKey> = sealed.iter().copied().filter(|key| !is_done(app, key)).collect();
        if dry_run || waiting.is_empty() {
            moved.extend(waiting.iter().map(|stored| stored.key.kid.clone()));
            return report(app, &stored, &moved, dry_run).await;
        }
        let mut failed = Vec::new();
        let done_before = sealed.len() - waiting.len();
        for (at, key) in waiting.iter().enumerate() {
            progress(done_before + at, sealed.len());
            match rewrap(app, key, context).await {
                Ok(true) => moved.push(key.key.kid.clone()),
                Ok(false) => {}
                Err(RewrapKeysError::Seal(error)) => failed.push(error.into()),
                Err(error) => return Err(error),
            }
        }
        progress(sealed.len() - failed.len(), sealed.len());
        if !failed.is_empty() {
            return Err(RewrapKeysError::CannotOpen(failed));
        }
    }
    Err(RewrapKeysError::Unsettled)
}

fn is_done(app: &App, key: &StoredKey) -> bool {
    key.sealed.as_ref().is_none_or(|sealed| sealed.master_key_id == app.master_keys.first().id())
}

/// Opens and seals one key. `false` when its row has changed meanwhile.
async fn rewrap(app: &App, stored: &StoredKey, context: &AuditContext) -> Result<bool, RewrapKeysError> {
    let (key, Some(before)) = (&stored.key, &stored.sealed) else { return Ok(false) };
    let private =
        open_private_key(&app.master_keys, &key.kid, key.alg, &before.master_key_id, &before.ciphertext)?;
    let sealed = seal_private_key(&app.master_keys, &key.kid, key.alg, &private)?;
    let after = SealedPrivateKey { master_key_id: sealed.master_key_id, ciphertext: sealed.ciphertext };
    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    if !signing_keys::reseal(&mut tx, &key.kid, before, &after).await? {
        return Ok(false);
    }
    let detail = serde_json::json!({ "from": before.master_key_id, "to": after.master_key_id }).to_string();
    let now = app.clock.now();
    audit::append(&mut tx, AuditEvent::KeysRewrapped, context, key.kid.as_str(), Some(&detail), now).await?;
    // Every node looks at once whether it can open it.
    signing_keys::announce(&mut tx).await?;
    tx.commit().await?;
    Ok(true)
}

/// What each master key is needed for.
async fn report(
    app: &App,
    stored: &[StoredKey],
    moved: &[Kid],
    dry_run: bool,
) -> Result<RewrapView, RewrapKeysError> {
    let now = app.clock.now();
    let used = sessions::live_by_master_key(&mut app.db.read().await?, &app.settings.sessions, now).await?;
    let keys_under = |id: &str| {
        let seals = |key: &&StoredKey| key.sealed.as_ref().is_some_and(|sealed| sealed.master_key_id == id);
        stored.iter().filter(seals).count()
    };
    let view = |id: &str| {
        let is_first = id == app.master_keys.first().id();
        // A session of which it is not recorded may depend on any but the newest.
        let depends = |used: &&MasterKeyUse| match &used.master_key_id {
            Some(named) => named == id,
            None => !is_first,
        };
        let sessions: Vec<&MasterKeyUse> = used.iter().filter(depends).collect();
        MasterKeyView {
            id: id.to_owned(),
            first: is_first,
            signing_keys: keys_under(id),
            live_sessions: sessions.iter().map(|used| used.sessions).sum(),
            last_session_ends_at: sessions.iter().map(|used| used.last_expires_at).max(),
        }
    };
    Ok(RewrapView {
        sealed_under: app.master_keys.first().id().to_owned(),
        moved: moved.iter().map(ToString::to_string).collect(),
        master_keys: app.master_keys.iter().map(|master| view(master.id())).collect(),
        dry_run,
    })
}
