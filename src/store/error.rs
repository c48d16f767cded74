use std::path::PathBuf;

/// What can go wrong with a statement.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, busy or full: the same request may succeed later.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A row that must be unique is there already.
    #[error("a row with this unique value exists already")]
    Duplicate,
    /// A stored row cannot be read as what it should be.
    #[error("table {table}, row {row}: column {column} cannot be read")]
    Corrupt { table: &'static str, column: &'static str, row: String },
    /// A statement the database does not understand: a fault of ours.
    #[error("unexpected database error: {0}")]
    Other(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(cause) if cause.is_unique_violation() => Self::Duplicate,
            sqlx::Error::Database(cause) => match cause.code() {
                Some(code) if is_passing(&code) => Self::Unavailable(error),
                _ => Self::Other(error),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            _ => Self::Other(error),
        }
    }
}

/// Codes that speak of the server's state and not of the statement.
fn is_passing(code: &str) -> bool {
    // Postgres SQLSTATE classes: connection, insufficient resources, operator intervention, system error,
    // transaction rollback (deadlock, serialisation), lock not available, a standby's read-only refusal, and a transaction that said nothing for too long.
    const POSTGRES: [&str; 5] = ["08", "53", "57", "58", "40"];
    if code.len() == 5 {
        return POSTGRES.iter().any(|class| code.starts_with(class))
            || code == "55P03"
            || code == "25006"
            || code == "25P03";
    }
    // SQLite result codes (the low byte of an extended one): BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN.
    matches!(code.parse::<u32>().map(|code| code & 0xff), Ok(5 | 6 | 8 | 10 | 13 | 14))
}

impl ConnectError {
    /// Whether the server is away or starting, and not wrongly configured.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NoAnswer => true,
            Self::Unreachable(sqlx::Error::Database(cause)) => {
                cause.code().is_some_and(|code| is_passing(&code))
            }
            Self::Unreachable(cause) => matches!(cause, sqlx::Error::Io(_)),
            _ => false,
        }
    }
}

/// Why there is no database to work with. The messages are for whoever starts the server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("database.url must start with sqlite:// or postgres://")]
    UnknownScheme,
    #[error("database.url cannot be read: {0}")]
    BadUrl(#[source] sqlx::Error),
    #[error("cannot reach the database server: {0}")]
    Unreachable(#[source] sqlx::Error),
    #[error("the database server does not answer")]
    NoAnswer,
    #[error("cannot make the file {}: {}", .0.display(), .1)]
    File(PathBuf, #[source] std::io::Error),
    #[error("there is no database at {}; `chancery serve` or `chancery migrate` makes it", .0.display())]
    Missing(PathBuf),
    #[error("cannot open the database {}: {}", .0.display(), .1)]
    Unopenable(PathBuf, #[source] sqlx::Error),
    #[error("cannot make the folder {}: {}", .0.display(), .1)]
    Folder(PathBuf, #[source] std::io::Error),
}
