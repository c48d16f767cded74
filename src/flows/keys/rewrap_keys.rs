use std::collections::BTreeMap;

use super::stored_secrets::{StoredSecrets, UnopenedSecrets};
use crate::app::App;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::store;
use crate::store::keys::sealed_columns::{PresentColumn, SealedRow, SealedUnder};
use crate::store::keys::{sealed_columns, signing_keys};
use crate::store::operations::audit;
use crate::store::sessions::MasterKeyUse;
use crate::store::{StoreError, Tx, sessions};
use crate::tokens::{SealError, SealedSecret};
use crate::views::{MasterKeyView, RewrapView};

/// Signing keys are few, and every node is notified of each change.
const SIGNING_KEYS_AT_ONCE: i64 = 1;
/// A short transaction, and a few round trips for a table of users.
const SECRETS_AT_ONCE: i64 = 100;

/// Why not every secret is sealed under the first master key.
#[derive(Debug, thiserror::Error)]
pub enum RewrapKeysError {
    /// Some secrets could not be opened. Names these secrets.
    #[error("{0}")]
    CannotOpen(UnopenedSecrets),
    #[error("the sealed secrets kept changing while they were sealed again; try again")]
    Unsettled,
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far it is: secrets done, and secrets in all.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// A column of this database, and how many secrets of it are sealed under each master key.
struct Counted<'a> {
    secrets: &'a StoredSecrets,
    column: PresentColumn,
    sealed: BTreeMap<String, i64>,
}

impl Counted<'_> {
    fn under(&self, master_key_id: &str) -> i64 {
        self.sealed.get(master_key_id).copied().unwrap_or(0)
    }
}

/// What was sealed again.
#[derive(Default)]
struct Moved {
    kids: Vec<String>,
    others: usize,
}

/// Seals every stored secret again under the first master key, a few rows and one transaction at a
/// time. Finished transactions survive an interruption, and a second run seals the rest. Then reports
/// which secrets still need each configured master key.
pub async fn rewrap_keys(
    app: &App,
    all: &[StoredSecrets],
    context: &AuditContext,
    dry_run: bool,
    progress: Progress<'_>,
) -> Result<RewrapView, RewrapKeysError> {
    let mut moved = Moved::default();
    // Secrets that are stored meanwhile under another master key are sealed in another round.
    for _ in 0..10 {
        let counted = count(app, all).await?;
        let first = app.master_keys.first().id();
        let total: i64 = counted.iter().flat_map(|counted| counted.sealed.values()).sum();
        let done: i64 = counted.iter().map(|counted| counted.under(first)).sum();
        if dry_run || done == total {
            if dry_run {
                moved = waiting(app, &counted).await?;
            }
            return report(app, &counted, moved, dry_run).await;
        }
        let as_usize = |number: i64| usize::try_from(number).unwrap_or(0);
        let (mut done, total, mut failed) = (as_usize(done), as_usize(total), UnopenedSecrets::default());
        for counted in &counted {
            let mut skip = 0;
            loop {
                progress(done, total);
                let batch = rewrap_batch(app, counted, context, skip, &mut failed).await?;
                let Some(batch) = batch else { break };
                done += batch.moved.len();
                skip += batch.left;
                match counted.secrets.are_signing_keys {
                    true => moved.kids.extend(batch.moved),
                    false => moved.others += batch.moved.len(),
                }
            }
        }
        progress(done, total);
        if !failed.is_empty() {
            return Err(RewrapKeysError::CannotOpen(failed));
        }
    }
    Err(RewrapKeysError::Unsettled)
}

async fn count<'a>(app: &App, all: &'a [StoredSecrets]) -> Result<Vec<Counted<'a>>, StoreError> {
    let mut conn = app.db.read().await?;
    let mut counted = Vec::new();
    for secrets in all {
        let Some(column) = sealed_columns::find(&mut conn, secrets.column).await? else { continue };
        let sealed = sealed_columns::count(&mut conn, column).await?.into_iter().collect();
        counted.push(Counted { secrets, column, sealed });
    }
    Ok(counted)
}

