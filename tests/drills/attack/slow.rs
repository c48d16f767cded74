//! Clients that take their time: heads and bodies that never end, answers that nobody reads, ranges that overlap. Each costs
//! little and is sent away in time, and nobody else notices.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::support::raw::{Raw, address_of, may_hold};
use crate::support::watch::Watch;
use crate::support::{Brief, Cluster, Database, Failure, Outcome, ensure, ms};

/// Connections of one kind.
const CROWD: usize = 1000;
/// They do not all come in one millisecond.
const APART: Duration = Duration::from_millis(1);
const PROBES_P99: Duration = Duration::from_millis(500);
/// What the node may take for all of them together.
const GROWTH_KB: u64 = 300 * 1024;

/// The server's own limits (src/server/mod.rs, src/http/extract/body.rs), and what a busy machine may be late.
const HEAD: Duration = Duration::from_secs(10);
const LATER_HEAD: Duration = Duration::from_secs(16);
const BODY: Duration = Duration::from_secs(4);
const TAKES: Duration = Duration::from_secs(30);
const MARGIN: Duration = Duration::from_secs(5);

type Deed = fn(SocketAddr, bool) -> Pin<Box<dyn Future<Output = Outcome<Duration>> + Send>>;

/// What one connection does, to its end; it tells how long the server bore it.
const KINDS: &[(&str, Deed)] = &[
    ("heads", |node, _| Box::pin(endless_head(node))),
    ("heads after a good request", |node, _| Box::pin(later_head(node))),
    ("bodies", |node, _| Box::pin(endless_body(node, "/auth/login", Ends::Counted))),
    ("bodies in chunks", |node, _| Box::pin(endless_body(node, "/auth/login", Ends::Chunked))),
    ("bodies nobody asked for", |node, _| Box::pin(unwanted_body(node))),
    ("answers not read", |node, quick| Box::pin(unread_answers(node, quick))),
    ("ranges", |node, quick| Box::pin(ranges(node, quick))),
];

pub async fn slow(brief: &Brief) -> Outcome<String> {
    may_hold(CROWD)?;
    let mut cluster = Cluster::prepare(brief, Database::sqlite)?;
    let outcome = run(brief, &mut cluster).await;
    cluster.conclude(outcome)
}

async fn run(brief: &Brief, cluster: &mut Cluster) -> Outcome<String> {
    cluster.start(1).await?;
    cluster.newcomer("owner").await?;
    let mut told = Vec::new();
    for (kind, deed) in KINDS {
        let outcome = one_kind(brief, cluster, *deed).await.map_err(|failure| failure.during(kind));
        told.push(format!("{kind}: {}", outcome?));
    }
    Ok(format!("{CROWD} connections of each kind\n    {}", told.join("\n    ")))
}

async fn one_kind(brief: &Brief, cluster: &Cluster, deed: Deed) -> Outcome<String> {
    let node = &cluster.nodes[0];
    let address = address_of(&node.address)?;
    let before = node.running.resident()?;
    let watch = Watch::begin(cluster, "owner").await?;
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        crowd.spawn(deed(address, brief.quick));
        tokio::time::sleep(APART).await;
    }
    let (mut most, mut longest) = (before, Duration::ZERO);
    let mut looks = tokio::time::interval(ms(250));
    loop {
        tokio::select! {
            ended = crowd.join_next() => match ended {
                Some(ended) => longest = longest.max(ended??),
                None => break,
            },
            _ = looks.tick() => most = most.max(node.running.resident()?),
        }
    }
    let probes = watch.end(PROBES_P99).await?;
    let grown = most.saturating_sub(before);
    ensure!(grown <= GROWTH_KB, "the node grew from {before} to {most} kB");
    cluster.again("owner").await.map_err(|failure| failure.during("a login afterwards"))?;
    Ok(format!("borne for {:.1} s at most, {grown} kB more; {probes}", longest.as_secs_f64()))
}

/// Another byte of a header, ten times in the time that a head has.
async fn endless_head(node: SocketAddr) -> Outcome<Duration> {
    let mut raw = Raw::connect(node).await?;
    raw.send(b"GET /health/live HTTP/1.1\r\nhost: drill\r\nx-slow: ").await?;
    drip_until_closed(&mut raw, Instant::now(), HEAD).await
}

/// The same on a connection that has been served before.
async fn later_head(node: SocketAddr) -> Outcome<Duration> {
    let mut raw = Raw::connect(node).await?;
    let first = raw.get("/health/live").await?;
    ensure!(first.status == 200, "a good request was answered {}", first.status);
    let begun = Instant::now();
    raw.send(b"G").await?;
    drip_until_closed(&mut raw, begun, LATER_HEAD).await
}

