//! The throwaway Postgres of `scripts/with-postgres`, and what may happen to it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use uuid::Uuid;

use super::node::signal;
use super::{Failure, Outcome, ensure, ms};

/// The database of one drill.
#[derive(Clone, Debug)]
pub enum Database {
    Sqlite(PathBuf),
    Postgres(String),
}

/// How many keys stand where, as the rows say.
#[derive(Debug, PartialEq, Eq)]
pub struct Stored {
    pub current: i64,
    pub next: i64,
    /// Demoted or revoked, and yet with a private half.
    pub not_erased: i64,
}

const CURRENT: &str = "activated_at IS NOT NULL AND demoted_at IS NULL AND revoked_at IS NULL";
const NEXT: &str = "activated_at IS NULL AND demoted_at IS NULL AND revoked_at IS NULL";
const NOT_ERASED: &str =
    "encrypted_private_key IS NOT NULL AND (demoted_at IS NOT NULL OR revoked_at IS NOT NULL)";

impl Database {
    pub fn sqlite(folder: &Path) -> Self {
        Self::Sqlite(folder.join("chancery.db"))
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(url) => url.clone(),
        }
    }

    /// A connection past the server, to hold locks with.
    pub async fn intruder(&self) -> Outcome<PgConnection> {
        Ok(PgConnection::connect(&self.url()).await?)
    }

    /// One number, read past the server.
    pub async fn number(&self, sql: String) -> Outcome<i64> {
        let sql = sqlx::AssertSqlSafe(sql);
        Ok(match self {
            Self::Sqlite(_) => {
                let mut conn = SqliteConnection::connect(&self.url()).await?;
                sqlx::query_scalar(sql).fetch_one(&mut conn).await?
            }
            Self::Postgres(url) => {
                let mut conn = PgConnection::connect(url).await?;
                sqlx::query_scalar(sql).fetch_one(&mut conn).await?
            }
        })
    }

    /// Makes every change of a key take some 20 ms more, so that a random moment is often one within a transaction.
    pub async fn dawdle(&self) -> Outcome {
        match self {
            Self::Sqlite(_) => {
                let mut conn = SqliteConnection::connect(&self.url()).await?;
                for change in ["INSERT", "UPDATE"] {
                    // SQLite cannot sleep, so it counts.
                    let some = "(SELECT 1 FROM sqlite_master LIMIT 20)";
                    let trigger = format!(
                        "CREATE TRIGGER dawdle_{change} AFTER {change} ON signing_keys BEGIN
                             SELECT count(*) FROM {some} a, {some} b, {some} c, {some} d;
                         END"
                    );
                    conn.execute(sqlx::AssertSqlSafe(trigger)).await?;
                }
            }
            Self::Postgres(url) => {
                let mut conn = PgConnection::connect(url).await?;
                conn.execute(
                    "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
                         'BEGIN PERFORM pg_sleep(0.02); RETURN NULL; END';
                     CREATE TRIGGER dawdle AFTER INSERT OR UPDATE ON signing_keys
                         FOR EACH STATEMENT EXECUTE FUNCTION dawdle()",
                )
                .await?;
            }
        }
        Ok(())
    }

    pub async fn stored_keys(&self) -> Outcome<Stored> {
        let count =
            async |what: &str| self.number(format!("SELECT count(*) FROM signing_keys WHERE {what}")).await;
        Ok(Stored {
            current: count(CURRENT).await?,
            next: count(NEXT).await?,
            not_erased: count(NOT_ERASED).await?,
        })
    }
}

/// The server itself.
#[derive(Clone, Debug)]
pub struct Postgres {
    url: String,
    data: PathBuf,
    programs: PathBuf,
    control: PathBuf,
}

/// While this lives, no process of the server does anything.
pub struct Paused {
    pids: Vec<u32>,
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = signal("-CONT", &self.pids);
    }
}

impl Postgres {
    pub fn from_environment() -> Outcome<Self> {
        let variable = |name: &str| {
            std::env::var(name).map_err(|_| {
                Failure::new(format!(
                    "{name} is not set: run `make drills`, which starts a Postgres of its own"
                ))
            })
        };
        Ok(Self {
            url: variable("CHANCERY_TEST_POSTGRES")?,
            data: variable("CHANCERY_TEST_POSTGRES_DATA")?.into(),
            programs: variable("CHANCERY_TEST_POSTGRES_BIN")?.into(),
            control: variable("CHANCERY_TEST_POSTGRES_CTL")?.into(),
        })
    }

