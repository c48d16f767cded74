//! Every sealed column of the database, with the kind of secret in it.
//!
//! `keys rewrap` and the check of the master keys at start work on this list. A new sealed column
//! is declared by its table (`store::keys::sealed_columns::SealedColumn`) and its kind by `tokens`
//! (`SecretKind`), and gets a line here. A test compares the list with the catalogue of both
//! databases.

use std::fmt;

use crate::keys::MasterKeys;
use crate::store::keys::sealed_columns::{SealedColumn, SealedRow};
use crate::store::keys::signing_keys;
use crate::tokens::{self, OpenedSecret, SealError, SecretKind};

/// A sealed column and the kind of secret in it.
#[derive(Debug)]
pub struct StoredSecrets {
    pub column: &'static SealedColumn,
    pub kind: &'static SecretKind,
    /// Whether the secrets are private signing keys: a change takes the lock of the signing keys,
    /// is audited by kid, and every node reads its keyring again.
    pub are_signing_keys: bool,
}

/// All of them.
pub const STORED_SECRETS: &[StoredSecrets] = &[StoredSecrets {
    column: &signing_keys::PRIVATE_KEYS,
    kind: &tokens::PRIVATE_KEY,
    are_signing_keys: true,
}];

impl StoredSecrets {
    pub(super) fn open(&self, master_keys: &MasterKeys, row: &SealedRow) -> Result<OpenedSecret, SealError> {
        let identity = self.identity(row)?;
        self.kind.open(master_keys, &identity, &row.master_key_id, &row.ciphertext)
    }

    /// The cells to which the secret is bound. A cell that cannot be read is damage.
    pub(super) fn identity<'a>(&self, row: &'a SealedRow) -> Result<Vec<&'a str>, SealError> {
        let cells: Option<Vec<&str>> = row.identity.iter().map(Option::as_deref).collect();
        cells.ok_or_else(|| SealError::CannotOpen {
            secret: self.in_words(row),
            master_key_id: row.master_key_id.clone(),
        })
    }

    pub(super) fn missing(&self, row: &SealedRow) -> SealError {
        let (secret, master_key_id) = (self.in_words(row), row.master_key_id.clone());
        SealError::MasterKeyMissing { secret, master_key_id }
    }

    fn in_words(&self, row: &SealedRow) -> String {
        let first = row.identity.first().and_then(Option::as_deref);
        self.kind.of_row(&[first.unwrap_or("?")])
    }
}

/// Secrets that cannot be opened: the first ones by name, and how many there are beyond these.
#[derive(Debug, Default)]
pub struct UnopenedSecrets {
    pub(super) named: Vec<SealError>,
    pub(super) more: i64,
}

impl UnopenedSecrets {
    /// As many as an operator reads.
    pub(super) const NAMED: usize = 100;

    pub(super) fn push(&mut self, error: SealError) {
        match self.named.len() < Self::NAMED {
            true => self.named.push(error),
            false => self.more += 1,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.more == 0
    }
}

impl fmt::Display for UnopenedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = self.named.iter().map(ToString::to_string).collect();
        if self.more > 0 {
            lines.push(format!("and {} more", self.more));
        }
        f.write_str(&lines.join("\n"))
    }
}
