//! Tables `clients` and `client_secrets`.

use chrono::{DateTime, Utc};

use super::client_row::{ClientRow, ColumnType as _, INSERT, UPDATE, bind_client, columns};
use crate::domain::ClientId;
use crate::domain::clients::Client;
use crate::store::row::row;
use crate::store::{Conn, StoreError, Tx, execute, on};

row! {
    struct SecretRow {
        digest: Vec<u8>,
    }
}

/// Adds a client. `false`, without a change, when the id is taken.
pub async fn insert(tx: &mut Tx, client: &Client) -> Result<bool, StoreError> {
    Ok(execute!(tx, bind_client!(INSERT, client))? == 1)
}

/// Writes all columns of a client except `id` and `created_at`. `false` when no client has the id.
pub async fn update(tx: &mut Tx, client: &Client) -> Result<bool, StoreError> {
    Ok(execute!(tx, bind_client!(UPDATE, client))? == 1)
}

pub async fn by_id(conn: &mut Conn, id: &ClientId) -> Result<Option<Client>, StoreError> {
    let row: Option<ClientRow> = on!(conn, |c| {
        sqlx::query_as(concat!("SELECT ", columns!(), " FROM clients WHERE id = $1"))
            .bind(id.as_str())
            .fetch_optional(c)
    })?;
    row.map(Client::try_from).transpose()
}

/// The same, for a change: until the transaction ends nobody else changes the client.
pub async fn lock_for_update(tx: &mut Tx, id: &ClientId) -> Result<Option<Client>, StoreError> {
    // The tongue both databases share has no other lock of a row.
    let rows: Vec<ClientRow> = on!(tx, |c| {
        sqlx::query_as(concat!("UPDATE clients SET name = name WHERE id = $1 RETURNING ", columns!()))
            .bind(id.as_str())
            .fetch_all(c)
    })?;
    rows.into_iter().next().map(Client::try_from).transpose()
}

/// One page by id, after the client the last page ended with.
pub async fn page(conn: &mut Conn, after: Option<&ClientId>, limit: i64) -> Result<Vec<Client>, StoreError> {
    let rows: Vec<ClientRow> = on!(conn, |c| {
        sqlx::query_as(concat!("SELECT ", columns!(), " FROM clients WHERE id > $1 ORDER BY id LIMIT $2"))
            .bind(after.map_or("", ClientId::as_str))
            .bind(limit)
            .fetch_all(c)
    })?;
    rows.into_iter().map(Client::try_from).collect()
}

/// Removes a client, and with it its secrets, codes and consents. `false` when there is no such client.
pub async fn delete(tx: &mut Tx, id: &ClientId) -> Result<bool, StoreError> {
    let deleted = execute!(tx, sqlx::query("DELETE FROM clients WHERE id = $1").bind(id.as_str()))?;
    Ok(deleted == 1)
}

/// The digests of the secrets that a client may show now.
pub async fn live_secrets(
    conn: &mut Conn,
    id: &ClientId,
    now: DateTime<Utc>,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows: Vec<SecretRow> = on!(conn, |c| {
        sqlx::query_as(
            "SELECT digest FROM client_secrets WHERE client_id = $1 AND (expires_at IS NULL OR expires_at > $2)",
        )
        .bind(id.as_str())
        .bind(now)
        .fetch_all(c)
    })?;
    Ok(rows.into_iter().map(|row| row.digest).collect())
}

pub async fn add_secret(
    tx: &mut Tx,
    id: &ClientId,
    digest: &[u8],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query("INSERT INTO client_secrets (digest, client_id, created_at) VALUES ($1, $2, $3)")
            .bind(digest)
            .bind(id.as_str())
            .bind(now)
    )?;
    Ok(())
}

/// The secrets a client has end at `at`, unless they end earlier.
pub async fn expire_secrets(tx: &mut Tx, id: &ClientId, at: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(execute!(
        tx,
        sqlx::query(
            "UPDATE client_secrets SET expires_at = $1
             WHERE client_id = $2 AND (expires_at IS NULL OR expires_at > $1)",
        )
        .bind(at)
        .bind(id.as_str())
    )?)
}

/// Removes up to `limit` secrets that ended before `before`. Returns how many.
pub async fn delete_expired_secrets(
    conn: &mut Conn,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, StoreError> {
    Ok(execute!(
        conn,
        sqlx::query(
            "DELETE FROM client_secrets WHERE digest IN (
                 SELECT digest FROM client_secrets WHERE expires_at < $1 LIMIT $2)",
        )
        .bind(before)
        .bind(limit)
    )?)
}