    pub async fn create_database(&self) -> Outcome<Database> {
        let name = format!("d{}", Uuid::new_v4().simple());
        let mut conn = PgConnection::connect(&self.url).await?;
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"));
        conn.execute(create).await?;
        // As in operation. The throwaway server's own setting is for tests, and loses what it has answered when it crashes.
        let durable = format!("ALTER DATABASE {name} SET synchronous_commit = on");
        conn.execute(sqlx::AssertSqlSafe(durable)).await?;
        let mut url = reqwest::Url::parse(&self.url)?;
        url.set_path(&name);
        Ok(Database::Postgres(url.into()))
    }

    /// Stops the server at once, breaking all connections, and starts it again. `immediate` is a crash: it recovers from its log.
    pub async fn restart(&self, mode: &str) -> Outcome {
        let mut restart = Command::new(&self.control);
        restart.args(["restart", &format!("--mode={mode}"), "--silent"]);
        // The new server keeps what it is given; a pipe to us would never be closed.
        restart.stderr(Stdio::null());
        finish("pg_ctl", restart).await
    }

    /// Stops every process of the server where it stands: connections stay open and nothing answers.
    pub fn pause(&self) -> Outcome<Paused> {
        let file = fs::read_to_string(self.data.join("postmaster.pid"))?;
        let first = file.lines().next().and_then(|line| line.trim().parse().ok());
        let postmaster: u32 = first.ok_or_else(|| Failure::new("postmaster.pid has no process id"))?;
        // The postmaster first, so that no child is born behind our back.
        signal("-STOP", &[postmaster])?;
        let mut paused = Paused { pids: vec![postmaster] };
        for child in children_of(postmaster)? {
            // One may end by itself meanwhile.
            if signal("-STOP", &[child]).is_ok() {
                paused.pids.push(child);
            }
        }
        Ok(paused)
    }

    /// Breaks the connections on which nodes listen for changed keys. How many there were.
    pub async fn cut_listeners(&self, database: &Database) -> Outcome<i64> {
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND query LIKE 'LISTEN %'";
        database.number(cut.to_owned()).await
    }

    /// A node that loses its listener has another within milliseconds. This cuts every one of them as it comes, for half a
    /// second.
    pub async fn keep_cutting_listeners(&self, database: &Database) -> Outcome {
        let mut conn = PgConnection::connect(&database.url()).await?;
        conn.execute(
            "DO $$ BEGIN
                 FOR i IN 1..500 LOOP
                     PERFORM pg_stat_clear_snapshot();
                     PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
                         WHERE datname = current_database() AND query LIKE 'LISTEN %';
                     PERFORM pg_sleep(0.001);
                 END LOOP;
             END $$",
        )
        .await?;
        Ok(())
    }

    /// Writes the database as statements that put it back.
    pub async fn dump(&self, database: &Database, to: &Path) -> Outcome {
        let mut dump = Command::new(self.program("pg_dump"));
        dump.args(["--clean", "--if-exists", "--file"]).arg(to).arg(database.url()).stderr(Stdio::piped());
        finish("pg_dump", dump).await
    }

    /// What the server wrote into its own logs.
    pub fn logs(&self) -> Vec<u8> {
        let folder = self.data.parent().unwrap_or(&self.data);
        let read = |name: &str| fs::read(folder.join(name)).unwrap_or_default();
        [read("log"), read("restarted.log")].concat()
    }

    /// Puts a dump back, in one transaction, whoever is connected.
    pub async fn restore(&self, database: &Database, from: &Path) -> Outcome {
        let mut restore = Command::new(self.program("psql"));
        restore.args(["--quiet", "--no-psqlrc", "--single-transaction", "--set=ON_ERROR_STOP=1", "--file"]);
        restore.arg(from).arg(database.url()).stderr(Stdio::piped());
        finish("psql", restore).await
    }

    /// Client programs stand beside the server's, or in the path.
    fn program(&self, name: &str) -> PathBuf {
        let beside = self.programs.join(name);
        if beside.exists() { beside } else { name.into() }
    }
}

/// Runs a program to its end, which must be a good one and within half a minute.
async fn finish(name: &str, mut command: Command) -> Outcome {
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > Duration::from_secs(30) {
            child.kill()?;
            child.wait()?;
            return Err(Failure::new(format!("{name} took more than 30 s")));
        }
        tokio::time::sleep(ms(10)).await;
    };
    let mut why = String::new();
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_string(&mut why)?;
    }
    ensure!(status.success(), "{name} ended with {status}: {why}");
    Ok(())
}

fn children_of(parent: u32) -> Outcome<Vec<u32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // "PID (NAME) STATE PARENT …", and a name may hold anything.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        if after_name.split_whitespace().nth(1).and_then(|word| word.parse().ok()) == Some(parent) {
            children.push(pid);
        }
    }
    Ok(children)
}