async fn drip_until_closed(raw: &mut Raw, begun: Instant, limit: Duration) -> Outcome<Duration> {
    let said = raw.drip(b'a', ms(1000), limit + MARGIN).await?;
    let said = String::from_utf8_lossy(&said);
    ensure!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "answered {said}");
    raw.closes_within(MARGIN).await?;
    Ok(begun.elapsed())
}

enum Ends {
    Counted,
    Chunked,
}

/// A body that is announced, and comes a byte at a time.
async fn endless_body(node: SocketAddr, path: &str, ends: Ends) -> Outcome<Duration> {
    let mut raw = Raw::connect(node).await?;
    let length = match ends {
        Ends::Counted => "content-length: 60000\r\n\r\n",
        // The one chunk is as endless.
        Ends::Chunked => "transfer-encoding: chunked\r\n\r\nea60\r\n",
    };
    let head = format!("POST {path} HTTP/1.1\r\nhost: drill\r\ncontent-type: application/json\r\n{length}");
    raw.send(head.as_bytes()).await?;
    let begun = Instant::now();
    let said = raw.drip(b'{', ms(400), BODY + MARGIN).await?;
    let said = String::from_utf8_lossy(&said);
    ensure!(said.starts_with("HTTP/1.1 408"), "a body that never ends was answered {said:?}");
    let answered_after = begun.elapsed();
    goes_away(&mut raw).await?;
    Ok(answered_after)
}

/// It is answered at once, and goes on sending.
async fn unwanted_body(node: SocketAddr) -> Outcome<Duration> {
    let mut raw = Raw::connect(node).await?;
    raw.send(b"POST /nowhere HTTP/1.1\r\nhost: drill\r\ntransfer-encoding: chunked\r\n\r\nea60\r\n").await?;
    let begun = Instant::now();
    let said = raw.drip(b'{', ms(400), BODY + MARGIN).await?;
    let said = String::from_utf8_lossy(&said);
    ensure!(said.starts_with("HTTP/1.1 404"), "a body for nobody was answered {said:?}");
    goes_away(&mut raw).await?;
    Ok(begun.elapsed())
}

/// Whoever was answered and sends on is sent away as well.
async fn goes_away(raw: &mut Raw) -> Outcome {
    let leaving = async {
        while !raw.drip(b'{', ms(400), LATER_HEAD + MARGIN).await?.is_empty() {}
        Ok(())
    };
    let in_time = tokio::time::timeout(LATER_HEAD + MARGIN, leaving).await;
    in_time.unwrap_or_else(|_| Err(Failure::new("sends on after its answer, and is borne")))
}

/// Asks over and over and reads nothing.
async fn unread_answers(node: SocketAddr, quick: bool) -> Outcome<Duration> {
    let mut raw = Raw::connect_narrow(node).await?;
    let asked = "GET /openapi.json HTTP/1.1\r\nhost: drill\r\n\r\nGET /.well-known/jwks.json HTTP/1.1\r\nhost: drill\r\n\r\n";
    let asked = asked.repeat(16);
    let begun = Instant::now();
    let limit = if quick { ms(8000) } else { TAKES + TAKES / 2 };
    let asking = async {
        while raw.send(asked.as_bytes()).await.is_ok() {
            tokio::time::sleep(ms(50)).await;
        }
    };
    let closed = tokio::time::timeout(limit, asking).await.is_ok();
    ensure!(closed || quick, "still there after {limit:?} of reading nothing");
    Ok(begun.elapsed())
}

/// As many overlapping ranges as fit in a header: never more than the document comes back.
async fn ranges(node: SocketAddr, quick: bool) -> Outcome<Duration> {
    let mut raw = Raw::connect(node).await?;
    let begun = Instant::now();
    let overlapping: Vec<String> = (0..1000).map(|at| format!("{at}-")).collect();
    let header = format!("range: bytes=0-,{}\r\n", overlapping.join(","));
    let rounds = if quick { 3 } else { 8 };
    for _ in 0..rounds {
        for path in ["/.well-known/jwks.json", "/docs/index.html"] {
            let whole = raw.get(path).await?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: drill\r\n{header}\r\n");
            let part = raw.ask(&request).await?;
            ensure!(matches!(part.status, 200 | 416), "overlapping ranges were answered {}", part.status);
            let (most, came) = (whole.body.len(), part.body.len());
            ensure!(came <= most, "of {most} bytes overlapping ranges brought {came}");
            tokio::time::sleep(ms(1000)).await;
        }
    }
    Ok(begun.elapsed())
}
