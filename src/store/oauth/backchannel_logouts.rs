//! Table `backchannel_logouts`: an outbox. Rows come from `sessions/sessions_table.rs`, in the transaction that ends a session.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::oauth::BackchannelLogout;
use crate::domain::{ClientId, SessionId, UserId};
use crate::store::row::row;
use crate::store::{Conn, StoreError, Tx, execute, on};

row! {
    struct NoticeRow {
        session_id: Uuid,
        user_id: Uuid,
        client_id: String,
        attempts: i64,
        created_at: DateTime<Utc>,
    }
}

impl From<NoticeRow> for BackchannelLogout {
    fn from(row: NoticeRow) -> Self {
        Self {
            session: SessionId(row.session_id),
            user: UserId(row.user_id),
            client: ClientId::new_unchecked(row.client_id),
            attempts: row.attempts,
            created_at: row.created_at,
        }
    }
}

/// Whether anybody is to be told something now.
pub async fn any_due(conn: &mut Conn, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let due: Option<i64> = on!(conn, |c| {
        sqlx::query_scalar("SELECT attempts FROM backchannel_logouts WHERE due_at <= $1 LIMIT 1")
            .bind(now)
            .fetch_optional(c)
    })?;
    Ok(due.is_some())
}

/// Takes up to `limit` notices that are due, the longest due first. Until `leased_until` nobody else gets them.
pub async fn claim(
    conn: &mut Conn,
    now: DateTime<Utc>,
    leased_until: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<BackchannelLogout>, StoreError> {
    // Looked at twice: another node may have taken a row while this statement waited for it.
    let rows: Vec<NoticeRow> = on!(conn, |c| {
        sqlx::query_as(
            "UPDATE backchannel_logouts SET due_at = $2, attempts = attempts + 1
             WHERE due_at <= $1 AND session_id IN (
                 SELECT session_id FROM backchannel_logouts WHERE due_at <= $1 ORDER BY due_at, session_id LIMIT $3)
             RETURNING session_id, user_id, client_id, attempts, created_at",
        )
        .bind(now)
        .bind(leased_until)
        .bind(limit)
        .fetch_all(c)
    })?;
    Ok(rows.into_iter().map(BackchannelLogout::from).collect())
}

/// Removes a notice that is done with. `false` when somebody else has taken it since.
pub async fn finish(conn: &mut Conn, notice: &BackchannelLogout) -> Result<bool, StoreError> {
    let deleted = execute!(
        conn,
        sqlx::query("DELETE FROM backchannel_logouts WHERE session_id = $1 AND attempts = $2")
            .bind(notice.session.0)
            .bind(notice.attempts)
    )?;
    Ok(deleted == 1)
}

/// Puts a notice off. `false` when somebody else has taken it since.
pub async fn put_off(
    conn: &mut Conn,
    notice: &BackchannelLogout,
    until: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let changed = execute!(
        conn,
        sqlx::query("UPDATE backchannel_logouts SET due_at = $1 WHERE session_id = $2 AND attempts = $3")
            .bind(until)
            .bind(notice.session.0)
            .bind(notice.attempts)
    )?;
    Ok(changed == 1)
}

/// Removes up to `limit` notices of sessions that ended before `before`: nobody could even try. Returns how many.
pub async fn delete_older(conn: &mut Conn, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    Ok(execute!(
        conn,
        sqlx::query(
            "DELETE FROM backchannel_logouts WHERE session_id IN (
                 SELECT session_id FROM backchannel_logouts WHERE created_at < $1 LIMIT $2)",
        )
        .bind(before)
        .bind(limit)
    )?)
}

/// Forgets what a client that is removed was to be told.
pub async fn forget_client(tx: &mut Tx, client: &ClientId) -> Result<u64, StoreError> {
    Ok(execute!(
        tx,
        sqlx::query("DELETE FROM backchannel_logouts WHERE client_id = $1").bind(client.as_str())
    )?)
}
