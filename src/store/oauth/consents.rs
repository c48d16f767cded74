//! Table `consents`.

use chrono::{DateTime, Utc};

use crate::domain::oauth::Consent;
use crate::domain::{ClientId, DisplayName, Scopes, UserId};
use crate::store::row::row;
use crate::store::{Conn, StoreError, Tx, execute, on};

row! {
    struct ConsentRow {
        scope: String,
    }
}

row! {
    struct GivenRow {
        client_id: String,
        name: String,
        scope: String,
        granted_at: DateTime<Utc>,
    }
}

/// More than a person can look through.
const LISTED: i64 = 200;

/// All that a user has agreed to, the newest first, at most [`LISTED`].
pub async fn of_user(conn: &mut Conn, user: UserId) -> Result<Vec<Consent>, StoreError> {
    let rows: Vec<GivenRow> = on!(conn, |c| {
        sqlx::query_as(
            "SELECT consents.client_id, clients.name, consents.scope, consents.granted_at
             FROM consents JOIN clients ON clients.id = consents.client_id
             WHERE consents.user_id = $1 ORDER BY consents.granted_at DESC, consents.client_id LIMIT $2",
        )
        .bind(user.0)
        .bind(LISTED)
        .fetch_all(c)
    })?;
    let consent = |row: GivenRow| Consent {
        client_id: ClientId::new_unchecked(row.client_id),
        client_name: DisplayName::new_unchecked(row.name),
        scopes: Scopes::from_claim(&row.scope),
        granted_at: row.granted_at,
    };
    Ok(rows.into_iter().map(consent).collect())
}

/// What a user has agreed to give a client. `None` where they never were asked, or have taken it back.
pub async fn of(conn: &mut Conn, user: UserId, client: &ClientId) -> Result<Option<Scopes>, StoreError> {
    let row: Option<ConsentRow> = on!(conn, |c| {
        sqlx::query_as("SELECT scope FROM consents WHERE user_id = $1 AND client_id = $2")
            .bind(user.0)
            .bind(client.as_str())
            .fetch_optional(c)
    })?;
    Ok(row.map(|row| Scopes::from_claim(&row.scope)))
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
