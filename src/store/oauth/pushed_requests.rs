//! Table `pushed_requests`.

use chrono::{DateTime, Utc};

use crate::domain::{ClientId, Parameters};
use crate::store::row::row;
use crate::store::{Conn, StoreError, execute, on};

row! {
    struct PushedRow {
        parameters: String,
    }
}

/// Remembers what a client has pushed.
pub async fn insert(
    conn: &mut Conn,
    digest: &[u8],
    client: &ClientId,
    parameters: &Parameters,
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    // Pairs of texts always serialise.
    let pairs = serde_json::to_string(&parameters.iter().collect::<Vec<_>>()).unwrap_or_default();
    execute!(
        conn,
        sqlx::query(
            "INSERT INTO pushed_requests (digest, client_id, parameters, expires_at) VALUES ($1, $2, $3, $4)"
        )
        .bind(digest)
        .bind(client.as_str())
        .bind(pairs)
        .bind(expires_at)
    )?;
    Ok(())
}

/// Uses up what this client has pushed, if it is still good. The one gate: of any number of parallel callers one gets it.
pub async fn consume(
    conn: &mut Conn,
    digest: &[u8],
    client: &ClientId,
    now: DateTime<Utc>,
) -> Result<Option<Parameters>, StoreError> {
    let rows: Vec<PushedRow> = on!(conn, |c| {
        sqlx::query_as(
            "UPDATE pushed_requests SET used_at = $1
             WHERE digest = $2 AND client_id = $3 AND used_at IS NULL AND expires_at > $1 RETURNING parameters",
        )
        .bind(now)
        .bind(digest)
        .bind(client.as_str())
        .fetch_all(c)
    })?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let pairs: Result<Vec<(String, String)>, _> = serde_json::from_str(&row.parameters);
    let corrupt =
        || StoreError::Corrupt { table: "pushed_requests", column: "parameters", row: client.to_string() };
    Ok(Some(pairs.map_err(|_| corrupt())?.into_iter().collect()))
}

/// Forgets up to `limit` requests that expired before `before`. Returns how many.
pub async fn delete_expired(conn: &mut Conn, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    Ok(execute!(
        conn,
        sqlx::query(
            "DELETE FROM pushed_requests WHERE digest IN (
                 SELECT digest FROM pushed_requests WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
        )
        .bind(before)
        .bind(limit)
    )?)
}
