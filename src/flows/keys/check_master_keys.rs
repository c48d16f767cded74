use super::stored_secrets::{StoredSecrets, UnopenedSecrets};
use crate::keys::MasterKeys;
use crate::store::keys::sealed_columns;
use crate::store::keys::sealed_columns::{SealedRow, SealedUnder};
use crate::store::{Db, StoreError};
use crate::tokens::SealError;

/// How many secrets of one column are opened for each master key. Signing keys are never that many,
/// so all are opened.
const OPENED_PER_MASTER_KEY: i64 = 100;

/// Why the server must not start with these master keys.
#[derive(Debug, thiserror::Error)]
pub enum CheckMasterKeysError {
    /// Names every signing key that cannot be opened, and the first of other secrets.
    #[error("{0}")]
    Seal(UnopenedSecrets),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The secrets of one column under one master key.
struct Group<'a> {
    master_key_id: String,
    failed: Vec<Unopened<'a>>,
    /// Secrets beyond the ones that were opened.
    unread: i64,
    any_opened: bool,
}

/// Opens sealed secrets of every column under every master key that a row names, before anything is
/// written to the database. Returns how many secrets there are. A secret that does not open
/// although its master key opens another is a damaged row: an alarm. The server starts.
pub async fn check_master_keys(
    db: &Db,
    all: &[StoredSecrets],
    master_keys: Option<&MasterKeys>,
) -> Result<usize, CheckMasterKeysError> {
    let mut conn = db.read().await?;
    let (mut found, mut groups) = (0, Vec::new());
    for secrets in all {
        let Some(column) = sealed_columns::find(&mut conn, secrets.column).await? else { continue };
        for (master_key_id, sealed) in sealed_columns::count(&mut conn, column).await? {
            found += sealed;
            let under = SealedUnder::This(&master_key_id);
            let rows = sealed_columns::rows(&mut conn, column, under, 0, OPENED_PER_MASTER_KEY).await?;
            let opened = rows.iter().map(|row| open(secrets, master_keys, row));
            let (opened, failed): (Vec<_>, Vec<_>) = opened.partition(Result::is_ok);
            groups.push(Group {
                failed: failed.into_iter().filter_map(Result::err).collect(),
                unread: (sealed - OPENED_PER_MASTER_KEY).max(0),
                any_opened: !opened.is_empty(),
                master_key_id,
            });
        }
    }
    let proven: Vec<String> =
        groups.iter().filter(|group| group.any_opened).map(|group| group.master_key_id.clone()).collect();
    let mut refused = UnopenedSecrets::default();
    for group in groups {
        let is_damage = proven.contains(&group.master_key_id);
        for unopened in group.failed {
            match is_damage {
                true => unopened.log_damage(),
                false => refused.push(unopened.error),
            }
        }
        if !is_damage {
            refused.more += group.unread;
        }
    }
    match refused.is_empty() {
        true => Ok(usize::try_from(found).unwrap_or(usize::MAX)),
        false => Err(CheckMasterKeysError::Seal(refused)),
    }
}

/// A secret that its master key does not open.
struct Unopened<'a> {
    secrets: &'a StoredSecrets,
    row: String,
    error: SealError,
}

impl Unopened<'_> {
    fn log_damage(&self) {
        let Self { secrets, row, error } = self;
        let message = "the master key opens other secrets, so the row is damaged";
        match secrets.are_signing_keys {
            true => tracing::error!(event = "signing_key_damaged", kid = row, %error, message),
            false => tracing::error!(event = "stored_secret_damaged", row, %error, message),
        }
    }
}

/// Opens one secret and drops the plaintext.
fn open<'a>(
    secrets: &'a StoredSecrets,
    master_keys: Option<&MasterKeys>,
    row: &SealedRow,
) -> Result<(), Unopened<'a>> {
    let opened = master_keys
        .ok_or_else(|| secrets.missing(row))
        .and_then(|master_keys| secrets.open(master_keys, row).map(drop));
    let name = || row.identity.first().cloned().flatten().unwrap_or_default();
    opened.map_err(|error| Unopened { secrets, row: name(), error })
}
