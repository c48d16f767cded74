//! Table `signing_keys`.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use sqlx::Row as _;

use crate::domain::keys::{Kid, SigningAlgorithm, SigningKey};
use crate::store::dialect::notify_keys;
use crate::store::keys::sealed_columns::{IdentityColumn, SealedColumn};
use crate::store::{Conn, StoreError, Tx, execute, on};

/// The columns of a row, by name: a newer node may have added others.
macro_rules! columns {
    () => {
        "kid, alg, public_jwk, encrypted_private_key, master_key_id, longest_life_s, \
         created_at, published_at, activated_at, demoted_at, retires_at, revoked_at, imported_at"
    };
}

/// The private keys. In a database of 0.1.0 the column has its former name until migration 0020.
pub const PRIVATE_KEYS: SealedColumn = SealedColumn {
    table: "signing_keys",
    names: &["encrypted_private_key", "sealed_private"],
    identity: &[IdentityColumn::Text("kid"), IdentityColumn::Text("alg")],
};

/// A private key as the database holds it: sealed under the named master key.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedPrivateKey {
    pub master_key_id: String,
    pub ciphertext: Vec<u8>,
}

/// A key with its sealed private half, if it still has one.
pub struct StoredKey {
    pub key: SigningKey,
    pub sealed: Option<SealedPrivateKey>,
}

/// One row, cell by cell: a damaged cell must not keep anybody from the rest. `None` is a cell that cannot be read; the
/// times that may be absent are still told apart from it, so the key's status is known whatever they say.
struct Cells {
    kid: Option<String>,
    alg: Option<String>,
    public_jwk: Option<String>,
    encrypted_private_key: Option<Option<Vec<u8>>>,
    master_key_id: Option<Option<String>>,
    longest_life_s: Option<i64>,
    created_at: Option<DateTime<Utc>>,
    published_at: Option<DateTime<Utc>>,
    activated_at: Option<Option<DateTime<Utc>>>,
    demoted_at: Option<Option<DateTime<Utc>>>,
    retires_at: Option<Option<DateTime<Utc>>>,
    revoked_at: Option<Option<DateTime<Utc>>>,
    imported_at: Option<Option<DateTime<Utc>>>,
}

/// Longer than any token may live; what a damaged cell says beyond it is not believed.
const LONGEST_LIFE_S: i64 = 366 * 86_400;

impl Cells {
    /// A time with which no sum can be made is one that cannot be read.
    fn without_odd_times(self) -> Self {
        let is_odd = |time: &DateTime<Utc>| !(1970..=9999).contains(&time.year());
        let some = |cell: Option<DateTime<Utc>>| cell.filter(|time| !is_odd(time));
        let maybe =
            |cell: Option<Option<DateTime<Utc>>>| cell.filter(|time| !time.as_ref().is_some_and(is_odd));
        Self {
            created_at: some(self.created_at),
            published_at: some(self.published_at),
            activated_at: maybe(self.activated_at),
            demoted_at: maybe(self.demoted_at),
            retires_at: maybe(self.retires_at),
            revoked_at: maybe(self.revoked_at),
            imported_at: maybe(self.imported_at),
            ..self
        }
    }
}

impl From<Cells> for StoredKey {
    fn from(cells: Cells) -> Self {
        let mut damage = None;
        let mut mark = |column| damage = damage.or(Some(column));
        let cells = cells.without_odd_times();
        let time = |cell: Option<DateTime<Utc>>| cell.unwrap_or(DateTime::UNIX_EPOCH);
        let alg = cells.alg.as_deref().and_then(SigningAlgorithm::parse);
        let public_jwk = cells.public_jwk.as_deref().and_then(|jwk| serde_json::from_str(jwk).ok());
        let cell_is_read = [
            ("kid", cells.kid.is_some()),
            ("alg", alg.is_some()),
            ("public_jwk", public_jwk.is_some()),
            ("longest_life_s", cells.longest_life_s.is_some_and(|life| (0..=LONGEST_LIFE_S).contains(&life))),
            ("created_at", cells.created_at.is_some()),
            ("published_at", cells.published_at.is_some()),
            ("activated_at", cells.activated_at.is_some()),
            ("demoted_at", cells.demoted_at.is_some()),
            ("retires_at", cells.retires_at.is_some()),
            ("revoked_at", cells.revoked_at.is_some()),
        ];
        cell_is_read.into_iter().filter(|(_, is_read)| !is_read).for_each(|(column, _)| mark(column));
        // A time that cannot be read is a time: whatever it was, the key had been activated, demoted, revoked.
        let maybe = |cell: Option<Option<DateTime<Utc>>>| cell.unwrap_or(Some(DateTime::UNIX_EPOCH));
        let sealed = cells
            .encrypted_private_key
            .flatten()
            .zip(cells.master_key_id.flatten())
            .map(|(ciphertext, master_key_id)| SealedPrivateKey { master_key_id, ciphertext });
        let key = SigningKey {
            kid: Kid::new(cells.kid.unwrap_or_else(|| "?".to_owned())),
            alg: alg.unwrap_or(SigningAlgorithm::Rs256),
            public_jwk: public_jwk.unwrap_or_default(),
            longest_life: TimeDelta::seconds(cells.longest_life_s.unwrap_or(0).clamp(0, LONGEST_LIFE_S)),
            created_at: time(cells.created_at),
            published_at: time(cells.published_at),
            activated_at: maybe(cells.activated_at),
            demoted_at: maybe(cells.demoted_at),
            retires_at: maybe(cells.retires_at),
            revoked_at: maybe(cells.revoked_at),
            imported_at: maybe(cells.imported_at),
            damage,
        };
        Self { key, sealed }
    }
}

