//! The only module that knows sqlx: connections, transactions, and one file of statements per table.
//!
//! SQL is written once, in the dialect that Postgres and SQLite share, and run natively on either by [`on!`]. Where the two
//! truly differ, the difference stands in `dialect.rs`. Store functions take a connection and domain values; they
//! decide nothing. Called by the flows, which open and commit.

mod dialect;
mod error;
mod migrate;
mod pending_log_line;
mod pooler;
mod row;

pub mod accounts;
pub mod clients;
pub mod keys;
pub mod oauth;
pub mod operations;
pub mod passwords;
pub mod sessions;

use dialect::POSTGRES_BEGIN;
pub use dialect::{KeysListener, database_clock, lock_signing_keys};
pub use error::{ConnectError, StoreError};
use pending_log_line::PendingLogLine;
use pooler::{Pg, StatementMode};

pub use migrate::{MigrationError, is_migrated, migrate};

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};
use sqlx::{Connection, PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};

/// Runs one expression on whichever database `$conn` is: `on!(conn, |c| sqlx::query("…").execute(c))`.
macro_rules! on {
    ($conn:expr, |$c:ident| $run:expr) => {
        match $conn.backend() {
            $crate::store::Backend::Postgres($c) => $run.await,
            $crate::store::Backend::Sqlite($c) => $run.await,
        }
    };
}
pub(crate) use on;

/// Runs a statement that answers with no rows, and tells how many it changed.
macro_rules! execute {
    ($conn:expr, $query:expr) => {
        match $conn.backend() {
            $crate::store::Backend::Postgres(c) => $query.execute(c).await.map(|done| done.rows_affected()),
            $crate::store::Backend::Sqlite(c) => $query.execute(c).await.map(|done| done.rows_affected()),
        }
    };
}
pub(crate) use execute;

/// A database server that has not answered by then is not there.
const FIRST_CONNECTION: Duration = Duration::from_secs(5);

/// A connection that was idle for less has just been seen to work.
const TRUSTED_FOR: Duration = Duration::from_millis(100);

/// An idle connection has nothing to do but to answer; another is made where it does not.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);

/// What a caller gave up on may still be under way. A connection that does not come to its end is closed: it may be to a
/// server that is not there any more, and it keeps a place in the pool.
const FINISHES_WITHIN: Duration = Duration::from_secs(2);

/// Somebody has seen so shortly before that the file takes writes.
const PROBED_FOR: Duration = Duration::from_millis(500);

/// How to reach the database.
pub struct DatabaseOptions<'a> {
    pub url: &'a str,
    pub pool_size: u32,
    /// How long a request may wait for a connection before it is told the database is away.
    pub acquire_timeout: Duration,
    /// Whether a pooler stands before Postgres that lends a connection for one transaction at a time.
    pub transaction_pooling: bool,
    /// Make an SQLite file that is not there. Postgres databases are made by their owners.
    pub create: bool,
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub enum Db {
    Postgres {
        pool: PgPool,
        /// See `pooler.rs`.
        transaction_pooling: bool,
    },
    /// SQLite has one writer at a time. One connection writes, so writers queue in order instead of polling a lock;
    /// readers never wait for it.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
        /// When a probe last wrote something.
        probed_at: Arc<Mutex<Option<Instant>>>,
    },
}

impl Db {
    /// Connects. Fails at once when the database is not there.
    pub async fn connect(options: &DatabaseOptions<'_>) -> Result<Self, ConnectError> {
        match Self::sqlite_path(options.url) {
            Some(path) => Self::open_sqlite(&path, options).await,
            None if options.url.starts_with("postgres://") || options.url.starts_with("postgresql://") => {
                Self::connect_postgres(options).await
            }
            None => Err(ConnectError::UnknownScheme),
        }
    }

    /// The file behind an `sqlite://` URL.
    pub fn sqlite_path(url: &str) -> Option<PathBuf> {
        url.strip_prefix("sqlite://").map(PathBuf::from)
    }

