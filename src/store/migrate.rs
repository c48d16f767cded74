//! The schema: twin migrations, the same numbers and names for both databases.

use std::borrow::Cow;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Executor, SqlSafeStr};

use super::dialect::lock_schema;
use super::{Backend, Conn, Db, StoreError, on};

/// One change of the schema, told to both databases.
struct MigrationPair {
    version: &'static str,
    name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),+ $(,)?) => {
        [$(MigrationPair {
            version: $version,
            name: $name,
            postgres: include_str!(concat!("../../migrations/postgres/", $version, "_", $name, ".sql")),
            sqlite: include_str!(concat!("../../migrations/sqlite/", $version, "_", $name, ".sql")),
        }),+]
    };
}

const MIGRATIONS: [MigrationPair; 20] = migrations![
    "0001" "users",
    "0002" "sessions",
    "0003" "signing_keys",
    "0004" "idempotency_keys",
    "0005" "audit",
    "0006" "login_attempts",
    "0007" "key_lifecycle",
    "0008" "source_attempts",
    "0009" "security_events",
    "0010" "oauth",
    "0011" "client_keys",
    "0012" "pushed_requests",
    "0013" "backchannel_logout",
    "0014" "token_exchange",
    "0015" "client_registrations",
    "0016" "device_codes",
    "0017" "id_claims",
    "0018" "dpop",
    "0019" "initiate_login_uri",
    "0020" "names",
];

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error("the database was made by a newer Chancery (schema {0}); start that version or a later one")]
    Newer(i64),
    #[error("schema {0} in the database is not the one this Chancery was built with")]
    Altered(i64),
    #[error("the schema could not be brought up to date: {0}")]
    Failed(#[source] MigrateError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<MigrateError> for MigrationError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => Self::Newer(version),
            MigrateError::VersionMismatch(version) => Self::Altered(version),
            MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => {
                Self::Store(cause.into())
            }
            other => Self::Failed(other),
        }
    }
}

/// Brings the schema up to date, in one transaction under a lock: several nodes started together migrate once, and none
/// sees half a schema. Changes nothing when the schema is newer than this program. Returns how many migrations it ran.
pub async fn migrate(db: &Db) -> Result<usize, MigrationError> {
    let mut tx = db.begin().await?;
    lock_schema(&mut tx).await?;
    let before = applied(&mut tx).await?;
    match tx.backend() {
        Backend::Postgres(conn) => {
            let (conn, pooler) = conn.into_driver();
            // The migrator names its statements. Behind a pooler others may have left the same names on this server connection,
            // and must not find ours.
            if pooler {
                conn.execute("DEALLOCATE ALL").await.map_err(StoreError::from)?;
            }
            migrator(|pair| pair.postgres).run_direct(None, &mut *conn, false).await?;
            if pooler {
                conn.execute("DEALLOCATE ALL").await.map_err(StoreError::from)?;
            }
        }
        Backend::Sqlite(conn) => migrator(|pair| pair.sqlite).run_direct(None, conn, false).await?,
    }
    tx.commit().await?;
    Ok(MIGRATIONS.len().saturating_sub(before))
}

fn migrator(sql: fn(&MigrationPair) -> &'static str) -> Migrator {
    let migration = |pair: &MigrationPair| {
        let version = pair.version.parse().unwrap_or_default();
        Migration::new(
            version,
            Cow::Borrowed(pair.name),
            MigrationType::Simple,
            sql(pair).into_sql_str(),
            false,
        )
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect());
    // Its own lock is the connection's and not the transaction's; a pooling proxy would lose it.
    migrator.set_locking(false);
    migrator
}

/// Whether every migration of this program has been run.
pub async fn is_migrated(db: &Db) -> Result<bool, StoreError> {
    Ok(applied(&mut db.read().await?).await? == MIGRATIONS.len())
}

async fn applied(conn: &mut Conn) -> Result<usize, StoreError> {
    if !table_exists(conn, "_sqlx_migrations").await? {
        return Ok(0);
    }
    let count: i64 =
        on!(conn, |c| { sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(c) })?;
    Ok(usize::try_from(count).unwrap_or(0))
}

async fn table_exists(conn: &mut Conn, table: &str) -> Result<bool, StoreError> {
    // The two databases keep their catalogue in different places.
    Ok(match conn.backend() {
        Backend::Postgres(conn) => {
            sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(conn).await?
        }
        Backend::Sqlite(conn) => {
            sqlx::query_scalar("SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = $1")
                .bind(table)
                .fetch_one(conn)
                .await?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twins_on_disk_are_the_ones_built_in() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let on_disk = |database: &str| {
            let mut names: Vec<String> = std::fs::read_dir(format!("{root}/{database}"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let built_in: Vec<String> =
            MIGRATIONS.iter().map(|pair| format!("{}_{}.sql", pair.version, pair.name)).collect();
        assert_eq!(on_disk("postgres"), built_in);
        assert_eq!(on_disk("sqlite"), built_in);
    }
}
