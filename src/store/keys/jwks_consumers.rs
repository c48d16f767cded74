//! Table `jwks_consumers`.

use chrono::{DateTime, Utc};

use crate::domain::keys::{Consumer, JwksFetch, KnownConsumer};
use crate::store::row::row;
use crate::store::{Conn, StoreError, execute, on};

row! {
    struct ConsumerRow {
        network: String,
        user_agent: String,
        first_seen_at: DateTime<Utc>,
        last_seen_at: DateTime<Utc>,
        seen_published_at: DateTime<Utc>,
    }
}

impl From<ConsumerRow> for KnownConsumer {
    fn from(row: ConsumerRow) -> Self {
        Self {
            consumer: Consumer { network: row.network, user_agent: row.user_agent },
            first_seen_at: row.first_seen_at,
            last_seen_at: row.last_seen_at,
            published_until: row.seen_published_at,
        }
    }
}

/// Every consumer remembered, the one longest not seen first.
pub async fn all(conn: &mut Conn) -> Result<Vec<KnownConsumer>, StoreError> {
    let rows: Vec<ConsumerRow> = on!(conn, |c| {
        sqlx::query_as(
            "SELECT network, user_agent, first_seen_at, last_seen_at, seen_published_at FROM jwks_consumers
             ORDER BY last_seen_at, network, user_agent",
        )
        .fetch_all(c)
    })?;
    Ok(rows.into_iter().map(KnownConsumer::from).collect())
}

row! {
    struct ReachRow {
        known: i64,
        fetched: i64,
    }
}

/// How many consumers seen since `since` are known, and how many of them have the keys published at `published_at`.
pub async fn reach(
    conn: &mut Conn,
    published_at: DateTime<Utc>,
    since: DateTime<Utc>,
) -> Result<(i64, i64), StoreError> {
    let row: ReachRow = on!(conn, |c| {
        sqlx::query_as(
            "SELECT count(*) AS known, count(CASE WHEN seen_published_at >= $1 THEN 1 END) AS fetched
             FROM jwks_consumers WHERE last_seen_at >= $2",
        )
        .bind(published_at)
        .bind(since)
        .fetch_one(c)
    })?;
    Ok((row.known, row.fetched))
}

/// Adds a fetch to the row of its consumer. Times never move back.
pub async fn record(conn: &mut Conn, consumer: &Consumer, fetch: JwksFetch) -> Result<(), StoreError> {
    execute!(
        conn,
        sqlx::query(
            "INSERT INTO jwks_consumers (network, user_agent, first_seen_at, last_seen_at, seen_published_at)
             VALUES ($1, $2, $3, $3, $4)
             ON CONFLICT (network, user_agent) DO UPDATE SET
               last_seen_at = CASE WHEN excluded.last_seen_at > jwks_consumers.last_seen_at
                                   THEN excluded.last_seen_at ELSE jwks_consumers.last_seen_at END,
               seen_published_at = CASE WHEN excluded.seen_published_at > jwks_consumers.seen_published_at
                                        THEN excluded.seen_published_at ELSE jwks_consumers.seen_published_at END",
        )
        .bind(&consumer.network)
        .bind(&consumer.user_agent)
        .bind(fetch.at)
        .bind(fetch.published_until)
    )?;
    Ok(())
}

/// Forgets whoever was last seen before `before`. Returns how many.
pub async fn delete_unseen(conn: &mut Conn, before: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(execute!(conn, sqlx::query("DELETE FROM jwks_consumers WHERE last_seen_at < $1").bind(before))?)
}
