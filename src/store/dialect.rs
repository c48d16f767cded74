//! Where Postgres and SQLite truly differ.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgListener;

use super::{Backend, Conn, Db, StoreError, Tx};

/// Any 64-bit numbers that nothing else in the database takes advisory locks on.
const SIGNING_KEYS_LOCK: i64 = 0x6368_616e_6365_7279;
const SCHEMA_LOCK: i64 = 0x6368_616e_6365_7278;

const KEYS_CHANNEL: &str = "chancery_keys";

/// How a transaction begins on Postgres. Whoever holds a lock may have vanished with its host: nobody waits for that longer
/// than a request may take, and the server ends a transaction that says nothing more.
pub(super) const POSTGRES_BEGIN: &str =
    "BEGIN; SET LOCAL lock_timeout = '4s'; SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// Makes every other change of the signing keys wait until this transaction ends.
pub async fn lock_signing_keys(tx: &mut Tx) -> Result<(), StoreError> {
    // A large key may be made meanwhile.
    if let Backend::Postgres(conn) = tx.backend() {
        sqlx::query("SET LOCAL idle_in_transaction_session_timeout = '30s'").execute(conn).await?;
    }
    lock(tx, SIGNING_KEYS_LOCK).await
}

/// Makes every other migration wait until this transaction ends.
pub(super) async fn lock_schema(tx: &mut Tx) -> Result<(), StoreError> {
    // A migration takes as long as it takes, and the other nodes wait for it.
    for limit in ["SET LOCAL lock_timeout = 0", "SET LOCAL idle_in_transaction_session_timeout = 0"] {
        if let Backend::Postgres(conn) = tx.backend() {
            sqlx::query(limit).execute(conn).await?;
        }
    }
    lock(tx, SCHEMA_LOCK).await
}

async fn lock(tx: &mut Tx, number: i64) -> Result<(), StoreError> {
    match tx.backend() {
        Backend::Postgres(conn) => {
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(number).execute(conn).await?;
        }
        // BEGIN IMMEDIATE already holds SQLite's one write lock.
        Backend::Sqlite(_) => {}
    }
    Ok(())
}

/// Notifies the other nodes of changed signing keys when this transaction commits. The notification is only a hint.
pub(super) async fn notify_keys(tx: &mut Tx) -> Result<(), StoreError> {
    match tx.backend() {
        Backend::Postgres(conn) => {
            sqlx::query("SELECT pg_notify($1, '')").bind(KEYS_CHANNEL).execute(conn).await?;
        }
        // SQLite has no other node, and its other processes poll.
        Backend::Sqlite(_) => {}
    }
    Ok(())
}

/// The columns of a table. Empty where the table does not exist.
pub(super) async fn column_names(conn: &mut Conn, table: &str) -> Result<Vec<String>, StoreError> {
    // The two databases keep their catalogue in different places.
    Ok(match conn.backend() {
        Backend::Postgres(conn) => {
            sqlx::query_scalar(
                "SELECT attname::text FROM pg_attribute
                 WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
            )
            .bind(table)
            .fetch_all(conn)
            .await?
        }
        Backend::Sqlite(conn) => {
            sqlx::query_scalar("SELECT name FROM pragma_table_info($1)").bind(table).fetch_all(conn).await?
        }
    })
}

/// The database server's clock, or `None` where the database has no clock but this machine's.
pub async fn database_clock(conn: &mut Conn) -> Result<Option<DateTime<Utc>>, StoreError> {
    match conn.backend() {
        Backend::Postgres(conn) => {
            Ok(Some(sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(conn).await?))
        }
        Backend::Sqlite(_) => Ok(None),
    }
}

/// Hears of changed signing keys from other nodes. Where it cannot listen, polling does all the work.
pub struct KeysListener(PgListener);

impl KeysListener {
    /// `None` where there are no notifications.
    pub async fn open(db: &Db) -> Result<Option<Self>, StoreError> {
        match db {
            // What was said on one server connection is heard on none of ours.
            Db::Postgres { transaction_pooling: true, .. } | Db::Sqlite { .. } => Ok(None),
            Db::Postgres { pool, .. } => {
                let mut listener = PgListener::connect_with(pool).await?;
                listener.listen(KEYS_CHANNEL).await?;
                Ok(Some(Self(listener)))
            }
        }
    }

    /// Returns when the keys may have changed.
    pub async fn heard(&mut self) -> Result<(), StoreError> {
        self.0.recv().await?;
        Ok(())
    }
}