/// Every key. One whose row is damaged says so and keeps nobody from the others.
pub async fn all(conn: &mut Conn) -> Result<Vec<StoredKey>, StoreError> {
    let cells: Vec<Cells> = on!(conn, |c| async {
        let rows = sqlx::query(concat!("SELECT ", columns!(), " FROM signing_keys")).fetch_all(c).await?;
        let cells = rows.iter().map(|row| Cells {
            kid: row.try_get("kid").ok(),
            alg: row.try_get("alg").ok(),
            public_jwk: row.try_get("public_jwk").ok(),
            encrypted_private_key: row.try_get("encrypted_private_key").ok(),
            master_key_id: row.try_get("master_key_id").ok(),
            longest_life_s: row.try_get("longest_life_s").ok(),
            created_at: row.try_get("created_at").ok(),
            published_at: row.try_get("published_at").ok(),
            activated_at: row.try_get("activated_at").ok(),
            demoted_at: row.try_get("demoted_at").ok(),
            retires_at: row.try_get("retires_at").ok(),
            revoked_at: row.try_get("revoked_at").ok(),
            imported_at: row.try_get("imported_at").ok(),
        });
        Ok::<_, sqlx::Error>(cells.collect())
    })?;
    Ok(cells.into_iter().map(StoredKey::from).collect())
}

/// How often the signing keys have changed.
pub async fn version(conn: &mut Conn) -> Result<i64, StoreError> {
    let version: Option<i64> =
        on!(conn, |c| { sqlx::query_scalar("SELECT version FROM signing_keys_version").fetch_optional(c) })?;
    Ok(version.unwrap_or(0))
}

/// Counts a change of the signing keys in the transaction that makes the change, and notifies the other nodes when it commits.
pub async fn announce(tx: &mut Tx) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO signing_keys_version (id, version) VALUES (1, 1)
             ON CONFLICT (id) DO UPDATE SET version = signing_keys_version.version + 1"
        )
    )?;
    notify_keys(tx).await
}

/// Adds a key; one that only verifies has no private half. `Duplicate` when there already is a current or a next one, or
/// this kid.
pub async fn insert(
    tx: &mut Tx,
    key: &SigningKey,
    sealed: Option<&SealedPrivateKey>,
) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO signing_keys (kid, alg, public_jwk, encrypted_private_key, master_key_id, longest_life_s,
                                       created_at, published_at, activated_at, demoted_at, retires_at, imported_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(key.kid.as_str())
        .bind(key.alg.as_str())
        .bind(key.public_jwk.to_string())
        .bind(sealed.map(|sealed| sealed.ciphertext.as_slice()))
        .bind(sealed.map(|sealed| sealed.master_key_id.as_str()))
        .bind(key.longest_life.num_seconds())
        .bind(key.created_at)
        .bind(key.published_at)
        .bind(key.activated_at)
        .bind(key.demoted_at)
        .bind(key.retires_at)
        .bind(key.imported_at)
    )?;
    Ok(())
}

/// Takes a key out for good, wherever it stood, and erases its private half. `false` when it was revoked before.
pub async fn revoke(tx: &mut Tx, kid: &Kid, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let changed = execute!(
        tx,
        sqlx::query(
            "UPDATE signing_keys SET revoked_at = $1, encrypted_private_key = NULL, master_key_id = NULL
             WHERE kid = $2 AND revoked_at IS NULL",
        )
        .bind(now)
        .bind(kid.as_str())
    )?;
    Ok(changed == 1)
}

