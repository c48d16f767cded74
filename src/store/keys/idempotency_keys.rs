//! Table `idempotency_keys`.

use chrono::{DateTime, Utc};

use crate::domain::operations::Actor;
use crate::store::row::row;
use crate::store::{Conn, StoreError, Tx, execute, on};

row! {
    struct IdempotencyRow {
        request_digest: Vec<u8>,
        response: String,
    }
}

/// The answer an Idempotency-Key already got.
pub struct Remembered {
    /// SHA-256 of the request it came with.
    pub request_digest: Vec<u8>,
    pub response: String,
}

pub async fn find(conn: &mut Conn, actor: &Actor, key: &str) -> Result<Option<Remembered>, StoreError> {
    let row: Option<IdempotencyRow> = on!(conn, |c| {
        sqlx::query_as("SELECT request_digest, response FROM idempotency_keys WHERE actor = $1 AND key = $2")
            .bind(actor.to_string())
            .bind(key)
            .fetch_optional(c)
    })?;
    Ok(row.map(|row| Remembered { request_digest: row.request_digest, response: row.response }))
}

pub async fn insert(
    tx: &mut Tx,
    actor: &Actor,
    key: &str,
    request_digest: &[u8],
    response: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO idempotency_keys (actor, key, request_digest, response, created_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(actor.to_string())
        .bind(key)
        .bind(request_digest)
        .bind(response)
        .bind(now)
    )?;
    Ok(())
}

/// Forgets keys older than `before`. Returns how many.
pub async fn delete_older(conn: &mut Conn, before: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(execute!(conn, sqlx::query("DELETE FROM idempotency_keys WHERE created_at < $1").bind(before))?)
}