/// What a dry run would move.
async fn waiting(app: &App, counted: &[Counted<'_>]) -> Result<Moved, StoreError> {
    let (mut waiting, first) = (Moved::default(), app.master_keys.first().id());
    for counted in counted {
        let number: i64 = counted.sealed.values().sum::<i64>() - counted.under(first);
        if counted.secrets.are_signing_keys {
            let conn = &mut app.db.read().await?;
            let under = SealedUnder::AnyBut(first);
            let rows = sealed_columns::rows(conn, counted.column, under, 0, number).await?;
            waiting.kids.extend(rows.iter().map(name));
        } else {
            waiting.others += usize::try_from(number).unwrap_or(0);
        }
    }
    Ok(waiting)
}

/// The first cell of a row's identity.
fn name(row: &SealedRow) -> String {
    row.identity.first().cloned().flatten().unwrap_or_else(|| "?".to_owned())
}

/// Some rows of one column.
struct Batch {
    /// The names of the rows that were sealed again.
    moved: Vec<String>,
    /// Rows that could not be opened, or that have changed meanwhile.
    left: i64,
}

/// Seals the rows again that follow the first `skip` under an older master key. `None` when there
/// are none.
async fn rewrap_batch(
    app: &App,
    counted: &Counted<'_>,
    context: &AuditContext,
    skip: i64,
    failed: &mut UnopenedSecrets,
) -> Result<Option<Batch>, RewrapKeysError> {
    let Counted { secrets, column, .. } = counted;
    let at_once = match secrets.are_signing_keys {
        true => SIGNING_KEYS_AT_ONCE,
        false => SECRETS_AT_ONCE,
    };
    let under = SealedUnder::AnyBut(app.master_keys.first().id());
    let rows = sealed_columns::rows(&mut app.db.read().await?, *column, under, skip, at_once).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let (mut batch, mut resealed) = (Batch { moved: Vec::new(), left: 0 }, Vec::new());
    for row in rows {
        match reseal(app, secrets, &row) {
            Ok(after) => resealed.push((row, after)),
            Err(error) => {
                failed.push(error);
                batch.left += 1;
            }
        }
    }
    if resealed.is_empty() {
        return Ok(Some(batch));
    }
    let mut tx = app.db.begin().await?;
    if secrets.are_signing_keys {
        store::lock_signing_keys(&mut tx).await?;
    }
    let mut from = BTreeMap::new();
    for (before, SealedSecret { master_key_id, ciphertext }) in &resealed {
        match sealed_columns::replace(&mut tx, *column, before, master_key_id, ciphertext).await? {
            true => {
                *from.entry(before.master_key_id.clone()).or_insert(0) += 1;
                batch.moved.push(name(before));
            }
            false => batch.left += 1,
        }
    }
    if !batch.moved.is_empty() {
        record(&mut tx, app, secrets, &from, &batch.moved, context).await?;
        tx.commit().await?;
    }
    Ok(Some(batch))
}

fn reseal(app: &App, secrets: &StoredSecrets, row: &SealedRow) -> Result<SealedSecret, SealError> {
    let opened = secrets.open(&app.master_keys, row)?;
    secrets.kind.seal(&app.master_keys, &secrets.identity(row)?, opened.expose())
}

/// One audit event for a signing key, or for a batch of other secrets. `from` counts the rows by
/// the master key they had.
async fn record(
    tx: &mut Tx,
    app: &App,
    secrets: &StoredSecrets,
    from: &BTreeMap<String, usize>,
    moved: &[String],
    context: &AuditContext,
) -> Result<(), StoreError> {
    let (event, now, to) = (AuditEvent::KeysRewrapped, app.clock.now(), app.master_keys.first().id());
    if !secrets.are_signing_keys {
        let detail = serde_json::json!({ "from": from, "to": to }).to_string();
        return audit::append(tx, event, context, secrets.column.table, Some(&detail), now).await;
    }
    for kid in moved {
        let detail = serde_json::json!({ "from": from.keys().next(), "to": to }).to_string();
        audit::append(tx, event, context, kid, Some(&detail), now).await?;
    }
    // Every node looks at once whether it can open the key.
    signing_keys::announce(tx).await
}

/// What each master key is needed for.
async fn report(
    app: &App,
    counted: &[Counted<'_>],
    moved: Moved,
    dry_run: bool,
) -> Result<RewrapView, RewrapKeysError> {
    let now = app.clock.now();
    let used = sessions::live_by_master_key(&mut app.db.read().await?, &app.settings.sessions, now).await?;
    let sealed_under = |id: &str, are_signing_keys: bool| -> i64 {
        let counted = counted.iter().filter(|counted| counted.secrets.are_signing_keys == are_signing_keys);
        counted.map(|counted| counted.under(id)).sum()
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
            signing_keys: sealed_under(id, true),
            other_secrets: sealed_under(id, false),
            live_sessions: sessions.iter().map(|used| used.sessions).sum(),
            last_session_ends_at: sessions.iter().map(|used| used.last_expires_at).max(),
        }
    };
    Ok(RewrapView {
        sealed_under: app.master_keys.first().id().to_owned(),
        moved: moved.kids,
        moved_other_secrets: moved.others,
        master_keys: app.master_keys.iter().map(|master| view(master.id())).collect(),
        dry_run,
    })
}
