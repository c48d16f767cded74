//! Table `audit`.

use chrono::{DateTime, Utc};

use super::{Conn, StoreError, execute, on, row::row};
use crate::domain::{AuditEvent, Origin, time_ordered_id};

row! {
    struct AuditRow {
        event: String,
        actor: String,
        subject: String,
        detail: Option<String>,
    }
}

/// One recorded event.
#[derive(Debug, PartialEq, Eq)]
pub struct AuditRecord {
    pub event: String,
    pub actor: String,
    pub subject: String,
    pub detail: Option<String>,
}

/// Appends one event, in the transaction that does what it tells of.
pub async fn append(
    conn: &mut Conn,
    event: AuditEvent,
    origin: &Origin,
    subject: &str,
    detail: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute!(
        conn,
        sqlx::query(
            "INSERT INTO audit (id, at, event, actor, source, request_id, subject, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(time_ordered_id(now))
        .bind(now)
        .bind(event.as_str())
        .bind(origin.actor.to_string())
        .bind(origin.ip.map(|ip| ip.to_string()))
        .bind(origin.request_id)
        .bind(subject)
        .bind(detail)
    )?;
    Ok(())
}

/// The latest events, newest first.
pub async fn latest(conn: &mut Conn, limit: i64) -> Result<Vec<AuditRecord>, StoreError> {
    let rows: Vec<AuditRow> = on!(conn, |c| {
        sqlx::query_as("SELECT event, actor, subject, detail FROM audit ORDER BY at DESC, id DESC LIMIT $1")
            .bind(limit)
            .fetch_all(c)
    })?;
    Ok(rows
        .into_iter()
        .map(|row| AuditRecord {
            event: row.event,
            actor: row.actor,
            subject: row.subject,
            detail: row.detail,
        })
        .collect())
}
