//! Table `audit`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::operations::{AuditContext, AuditEvent, AuditFilter, AuditRecord};
use crate::domain::time_ordered_id;
use crate::store::pending_log_line::PendingLogLine;
use crate::store::row::row;
use crate::store::{Conn, StoreError, Tx, execute, on};

/// The year 2099: both databases order it behind everything.
const END_OF_TIME: DateTime<Utc> = match DateTime::from_timestamp(4_102_444_799, 0) {
    Some(time) => time,
    None => DateTime::UNIX_EPOCH,
};

row! {
    struct AuditRow {
        id: Uuid,
        at: DateTime<Utc>,
        event: String,
        actor: String,
        source: Option<String>,
        request_id: Option<Uuid>,
        subject: String,
        detail: Option<String>,
    }
}

impl From<AuditRow> for AuditRecord {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id,
            at: row.at,
            event: row.event,
            actor: row.actor,
            source: row.source,
            request_id: row.request_id,
            subject: row.subject,
            detail: row.detail,
        }
    }
}

/// Appends one event, in the transaction that does what it tells of. It is logged when that is committed.
pub async fn append(
    tx: &mut Tx,
    event: AuditEvent,
    context: &AuditContext,
    subject: &str,
    detail: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO audit (id, at, event, actor, source, request_id, subject, detail, unauthenticated)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(time_ordered_id(now))
        .bind(now)
        .bind(event.as_str())
        .bind(context.actor.to_string())
        .bind(context.ip.map(|ip| ip.to_string()))
        .bind(context.request_id)
        .bind(subject)
        .bind(detail)
        .bind(event.is_unauthenticated())
    )?;
    let (subject, detail) = (subject.to_owned(), detail.map(str::to_owned));
    tx.events.push(PendingLogLine { event, context: context.clone(), subject, detail });
    Ok(())
}

/// Events that fit the filter, newest first, from before the event with this time and id.
pub async fn page(
    conn: &mut Conn,
    filter: &AuditFilter,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<AuditRecord>, StoreError> {
    let (before_at, before_id) = before.unwrap_or((END_OF_TIME, Uuid::max()));
    let rows: Vec<AuditRow> = on!(conn, |c| {
        sqlx::query_as(
            "SELECT id, at, event, actor, source, request_id, subject, detail FROM audit
             WHERE ($1 IS NULL OR event = $1) AND ($2 IS NULL OR actor = $2) AND ($3 IS NULL OR subject = $3)
               AND ($9 IS NULL OR source = $9)
               AND at >= $4 AND at < $5 AND (at < $6 OR (at = $6 AND id < $7))
             ORDER BY at DESC, id DESC LIMIT $8",
        )
        .bind(filter.event.as_deref())
        .bind(filter.actor.as_deref())
        .bind(filter.subject.as_deref())
        .bind(filter.since.unwrap_or(DateTime::UNIX_EPOCH))
        .bind(filter.until.unwrap_or(END_OF_TIME))
        .bind(before_at)
        .bind(before_id)
        .bind(limit)
        .bind(filter.source.as_deref())
        .fetch_all(c)
    })?;
    Ok(rows.into_iter().map(AuditRecord::from).collect())
}

/// Removes up to `limit` events from before `before`. Returns how many.
pub async fn delete_older(conn: &mut Conn, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    Ok(execute!(
        conn,
        sqlx::query(
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)"
        )
        .bind(before)
        .bind(limit)
    )?)
}

/// Removes up to `limit` of the unauthenticated events beyond the newest `kept`, the oldest first. Returns how many.
pub async fn delete_unauthenticated(conn: &mut Conn, kept: i64, limit: i64) -> Result<u64, StoreError> {
    let excess: i64 = on!(conn, |c| {
        sqlx::query_scalar("SELECT count(*) FROM audit WHERE unauthenticated").fetch_one(c)
    })?;
    let excess = (excess - kept).min(limit);
    if excess <= 0 {
        return Ok(0);
    }
    Ok(execute!(
        conn,
        sqlx::query(
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE unauthenticated ORDER BY at LIMIT $1)"
        )
        .bind(excess)
    )?)
}
