//! Table `client_registrations`: the clients that have registered themselves.

use chrono::{DateTime, Utc};

use crate::domain::ClientId;
use crate::store::row::row;
use crate::store::{Conn, StoreError, Tx, execute, on};

row! {
    struct DigestRow {
        token_digest: Vec<u8>,
    }
}

row! {
    struct IdRow {
        id: String,
    }
}

/// Notes that a client has registered itself, and the digest of the token by which it manages that.
pub async fn insert(
    tx: &mut Tx,
    client: &ClientId,
    token_digest: &[u8],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO client_registrations (client_id, token_digest, used_at) VALUES ($1, $2, $3)"
        )
        .bind(client.as_str())
        .bind(token_digest)
        .bind(now)
    )?;
    Ok(())
}

/// The digest of a client's token. `None` when it has not registered itself.
pub async fn token_digest(conn: &mut Conn, client: &ClientId) -> Result<Option<Vec<u8>>, StoreError> {
    let row: Option<DigestRow> = on!(conn, |c| {
        sqlx::query_as("SELECT token_digest FROM client_registrations WHERE client_id = $1")
            .bind(client.as_str())
            .fetch_optional(c)
    })?;
    Ok(row.map(|row| row.token_digest))
}

/// Notes that a client has changed its registration.
pub async fn mark_used(tx: &mut Tx, client: &ClientId, now: DateTime<Utc>) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query("UPDATE client_registrations SET used_at = $1 WHERE client_id = $2")
            .bind(now)
            .bind(client.as_str())
    )?;
    Ok(())
}

/// Removes up to `limit` clients that registered themselves before `before`, and that nobody has agreed to anything with or is
/// signed in at. Returns which.
pub async fn delete_unused(
    tx: &mut Tx,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<ClientId>, StoreError> {
    let rows: Vec<IdRow> = on!(tx, |c| {
        sqlx::query_as(
            "DELETE FROM clients WHERE id IN (
                 SELECT r.client_id FROM client_registrations r
                 WHERE r.used_at < $1
                   AND NOT EXISTS (SELECT 1 FROM consents c WHERE c.client_id = r.client_id)
                   AND NOT EXISTS (
                       SELECT 1 FROM sessions s
                       WHERE s.client_id = r.client_id AND s.scope IS NOT NULL
                         AND s.revoked_at IS NULL AND s.expires_at > $2)
                 ORDER BY r.used_at LIMIT $3)
             RETURNING id",
        )
        .bind(before)
        .bind(now)
        .bind(limit)
        .fetch_all(c)
    })?;
    Ok(rows.into_iter().map(|row| ClientId::new_unchecked(row.id)).collect())
}
