//! Thousands of connections that asked once and say nothing more. They are held, and let go when their time is over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::raw::{Raw, address_of, may_hold};
use crate::support::watch::Watch;
use crate::support::{Brief, Cluster, Database, Outcome, ensure};

/// Handshakes under way at one moment.
const AT_ONCE: usize = 100;
const PROBES_P99: Duration = Duration::from_millis(500);
const GROWTH_KB: u64 = 400 * 1024;
/// The server's own (src/server/mod.rs), and what thousands of closings on a busy machine take.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const MARGIN: Duration = Duration::from_secs(15);

pub async fn idle(brief: &Brief) -> Outcome<String> {
    let crowd = brief.pick(10_000, 2000);
    may_hold(crowd)?;
    let mut cluster = Cluster::prepare(brief, Database::sqlite)?;
    let outcome = run(brief, &mut cluster, crowd).await;
    cluster.conclude(outcome)
}

async fn run(brief: &Brief, cluster: &mut Cluster, count: usize) -> Outcome<String> {
    cluster.start(1).await?;
    cluster.newcomer("owner").await?;
    let node = &cluster.nodes[0];
    let address = address_of(&node.address)?;
    let before = node.running.resident()?;
    let crowd = gather(address, count).await?;
    let grown = node.running.resident()?.saturating_sub(before);
    ensure!(grown <= GROWTH_KB, "{count} idle connections cost {grown} kB");

    let watch = Watch::begin(cluster, "owner").await?;
    tokio::time::sleep(brief.pick(Duration::from_secs(20), Duration::from_secs(5))).await;
    let probes = watch.end(PROBES_P99).await?;
    let told = format!("{count} idle connections held for {grown} kB; meanwhile {probes}");
    if brief.quick {
        return Ok(told);
    }
    let longest = all_close(crowd).await?;
    cluster.again("owner").await?;
    Ok(format!("{told}; closed {:.1} s after their request at most", longest.as_secs_f64()))
}

/// Connections that have been answered once.
async fn gather(node: SocketAddr, count: usize) -> Outcome<Vec<Raw>> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut arriving = JoinSet::new();
    for _ in 0..count {
        let place = Arc::clone(&places).acquire_owned().await?;
        arriving.spawn(async move {
            let mut raw = Raw::connect(node).await?;
            let answer = raw.get("/health/live").await?;
            ensure!(answer.status == 200, "one of many was answered {}", answer.status);
            drop(place);
            Ok(raw)
        });
    }
    let mut crowd = Vec::new();
    while let Some(arrived) = arriving.join_next().await {
        crowd.push(arrived??);
    }
    Ok(crowd)
}

/// How old the oldest became.
async fn all_close(crowd: Vec<Raw>) -> Outcome<Duration> {
    let mut leaving = JoinSet::new();
    for mut raw in crowd {
        leaving.spawn(async move {
            let left = (KEEP_ALIVE + MARGIN).saturating_sub(raw.connected_at.elapsed());
            raw.closes_within(left).await?;
            Ok::<_, crate::support::Failure>(raw.connected_at.elapsed())
        });
    }
    let mut longest = Duration::ZERO;
    while let Some(left) = leaving.join_next().await {
        longest = longest.max(left??);
    }
    Ok(longest)
}
