//! Table `consents`.

use chrono::{DateTime, Utc};

use super::{Conn, StoreError, Tx, execute, on, row::row};
use crate::domain::{ClientId, Scopes, UserId};

row! {
    struct ConsentRow {
        scope: String,
    }
}

/// What a user has agreed to give a client; nothing at first.
pub async fn of(conn: &mut Conn, user: UserId, client: &ClientId) -> Result<Scopes, StoreError> {
    let row: Option<ConsentRow> = on!(conn, |c| {
        sqlx::query_as("SELECT scope FROM consents WHERE user_id = $1 AND client_id = $2")
            .bind(user.0)
            .bind(client.as_str())
            .fetch_optional(c)
    })?;
    Ok(row.map(|row| Scopes::from_claim(&row.scope)).unwrap_or_default())
}

/// Writes down all that a user has agreed to by now.
pub async fn remember(
    tx: &mut Tx,
    user: UserId,
    client: &ClientId,
    scopes: &Scopes,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO consents (user_id, client_id, scope, granted_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id, client_id) DO UPDATE SET scope = $3, granted_at = $4",
        )
        .bind(user.0)
        .bind(client.as_str())
        .bind(scopes.to_string())
        .bind(now)
    )?;
    Ok(())
}

/// Takes a consent back. `false` when there was none.
pub async fn withdraw(tx: &mut Tx, user: UserId, client: &ClientId) -> Result<bool, StoreError> {
    let deleted = execute!(
        tx,
        sqlx::query("DELETE FROM consents WHERE user_id = $1 AND client_id = $2")
            .bind(user.0)
            .bind(client.as_str())
    )?;
    Ok(deleted == 1)
}
