//! Far more connections than the node has descriptors for: it serves as many as it can, keeps what its database needs, and says so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::cluster::PASSWORD;
use crate::support::raw::{Raw, address_of, may_hold};
use crate::support::{Brief, Cluster, Database, Outcome, Postgres, ensure, ms, within};

const DESCRIPTORS: u64 = 256;
/// Less those the server keeps for itself (src/server/mod.rs).
const SERVED: usize = 160;
const CROWD: usize = 1000;
const WORKS_AGAIN_WITHIN: Duration = Duration::from_secs(5);
/// Lines that are not about a request.
const LINES: usize = 20;
const SAYS: &str = "\"connections_exhausted\"";

pub async fn descriptors(brief: &Brief) -> Outcome<String> {
    may_hold(CROWD)?;
    let sqlite = Cluster::prepare(brief, Database::sqlite)?;
    let mut told = vec![format!("SQLite: {}", one_database(brief, sqlite).await?)];
    let database = Postgres::from_environment()?.create_database().await?;
    let cluster = Cluster::prepare(brief, |_| database)?;
    told.push(format!("Postgres: {}", one_database(brief, cluster).await?));
    Ok(told.join("\n  "))
}

async fn one_database(brief: &Brief, mut cluster: Cluster) -> Outcome<String> {
    let outcome = run(brief, &mut cluster).await;
    cluster.conclude(outcome)
}

async fn run(brief: &Brief, cluster: &mut Cluster) -> Outcome<String> {
    let program = cluster.program.clone().with_descriptors(DESCRIPTORS);
    cluster.start_one("narrow", &program).await?;
    cluster.newcomer("owner").await?;
    let address = address_of(&cluster.nodes[0].address)?;
    let mut told = Vec::new();
    for _ in 0..brief.pick(3, 1) {
        let lines = other_lines(cluster)?;
        let mut inside = Raw::connect(address).await?;
        let served = Arc::new(AtomicUsize::new(0));
        let crowd = knock(address, &served);
        tokio::time::sleep(Duration::from_secs(4)).await;
        works_inside(&mut inside).await.map_err(|failure| failure.during("one that was let in"))?;
        let served = served.load(Ordering::Relaxed);
        ensure!((SERVED / 2..=SERVED).contains(&served), "{served} of {CROWD} connections were served");
        ensure!(cluster.nodes[0].running.ended()?.is_none(), "the node has ended");
        drop((crowd, inside));
        let again = works_again(cluster).await?;
        let lines = other_lines(cluster)? - lines;
        ensure!(lines <= LINES, "the crowd cost {lines} lines in the log");
        told.push(format!("{served} served, works again after {} ms, {lines} lines", again.as_millis()));
    }
    let log = cluster.nodes[0].running.log()?;
    ensure!(log.contains(SAYS), "the log does not say that connections were exhausted");
    Ok(format!("{CROWD} at a node with {DESCRIPTORS} descriptors: {}", told.join("; ")))
}

/// They stay, served or not, until they are dropped. What is answered must be answered well.
fn knock(node: SocketAddr, served: &Arc<AtomicUsize>) -> JoinSet<Outcome> {
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let served = Arc::clone(served);
        crowd.spawn(async move {
            let mut raw = Raw::connect(node).await?;
            let answer = raw.get("/health/live").await?;
            if answer.status == 200 {
                served.fetch_add(1, Ordering::Relaxed);
            }
            std::future::pending::<()>().await;
            Ok(())
        });
    }
    crowd
}

/// Everything that needs the database.
async fn works_inside(raw: &mut Raw) -> Outcome {
    let credentials = json!({ "email": "owner@drill.test", "password": PASSWORD });
    let login = raw.post("/auth/login", &credentials).await?;
    ensure!(login.status == 200, "a login was answered {}", login.status);
    let tokens: serde_json::Value = serde_json::from_slice(&login.body)?;
    let refresh = raw.post("/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] })).await?;
    ensure!(refresh.status == 200, "a refresh was answered {}", refresh.status);
    let ready = raw.get("/health/ready").await?;
    ensure!(ready.status == 200, "readiness was answered {}", ready.status);
    Ok(())
}

async fn works_again(cluster: &Cluster) -> Outcome<Duration> {
    within(WORKS_AGAIN_WITHIN, async || {
        let strangers = crate::support::Api::of_strangers();
        let base = &cluster.nodes[0].address;
        let asking = tokio::time::timeout(ms(1000), strangers.get(base, "/health/ready")).await;
        asking.map_err(|_| crate::support::Failure::new("no answer within a second"))??.expect(200)?;
        let body = json!({ "email": "owner@drill.test", "password": PASSWORD });
        strangers.post(base, "/auth/login", body).await?.expect(200)?;
        Ok(())
    })
    .await
}

fn other_lines(cluster: &Cluster) -> Outcome<usize> {
    let log = cluster.nodes[0].running.log()?;
    let about_a_request = ["\"event\":\"request\"", "\"event\":\"login_succeeded\""];
    Ok(log.lines().filter(|line| !about_a_request.iter().any(|event| line.contains(event))).count())
}
