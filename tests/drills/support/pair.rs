//! A Postgres of a drill's own with a streaming replica, and the address clients know them by.

use std::fs;
use std::net::TcpListener as StdListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use sqlx::{Connection, Executor, PgConnection};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Database, Failure, Outcome, ensure, ms, within};

const PASSWORD: &str = "drill";

/// One server process, run as whoever may run Postgres here.
pub struct Member {
    programs: PathBuf,
    data: PathBuf,
    owner: String,
    pub port: u16,
    running: bool,
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.running {
            let _ = self.control(&["stop", "--mode=immediate", "--silent"]);
        }
    }
}

impl Member {
    /// A primary that answers a commit only when its replica has it.
    pub fn primary() -> Outcome<Self> {
        let member = Self::beside_the_throwaway("primary")?;
        let secret = member.data.with_extension("password");
        fs::write(&secret, PASSWORD)?;
        member.hand_over(&secret)?;
        let file = format!("--pwfile={}", secret.display());
        member.run("initdb", &["--username=postgres", "--auth=scram-sha-256", &file, "--no-sync", "-D"])?;
        member.start()
    }

    /// A hot standby of it.
    pub fn standby_of(primary: &Self) -> Outcome<Self> {
        let member = Self::beside_the_throwaway("standby")?;
        let source = format!("--dbname={}", primary.url("postgres"));
        member.run(
            "pg_basebackup",
            &[&source, "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D"],
        )?;
        member.start()
    }

    fn beside_the_throwaway(name: &str) -> Outcome<Self> {
        let variable =
            |name: &str| std::env::var(name).map_err(|_| Failure::new(format!("{name} is not set")));
        let throwaway = PathBuf::from(variable("CHANCERY_TEST_POSTGRES_DATA")?);
        let programs = variable("CHANCERY_TEST_POSTGRES_BIN")?.into();
        let owner = fs::metadata(&throwaway)?.uid().to_string();
        let port = StdListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self {
            programs,
            data: throwaway.with_file_name(format!("{name}-{port}")),
            owner,
            port,
            running: false,
        })
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    fn start(mut self) -> Outcome<Self> {
        let settings = format!(
            "-c port={} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c max_connections=200 -c fsync=off",
            self.port,
            self.data.display()
        );
        let log = format!("--log={}", self.data.with_extension("log").display());
        self.control(&["start", "--wait", "--silent", &log, "--options", &settings])?;
        self.running = true;
        Ok(self)
    }

    /// Every process of it killed, as when its host is gone.
    pub fn crash(&mut self) -> Outcome {
        self.running = false;
        self.control(&["stop", "--mode=immediate", "--silent"])
    }

    pub fn promote(&self) -> Outcome {
        self.control(&["promote", "--wait", "--silent"])
    }

    pub async fn tell(&self, statement: &'static str) -> Outcome {
        let mut conn = PgConnection::connect(&self.url("postgres")).await?;
        conn.execute(statement).await?;
        Ok(())
    }

    /// From now on a commit is answered only when the replica has it.
    pub async fn wait_for_replica(&self) -> Outcome {
        self.tell("ALTER SYSTEM SET synchronous_standby_names = '*'").await?;
        self.tell("SELECT pg_reload_conf()").await?;
        let synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        let database = Database::Postgres(self.url("postgres"));
        within(std::time::Duration::from_secs(20), async || {
            ensure!(database.number(synchronous.to_owned()).await? == 1, "the replica does not follow");
            Ok(())
        })
        .await?;
        Ok(())
    }

    fn control(&self, arguments: &[&str]) -> Outcome {
        let data = format!("--pgdata={}", self.data.display());
        self.finish("pg_ctl", &[&[data.as_str()], arguments].concat())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Outcome {
        let data = self.data.display().to_string();
        self.finish(program, &[arguments, &[data.as_str()]].concat())
    }

    fn finish(&self, program: &str, arguments: &[&str]) -> Outcome {
        // Not all of them stand beside the server.
        let beside = self.programs.join(program);
        let path = if beside.exists() { beside } else { program.into() };
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args([
                &format!("--reuid={}", self.owner),
                &format!("--regid={}", self.owner),
                "--clear-groups",
                "--",
            ]);
            command.arg(path);
            command
        } else {
            Command::new(path)
        };
        let beside = self.data.parent().unwrap_or(Path::new("/"));
        // A server keeps what it is given; a pipe to us would never be closed.
        let status = command
            .args(arguments)
            .current_dir(beside)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        ensure!(status.success(), "{program} {} ended with {status}", arguments.join(" "));
        Ok(())
    }

    fn hand_over(&self, file: &Path) -> Outcome {
        let owner = self.owner.parse().map_err(|_| Failure::new("a strange owner"))?;
        std::os::unix::fs::chown(file, Some(owner), Some(owner))?;
        Ok(())
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// One address for whoever is the primary, as a virtual address or a proxy gives it.
pub struct Signpost {
    pub port: u16,
    target: Arc<Mutex<u16>>,
    moved: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Drop for Signpost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Signpost {
    pub async fn to(port: u16) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own = listener.local_addr()?.port();
        let target = Arc::new(Mutex::new(port));
        let moved = watch::Sender::new(0);
        let (goal, news) = (Arc::clone(&target), moved.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (port, mut turns) = (*goal.lock().expect("whole"), news.subscribe());
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = turns.changed() => {}
                    }
                });
            }
        });
        Ok(Self { port: own, target, moved, task })
    }

    /// Leads elsewhere, and breaks what led to the old place.
    pub async fn turn_to(&self, port: u16) {
        *self.target.lock().expect("whole") = port;
        self.moved.send_modify(|count| *count += 1);
        tokio::time::sleep(ms(1)).await;
    }
}
