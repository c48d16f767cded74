//! Table `replay_guard`.

use chrono::{DateTime, Utc};

use crate::store::{Conn, StoreError, execute};

/// Uses a token up. `false` when somebody has used it before: of any number of parallel callers one gets `true`.
pub async fn consume(conn: &mut Conn, digest: &[u8], expires_at: DateTime<Utc>) -> Result<bool, StoreError> {
    let inserted = execute!(
        conn,
        sqlx::query(
            "INSERT INTO replay_guard (digest, expires_at) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING"
        )
        .bind(digest)
        .bind(expires_at)
    )?;
    Ok(inserted == 1)
}

/// Forgets up to `limit` tokens that expired before `before`. Returns how many.
pub async fn delete_expired(conn: &mut Conn, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    Ok(execute!(
        conn,
        sqlx::query(
            "DELETE FROM replay_guard WHERE digest IN (
                 SELECT digest FROM replay_guard WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
        )
        .bind(before)
        .bind(limit)
    )?)
}