    async fn connect_postgres(options: &DatabaseOptions<'_>) -> Result<Self, ConnectError> {
        let pool = Self::pool(options)?;
        // One plain connection first: the pool would hide the reason behind "timed out".
        let connect = pool.connect_options();
        let first = tokio::time::timeout(FIRST_CONNECTION, PgConnection::connect_with(&connect)).await;
        let first = first.map_err(|_| ConnectError::NoAnswer)?.map_err(ConnectError::Unreachable)?;
        first.close().await.map_err(ConnectError::Unreachable)?;
        Ok(Self::Postgres { pool, transaction_pooling: options.transaction_pooling })
    }

    /// A Postgres that is away for the moment: connected to when it is needed and there again.
    pub fn connect_later(options: &DatabaseOptions<'_>) -> Result<Self, ConnectError> {
        Ok(Self::Postgres { pool: Self::pool(options)?, transaction_pooling: options.transaction_pooling })
    }

    fn pool(options: &DatabaseOptions<'_>) -> Result<PgPool, ConnectError> {
        let mut connect = PgConnectOptions::from_str(options.url).map_err(ConnectError::BadUrl)?;
        if options.transaction_pooling {
            connect = connect.statement_cache_capacity(0);
        }
        let pool = PoolOptions::<Postgres>::new()
            .max_connections(options.pool_size)
            .acquire_timeout(options.acquire_timeout)
            // The driver's own test waits as long as TCP does for a server that has vanished.
            .test_before_acquire(false)
            .before_acquire(|conn, seen| match seen.idle_for < TRUSTED_FOR {
                true => Box::pin(async { Ok(true) }),
                false => Box::pin(answers(conn, ANSWERS_WITHIN)),
            })
            .after_release(|conn, _| Box::pin(answers(conn, FINISHES_WITHIN)));
        Ok(pool.connect_lazy_with(connect))
    }

