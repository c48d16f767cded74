//! Table `signing_keys`.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Conn, StoreError, Tx, execute, on, row::row};
use crate::domain::{Kid, SigningAlgorithm, SigningKey};

/// The columns of a row, by name: a newer node may have added others.
macro_rules! columns {
    () => {
        "kid, alg, public_jwk, sealed_private, master_key_id, longest_life_s, \
         created_at, published_at, activated_at, demoted_at, retires_at, revoked_at"
    };
}

row! {
    struct SigningKeyRow {
        kid: String,
        alg: String,
        public_jwk: String,
        sealed_private: Option<Vec<u8>>,
        master_key_id: Option<String>,
        longest_life_s: i64,
        created_at: DateTime<Utc>,
        published_at: DateTime<Utc>,
        activated_at: Option<DateTime<Utc>>,
        demoted_at: Option<DateTime<Utc>>,
        retires_at: Option<DateTime<Utc>>,
        revoked_at: Option<DateTime<Utc>>,
    }
}

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

impl TryFrom<SigningKeyRow> for StoredKey {
    type Error = StoreError;

    fn try_from(row: SigningKeyRow) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "signing_keys", column, row: row.kid.clone() };
        let sealed = row
            .sealed_private
            .zip(row.master_key_id)
            .map(|(ciphertext, master_key_id)| SealedPrivateKey { master_key_id, ciphertext });
        let key = SigningKey {
            alg: SigningAlgorithm::parse(&row.alg).ok_or_else(|| corrupt("alg"))?,
            public_jwk: serde_json::from_str(&row.public_jwk).map_err(|_| corrupt("public_jwk"))?,
            longest_life: TimeDelta::try_seconds(row.longest_life_s)
                .ok_or_else(|| corrupt("longest_life_s"))?,
            kid: Kid::new(row.kid),
            created_at: row.created_at,
            published_at: row.published_at,
            activated_at: row.activated_at,
            demoted_at: row.demoted_at,
            retires_at: row.retires_at,
            revoked_at: row.revoked_at,
        };
        Ok(Self { key, sealed })
    }
}

/// Every key.
pub async fn all(conn: &mut Conn) -> Result<Vec<StoredKey>, StoreError> {
    let rows: Vec<SigningKeyRow> =
        on!(conn, |c| { sqlx::query_as(concat!("SELECT ", columns!(), " FROM signing_keys")).fetch_all(c) })?;
    rows.into_iter().map(StoredKey::try_from).collect()
}

row! {
    struct SealedRow {
        kid: String,
        alg: String,
        sealed_private: Option<Vec<u8>>,
        master_key_id: Option<String>,
    }
}

/// Every sealed private key, that of the current key first. Asked before migrations are run, so these four columns are here
/// to stay.
pub async fn sealed(conn: &mut Conn) -> Result<Vec<(Kid, SigningAlgorithm, SealedPrivateKey)>, StoreError> {
    let rows: Vec<SealedRow> = on!(conn, |c| {
        sqlx::query_as(
            "SELECT kid, alg, sealed_private, master_key_id FROM signing_keys
             WHERE sealed_private IS NOT NULL ORDER BY activated_at IS NULL, kid",
        )
        .fetch_all(c)
    })?;
    let keys = rows.into_iter().filter_map(|row| {
        let sealed = SealedPrivateKey { master_key_id: row.master_key_id?, ciphertext: row.sealed_private? };
        Some((row.kid, row.alg, sealed))
    });
    keys.map(|(kid, alg, sealed)| {
        let unknown = || StoreError::Corrupt { table: "signing_keys", column: "alg", row: kid.clone() };
        let alg = SigningAlgorithm::parse(&alg).ok_or_else(unknown)?;
        Ok((Kid::new(kid), alg, sealed))
    })
    .collect()
}

/// Adds a key. `Duplicate` when there already is a current or a next one, or this kid.
pub async fn insert(tx: &mut Tx, key: &SigningKey, sealed: &SealedPrivateKey) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO signing_keys (kid, alg, public_jwk, sealed_private, master_key_id, longest_life_s,
                                       created_at, published_at, activated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(key.kid.as_str())
        .bind(key.alg.as_str())
        .bind(key.public_jwk.to_string())
        .bind(&sealed.ciphertext)
        .bind(&sealed.master_key_id)
        .bind(key.longest_life.num_seconds())
        .bind(key.created_at)
        .bind(key.published_at)
        .bind(key.activated_at)
    )?;
    Ok(())
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
             SET demoted_at = $1, retires_at = $2, sealed_private = NULL, master_key_id = NULL
             WHERE kid = $3 AND activated_at IS NOT NULL AND demoted_at IS NULL AND revoked_at IS NULL",
        )
        .bind(demoted_at)
        .bind(retires_at)
        .bind(kid.as_str())
    )?;
    Ok(changed == 1)
}

/// Lets the next key sign. `false` when it was not next.
pub async fn promote(
    tx: &mut Tx,
    kid: &Kid,
    activated_at: DateTime<Utc>,
    longest_life: TimeDelta,
) -> Result<bool, StoreError> {
    let changed = execute!(
        tx,
        sqlx::query(
            "UPDATE signing_keys SET activated_at = $1, longest_life_s = $2
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
