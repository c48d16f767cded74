use std::io::Write;

use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// An empty database for one test. With `CHANCERY_TEST_KEEP=1` the test prints the database's URL, and the database stays
/// when the test has ended (`docs/development.md`).
pub enum Database {
    Sqlite(TempDir),
    Postgres { server: String, name: String },
}

impl Database {
    pub async fn create(kind: Kind) -> Self {
        let keep = std::env::var_os("CHANCERY_TEST_KEEP").is_some_and(|value| value == "1");
        let database = Self::create_empty(kind, keep).await;
        if keep {
            database.print_url();
        }
        database
    }

    async fn create_empty(kind: Kind, keep: bool) -> Self {
        match kind {
            Kind::Sqlite => {
                let mut folder = tempfile::Builder::new();
                let folder = folder.prefix("chancery-test-").disable_cleanup(keep).tempdir();
                Self::Sqlite(folder.expect("a folder"))
            }
            Kind::Postgres => {
                let server = std::env::var("CHANCERY_TEST_POSTGRES")
                    .expect("CHANCERY_TEST_POSTGRES names a Postgres server; `make test` starts one");
                let name = format!("t{}", Uuid::new_v4().simple());
                let mut conn = PgConnection::connect(&server).await.expect("the Postgres server answers");
                let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"));
                conn.execute(create).await.expect("a database");
                Self::Postgres { server, name }
            }
        }
    }

    /// Written past the test harness, which shows what a test prints only when the test fails.
    fn print_url(&self) {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        writeln!(std::io::stderr(), "{test}: {}", self.url()).expect("standard error is open");
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}", folder.path().join("data/chancery.db").display()),
            Self::Postgres { server, name } => {
                let mut url = reqwest::Url::parse(server).expect("a URL");
                url.set_path(name);
                url.into()
            }
        }
    }

    /// Runs statements past the server, as someone with access to the database could.
    pub async fn execute(&self, sql: &str) {
        self.try_execute(sql).await.expect("executed");
    }

    /// The same, where the database may refuse.
    pub async fn try_execute(&self, sql: &str) -> sqlx::Result<()> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(_) => {
                let mut conn = sqlx::SqliteConnection::connect(&self.url()).await.expect("connected");
                conn.execute(sql).await.map(|_| ())
            }
            Self::Postgres { .. } => {
                let mut conn = PgConnection::connect(&self.url()).await.expect("connected");
                conn.execute(sql).await.map(|_| ())
            }
        }
    }

    /// Everything that a thief of the database would have.
    pub fn stored_bytes(&self) -> Vec<u8> {
        match self {
            Self::Sqlite(folder) => {
                let files = std::fs::read_dir(folder.path().join("data")).expect("the database's folder");
                files.flat_map(|file| std::fs::read(file.expect("a file").path()).expect("read")).collect()
            }
            Self::Postgres { .. } => {
                let dump =
                    std::process::Command::new("pg_dump").arg(self.url()).output().expect("pg_dump runs");
                assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
                dump.stdout
            }
        }
    }

    /// Something that is the same as long as nobody writes a row.
    pub fn rows_as_text(&self) -> Vec<u8> {
        match self {
            // Readers change the third file, `-shm`.
            Self::Sqlite(folder) => {
                let files = std::fs::read_dir(folder.path().join("data")).expect("the database's folder");
                let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
                paths.retain(|path| !path.to_string_lossy().ends_with("-shm"));
                paths.sort();
                paths.into_iter().flat_map(|path| std::fs::read(path).expect("read")).collect()
            }
            // Every dump has a word of its own in its first and last lines.
            Self::Postgres { .. } => {
                let is_key =
                    |line: &[u8]| line.starts_with(b"\\restrict ") || line.starts_with(b"\\unrestrict ");
                let lines = self.stored_bytes();
                let lines = lines.split(|byte| *byte == b'\n');
                let lines: Vec<&[u8]> = lines.filter(|line| !is_key(line)).collect();
                lines.join(&b'\n')
            }
        }
    }

    /// The rows of a table as text, in one order: two texts are equal when no row has changed.
    pub async fn rows(&self, table: &str) -> String {
        let rows = match self {
            Self::Sqlite(_) => {
                let columns = format!(
                    "SELECT group_concat('quote(\"' || name || '\")', ' || '','' || ')
                     FROM pragma_table_info('{table}')"
                );
                let columns = self.text(&columns).await;
                format!(
                    "SELECT group_concat(line, char(10)) FROM (SELECT {columns} AS line FROM {table} ORDER BY 1)"
                )
            }
            Self::Postgres { .. } => {
                format!("SELECT string_agg(line::text, chr(10) ORDER BY line::text) FROM {table} AS line")
            }
        };
        self.text(&rows).await
    }

    /// The names of all tables, in one order.
    pub async fn tables(&self) -> Vec<String> {
        let names = match self {
            Self::Sqlite(_) => {
                "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_master
                 WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name)"
            }
            Self::Postgres { .. } => {
                "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'"
            }
        };
        self.text(names).await.split_whitespace().map(str::to_owned).collect()
    }

    /// One text, empty for NULL.
    pub async fn text(&self, sql: &str) -> String {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        let text: Option<String> = match self {
            Self::Sqlite(_) => {
                let mut conn = sqlx::SqliteConnection::connect(&self.url()).await.expect("connected");
                sqlx::query_scalar(sql).fetch_one(&mut conn).await.expect("a text")
            }
            Self::Postgres { .. } => {
                let mut conn = PgConnection::connect(&self.url()).await.expect("connected");
                sqlx::query_scalar(sql).fetch_one(&mut conn).await.expect("a text")
            }
        };
        text.unwrap_or_default()
    }

    /// Whether what is stored holds a text.
    pub fn holds(&self, text: &str) -> bool {
        self.stored_bytes().windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// One number.
    pub async fn count(&self, sql: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(_) => {
                let mut conn = sqlx::SqliteConnection::connect(&self.url()).await.expect("connected");
                sqlx::query_scalar(sql).fetch_one(&mut conn).await.expect("a number")
            }
            Self::Postgres { .. } => {
                let mut conn = PgConnection::connect(&self.url()).await.expect("connected");
                sqlx::query_scalar(sql).fetch_one(&mut conn).await.expect("a number")
            }
        }
    }
}
