//! Nodes that reach Postgres through PgBouncer, which lends a server connection for one transaction at a time.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::field::{Field, under_load_of};
use super::outage::works_again;
use crate::support::cluster::PASSWORD;
use crate::support::journal::Nodes;
use crate::support::{
    Api, Brief, Cluster, Database, Failure, Outcome, Postgres, Program, ensure, ms, quantile, within,
};

/// Far fewer than the nodes would like.
const SERVER_CONNECTIONS: usize = 6;

/// The pooler's process. It is gone when this is dropped.
struct Pooler {
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pooler {
    async fn start(database: &Database) -> Outcome<Self> {
        let url = reqwest::Url::parse(&database.url())?;
        let folder = tempfile::TempDir::with_prefix("chancery-pooler-")?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let written = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres password={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = {SERVER_CONNECTIONS}\nmax_client_conn = 500\n\
             ignore_startup_parameters = extra_float_digits\n",
            url.port().unwrap_or(5432),
            url.password().unwrap_or_default(),
        );
        let settings = folder.path().join("pgbouncer.ini");
        fs::write(&settings, written)?;
        let child = Self::spawn(&settings)?;
        let pooler = Self { folder, port, child };
        pooler.listens().await?;
        Ok(pooler)
    }

    /// A node that is started before it would not.
    async fn listens(&self) -> Outcome {
        within(Duration::from_secs(5), async || {
            tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await?;
            Ok(())
        })
        .await
        .map(|_| ())
    }

    fn spawn(settings: &Path) -> Outcome<Child> {
        let mut command = Command::new("pgbouncer");
        // It will not run as root.
        command.args(["-q", "-u", "nobody"]).arg(settings);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Failure::new(format!("pgbouncer: {error}; please install it")))
    }

    fn url(&self, database: &Database) -> Outcome<String> {
        let mut url = reqwest::Url::parse(&database.url())?;
        let is_set = url.set_port(Some(self.port)).is_ok();
        is_set.then(|| url.into()).ok_or_else(|| Failure::new("a strange database URL"))
    }

    /// kill -9 and a new one in its place.
    async fn restart(&mut self) -> Outcome {
        self.child.kill()?;
        self.child.wait()?;
        tokio::time::sleep(ms(300)).await;
        self.child = Self::spawn(&self.folder.path().join("pgbouncer.ini"))?;
        self.listens().await
    }
}

pub async fn pooler(brief: &Brief) -> Outcome<String> {
    let database = Postgres::from_environment()?.create_database().await?;
    let mut pooler = Pooler::start(&database).await?;
    let (through, direct) = (pooler.url(&database)?, database.url());
    let settings = async |cluster: &mut Cluster| {
        cluster.set("CHANCERY_DATABASE__URL", &through).set("CHANCERY_DATABASE__TRANSACTION_POOLING", "true");
        Ok(None)
    };
    let database = |_: &Path| -> Database { database };
    under_load_of(brief, 3, database, settings, async |field| {
        tokio::time::sleep(brief.pick(ms(15_000), ms(4000))).await;
        let rounds = brief.pick(3, 1);
        let mut worst = Duration::ZERO;
        for _ in 0..rounds {
            field.under("pooler restarted", Nodes::All, Nodes::None, async |_| pooler.restart().await).await?;
            worst = worst.max(works_again(field).await?);
        }
        let told = compare(field, &direct).await?;
        Ok(format!(
            "3 nodes on {SERVER_CONNECTIONS} server connections; pooler killed {rounds} times, all ready {} ms after it was back; {told}",
            worst.as_millis()
        ))
    })
    .await
}

/// What it costs: refreshes of one session, one after the other, on two nodes in turn.
async fn compare(field: &Field, direct: &str) -> Outcome<String> {
    let program = field.cluster.program.clone();
    let straight = program
        .clone()
        .with("CHANCERY_DATABASE__URL", direct)
        .with("CHANCERY_DATABASE__TRANSACTION_POOLING", "false");
    let (near, far) = (serve(&straight, "direct").await?, serve(&program, "pooled").await?);
    let mut took = [Vec::new(), Vec::new()];
    let credentials = json!({ "email": "comparer@drill.test", "password": PASSWORD });
    let api = Api::new();
    api.post(&near.address, "/auth/register", credentials.clone()).await?.expect(201)?;
    let mut tokens = api.post(&near.address, "/auth/login", credentials).await?.expect(200)?;
    for _ in 0..200 {
        for (node, took) in [&near, &far].into_iter().zip(&mut took) {
            let asked = Instant::now();
            let refresh = tokens["refresh_token"].as_str().unwrap_or_default().to_owned();
            tokens = api.refresh(&node.address, &refresh).await?.expect(200)?;
            took.push(asked.elapsed().as_micros());
        }
    }
    let [direct, pooled] = took.map(|mut took| quantile(&mut took, 0.5));
    ensure!(direct > 0, "a refresh took no time");
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let ratio = pooled as f64 / direct as f64;
    Ok(format!(
        "a refresh p50 {direct} us directly, {pooled} us through the pooler ({ratio:.2}), in turn under load"
    ))
}

async fn serve(program: &Program, name: &str) -> Outcome<crate::support::Node> {
    program.serve(&Api::new(), name).await
}