    async fn open_sqlite(path: &Path, options: &DatabaseOptions<'_>) -> Result<Self, ConnectError> {
        if options.create {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder)
                    .map_err(|cause| ConnectError::Folder(folder.to_owned(), cause))?;
            }
            create_private(path).map_err(|cause| ConnectError::File(path.to_owned(), cause))?;
        } else if !path.exists() {
            return Err(ConnectError::Missing(path.to_owned()));
        }
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(options.create)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // Other processes (the command line beside a server) write to the same file.
            .busy_timeout(options.acquire_timeout);
        let open = |connections, options: &DatabaseOptions<'_>| {
            PoolOptions::<Sqlite>::new()
                .max_connections(connections)
                .acquire_timeout(options.acquire_timeout)
                // SQLite ends a transaction by itself when its disk is full, and the driver never hears of it.
                .before_acquire(|conn, _| Box::pin(async { Ok(!conn.is_in_transaction()) }))
                .connect_with(connect.clone())
        };
        let unreachable = |cause| ConnectError::Unopenable(path.to_owned(), cause);
        let writer = open(1, options).await.map_err(unreachable)?;
        let readers = open(options.pool_size, options).await.map_err(unreachable)?;
        Ok(Self::Sqlite { writer, readers, probed_at: Arc::default() })
    }

    /// A connection for single statements that only read.
    pub async fn read(&self) -> Result<Conn, StoreError> {
        match self {
            Self::Postgres { .. } => self.lend().await,
            Self::Sqlite { readers, .. } => {
                Ok(Conn(RawConnection::Lite(readers.acquire().await.map_err(StoreError::Unavailable)?)))
            }
        }
    }

    /// A connection for one statement that writes and is its own transaction.
    pub async fn write(&self) -> Result<Conn, StoreError> {
        self.lend().await
    }

    async fn lend(&self) -> Result<Conn, StoreError> {
        Ok(Conn(match self {
            Self::Postgres { pool, transaction_pooling } => {
                let mode = if *transaction_pooling { StatementMode::Alone } else { StatementMode::Direct };
                RawConnection::Pg(pool.acquire().await.map_err(StoreError::Unavailable)?, mode)
            }
            Self::Sqlite { writer, .. } => {
                RawConnection::Lite(writer.acquire().await.map_err(StoreError::Unavailable)?)
            }
        }))
    }

    /// A write transaction. Dropped without [`Tx::commit`] it changes nothing.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let conn = match self {
            Self::Postgres { pool, transaction_pooling } => {
                let mode =
                    if *transaction_pooling { StatementMode::InTransaction } else { StatementMode::Direct };
                let begun = pool.begin_with(POSTGRES_BEGIN).await.map_err(StoreError::Unavailable)?;
                Conn(RawConnection::PgTx(begun, mode))
            }
            // A transaction that first reads and then writes would fail when another process wrote in between.
            Self::Sqlite { writer, .. } => Conn(RawConnection::LiteTx(
                writer.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::Unavailable)?,
            )),
        };
        Ok(Tx { conn, events: Vec::new() })
    }

    /// Whether the database takes writes: a statement that needs the right to write and changes nothing. SQLite does not
    /// notice by that when its disk is full, so there something is written, though not for everybody who asks.
    pub async fn probe_writable(&self) -> Result<(), StoreError> {
        let Self::Sqlite { probed_at, .. } = self else {
            let mut conn = self.write().await?;
            execute!(conn, sqlx::query("DELETE FROM idempotency_keys WHERE key = ''"))?;
            return Ok(());
        };
        let is_known =
            || probed_at.lock().is_ok_and(|at| at.as_ref().is_some_and(|at| at.elapsed() < PROBED_FOR));
        if is_known() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        // Whoever waited for the one before may have their answer.
        if is_known() {
            return Ok(());
        }
        execute!(tx, sqlx::query("PRAGMA user_version = 0"))?;
        tx.commit().await?;
        if let Ok(mut probed_at) = probed_at.lock() {
            *probed_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Connections open, and those of them idle.
    pub fn pool_usage(&self) -> (u32, usize) {
        match self {
            Self::Postgres { pool, .. } => (pool.size(), pool.num_idle()),
            Self::Sqlite { writer, readers, .. } => {
                (writer.size() + readers.size(), writer.num_idle() + readers.num_idle())
            }
        }
    }

    pub fn is_embedded(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    /// `postgres` or `sqlite`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Postgres { .. } => "postgres",
            Self::Sqlite { .. } => "sqlite",
        }
    }

    /// Gives all connections back.
    pub async fn close(&self) {
        match self {
            Self::Postgres { pool, .. } => pool.close().await,
            Self::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

/// Whether the other end of a connection is there. `Err` has it closed without another word.
async fn answers(conn: &mut PgConnection, limit: Duration) -> Result<bool, sqlx::Error> {
    let answered = tokio::time::timeout(limit, conn.ping()).await;
    answered.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(true)
}

/// Makes the database file for its owner alone, if it is not there: it holds password hashes. SQLite gives the files beside
/// it the same mode.
fn create_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// One connection, in a transaction or not. What store functions take.
pub struct Conn(RawConnection);

enum RawConnection {
    Pg(PoolConnection<Postgres>, StatementMode),
    PgTx(Transaction<'static, Postgres>, StatementMode),
    Lite(PoolConnection<Sqlite>),
    LiteTx(Transaction<'static, Sqlite>),
}

/// The driver's own connection, for [`on!`].
pub(crate) enum Backend<'c> {
    Postgres(Pg<'c>),
    Sqlite(&'c mut SqliteConnection),
}

impl Conn {
    pub(crate) fn backend(&mut self) -> Backend<'_> {
        match &mut self.0 {
            RawConnection::Pg(conn, mode) => Backend::Postgres(Pg::new(conn, *mode)),
            RawConnection::PgTx(tx, mode) => Backend::Postgres(Pg::new(tx, *mode)),
            RawConnection::Lite(conn) => Backend::Sqlite(conn),
            RawConnection::LiteTx(tx) => Backend::Sqlite(tx),
        }
    }
}

/// A write transaction; a [`Conn`] that can be committed.
pub struct Tx {
    conn: Conn,
    /// Security events that have happened once it is committed, and not before.
    events: Vec<PendingLogLine>,
}

impl Tx {
    /// Makes it so. After `Ok` the change survives a crash of any process.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.conn.0 {
            RawConnection::PgTx(tx, _) => tx.commit().await?,
            RawConnection::LiteTx(tx) => tx.commit().await?,
            RawConnection::Pg(..) | RawConnection::Lite(_) => {}
        }
        self.events.iter().for_each(PendingLogLine::log);
        Ok(())
    }
}

impl std::ops::Deref for Tx {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl std::ops::DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}