/// Takes back a next key, which has signed nothing here. `false` when it was not next.
pub async fn withdraw(
    tx: &mut Tx,
    kid: &Kid,
    now: DateTime<Utc>,
    retires_at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let changed = execute!(
        tx,
        sqlx::query(
            "UPDATE signing_keys SET demoted_at = $1, retires_at = $3, encrypted_private_key = NULL, master_key_id = NULL
             WHERE kid = $2 AND activated_at IS NULL AND demoted_at IS NULL AND revoked_at IS NULL",
        )
        .bind(now)
        .bind(kid.as_str())
        .bind(retires_at)
    )?;
    Ok(changed == 1)
}

/// Ends a previous key's time early. `false` when it was not previous any more.
pub async fn retire(tx: &mut Tx, kid: &Kid, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let changed = execute!(
        tx,
        sqlx::query(
            "UPDATE signing_keys SET retires_at = $1
             WHERE kid = $2 AND demoted_at IS NOT NULL AND retires_at > $1 AND revoked_at IS NULL",
        )
        .bind(now)
        .bind(kid.as_str())
    )?;
    Ok(changed == 1)
}

/// Writes a public half anew.
pub async fn repair_public_key(
    tx: &mut Tx,
    kid: &Kid,
    public_jwk: &serde_json::Value,
) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query("UPDATE signing_keys SET public_jwk = $1 WHERE kid = $2")
            .bind(public_jwk.to_string())
            .bind(kid.as_str())
    )?;
    Ok(())
}

/// The keys that have left the JWK Set by the clock since this was last asked; each is told once.
pub async fn record_retirements(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<Kid>, StoreError> {
    let kids: Vec<String> = on!(tx, |c| {
        sqlx::query_scalar(
            "UPDATE signing_keys SET retirement_noted_at = $1
             WHERE retires_at <= $1 AND retirement_noted_at IS NULL AND revoked_at IS NULL RETURNING kid",
        )
        .bind(now)
        .fetch_all(c)
    })?;
    Ok(kids.into_iter().map(Kid::new).collect())
}

/// Ends a current key's signing and erases its private half. `false` when it was not current.
pub async fn demote(
    tx: &mut Tx,
    kid: &Kid,
    demoted_at: DateTime<Utc>,
    retires_at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let changed = execute!(
        tx,
        sqlx::query(
            "UPDATE signing_keys
             SET demoted_at = $1, retires_at = $2, encrypted_private_key = NULL, master_key_id = NULL
             WHERE kid = $3 AND activated_at IS NOT NULL AND demoted_at IS NULL AND revoked_at IS NULL",
        )
        .bind(demoted_at)
        .bind(retires_at)
        .bind(kid.as_str())
    )?;
    Ok(changed == 1)
}

/// Lets the next key sign tokens of up to this life; one that was imported may have signed longer ones. `false` when it was not
/// next.
pub async fn promote(
    tx: &mut Tx,
    kid: &Kid,
    activated_at: DateTime<Utc>,
    longest_life: TimeDelta,
) -> Result<bool, StoreError> {
    let changed = execute!(
        tx,
        sqlx::query(
            "UPDATE signing_keys SET activated_at = $1,
                longest_life_s = CASE WHEN longest_life_s < $2 THEN $2 ELSE longest_life_s END
             WHERE kid = $3 AND activated_at IS NULL AND demoted_at IS NULL AND revoked_at IS NULL",
        )
        .bind(activated_at)
        .bind(longest_life.num_seconds())
        .bind(kid.as_str())
    )?;
    Ok(changed == 1)
}

/// Says that a key was published later than its row tells. Never earlier.
pub async fn postpone_publication(
    tx: &mut Tx,
    kid: &Kid,
    published_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query("UPDATE signing_keys SET published_at = $1 WHERE kid = $2 AND published_at < $1")
            .bind(published_at)
            .bind(kid.as_str())
    )?;
    Ok(())
}

/// Keeps a demoted key published for longer. Never for less.
pub async fn postpone_retirement(
    tx: &mut Tx,
    kid: &Kid,
    retires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query("UPDATE signing_keys SET retires_at = $1 WHERE kid = $2 AND retires_at < $1")
            .bind(retires_at)
            .bind(kid.as_str())
    )?;
    Ok(())
}

/// Records that the current key may sign tokens living this long. Never lowers what is recorded. `false` when the
/// key no longer signs, so whoever asked must look again.
pub async fn raise_longest_life(conn: &mut Conn, kid: &Kid, life: TimeDelta) -> Result<bool, StoreError> {
    let changed = execute!(
        conn,
        sqlx::query(
            "UPDATE signing_keys SET longest_life_s = CASE WHEN longest_life_s < $1 THEN $1 ELSE longest_life_s END
             WHERE kid = $2 AND activated_at IS NOT NULL AND demoted_at IS NULL AND revoked_at IS NULL",
        )
        .bind(life.num_seconds())
        .bind(kid.as_str())
    )?;
    Ok(changed == 1)
}
