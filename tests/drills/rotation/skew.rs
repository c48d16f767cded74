//! One node's clock 30 s off, ahead or behind: its tokens say the right time, its rotations honour the lead, and it says so.

use std::process::Command;
use std::sync::Arc;

use serde_json::json;

use crate::support::cluster::{kid_of, moment};
use crate::support::history::History;
use crate::support::invariants::{all_agree, one_of_each};
use crate::support::issuing::Teller;
use crate::support::story::{Promise, judge};
use crate::support::verifier::{Fleet, Habit, Keeps, Kind, OnUnknown, World};
use crate::support::{Admin, Brief, Cluster, Failure, Outcome, Postgres, ensure, ms, now_ms, within};

const POLL: u64 = 1000;
const MAX_AGE: u64 = 1000;
const CACHE: u64 = 1000;
const LIFE_S: i64 = 2;
const LEEWAY_S: i64 = 1;
const OFF_S: i64 = 30;
/// The node whose clock is off.
const SKEWED: usize = 2;

const PROMISE: Promise = Promise {
    staleness: POLL.cast_signed(),
    lead: (POLL + MAX_AGE + CACHE).cast_signed(),
    life: LIFE_S * 1000,
    leeway: LEEWAY_S * 1000,
};

pub async fn skew(brief: &Brief) -> Outcome<String> {
    let library = faketime()?;
    let mut told = Vec::new();
    for off in [OFF_S, -OFF_S] {
        let database = Postgres::from_environment()?.create_database().await?;
        let mut cluster = Cluster::prepare(brief, |_| database)?;
        let outcome = run(brief, &mut cluster, &library, off).await;
        let outcome = outcome.map_err(|failure| failure.during(format!("{off:+} s")));
        told.push(cluster.conclude(outcome)?);
    }
    Ok(told.join("\n  "))
}

/// The library that `faketime` would load. It is loaded directly, for `faketime` would stand between us and the node.
pub fn faketime() -> Outcome<String> {
    let asked = Command::new("faketime").args(["-m", "-f", "+0s", "printenv", "LD_PRELOAD"]).output();
    let asked =
        asked.map_err(|error| Failure::new(format!("faketime: {error}; `make drills` installs it")))?;
    let said = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    ensure!(asked.status.success() && said.contains("libfaketime"), "faketime names no library: {said}");
    Ok(said)
}

async fn run(brief: &Brief, cluster: &mut Cluster, library: &str, off: i64) -> Outcome<String> {
    cluster
        .set("CHANCERY_KEYS__REFRESH_INTERVAL", format!("{POLL}ms"))
        .set("CHANCERY_KEYS__JWKS_MAX_AGE", format!("{MAX_AGE}ms"))
        .set("CHANCERY_KEYS__VERIFIER_CACHE_TTL", format!("{CACHE}ms"))
        .set("CHANCERY_TOKENS__ACCESS_TOKEN_TTL", format!("{LIFE_S}s"))
        .set("CHANCERY_TOKENS__LEEWAY", format!("{LEEWAY_S}s"));
    cluster.start(SKEWED).await?;
    let skewed = cluster
        .program
        .clone()
        .with("LD_PRELOAD", library)
        .with("FAKETIME", format!("{off:+}s"))
        .with("DONT_FAKE_MONOTONIC", "1");
    cluster.start_one("skewed", &skewed).await?;
    let nodes = cluster.addresses();
    let admin = cluster.admin().await?;

    let history = Arc::new(History::default());
    let world = World {
        api: cluster.api.clone(),
        nodes: nodes.clone(),
        history: Arc::clone(&history),
        leeway_s: LEEWAY_S,
    };
    let fleet = Fleet::start(kinds(), &world, |name| brief.chance(name));
    let mut teller = Teller::new(&cluster.api, &cluster.newcomer("teller").await?);
    let mut chance = brief.chance("skew");
    let rounds = brief.pick(12, 3);
    let (mut furthest, mut of_skewed) = (0_i64, 0);
    for round in 0..rounds {
        // Every node rotates in turn, the skewed one first.
        let node = &nodes[(SKEWED + round) % nodes.len()];
        let eligible_at = moment(&admin.key(&nodes[0], "next").await?["eligible_at"])?;
        let mut asked_early = false;
        while now_ms() < eligible_at + 20 {
            let from = if chance.coin() { &nodes[SKEWED] } else { chance.pick(&nodes) };
            let (asked_at, token) = (now_ms(), teller.next(from, &history).await?);
            // Whole seconds are rounded down.
            let wrong = (token.iat * 1000 - asked_at).max(asked_at - token.iat * 1000 - 1000);
            ensure!(wrong < 1000, "a token of {from} says it is from {wrong} ms off");
            furthest = furthest.max(wrong);
            of_skewed += usize::from(*from == nodes[SKEWED]);
            let end = token.exp * 1000 + PROMISE.leeway;
            fleet.order_all(&token, now_ms);
            fleet.order_all(&token, || end - 1 - chance.below(1000).cast_signed() as i64);
            if !asked_early && now_ms() + 500 < eligible_at {
                refuses_early(&admin, &nodes[SKEWED], eligible_at).await?;
                asked_early = true;
            }
            tokio::time::sleep(ms(50)).await;
        }
        let before = kid_of(&admin.key(node, "current").await?);
        let answer = admin.rotate(node, json!({})).await?;
        ensure!(answer.status == 200, "after the gate {node} answered {}: {}", answer.status, answer.text);
        all_agree(&cluster.api, &admin, &nodes).await?;
        ensure!(kid_of(&admin.key(&nodes[0], "current").await?) != before, "{before} still signs");
        one_of_each(&cluster.database).await?;
        history.keys_told(&admin.keys(&nodes[0]).await?);
    }
    let kinds = fleet.finish().await;
    let judgement = judge(&history.open(), &kinds, PROMISE);
    println!("  {off:+} s: {}", judgement.figures());
    judgement.verdict()?;
    let said = says_so(cluster, off).await?;
    Ok(format!(
        "{off:+} s: {rounds} rotations, each node in turn; {of_skewed} tokens of the skewed node, iat at most {furthest} ms \
         off; it says {said}"
    ))
}

fn kinds() -> Vec<Kind> {
    vec![
        Kind::library("keeps the whole promised time", Keeps::For(ms(MAX_AGE + CACHE)), OnUnknown::Refuse),
        Kind::library("keeps nothing", Keeps::Nothing, OnUnknown::Refuse),
        Kind::new("Chancery's /auth/me", Habit::Chancery),
    ]
}

/// By its own clock, 30 s ahead, the skewed node would let it through.
async fn refuses_early(admin: &Admin, node: &str, eligible_at: i64) -> Outcome {
    let early = admin.rotate(node, json!({})).await?;
    let right = early.status == 409 && early.code() == "key_not_eligible";
    ensure!(right, "before the gate the skewed node answered {}: {}", early.status, early.text);
    let told = moment(&early.json()["eligible_at"])?;
    ensure!(told == eligible_at, "the skewed node's gate opens {} ms from the others'", told - eligible_at);
    Ok(())
}

/// In its metrics and in its log.
async fn says_so(cluster: &Cluster, off: i64) -> Outcome<String> {
    let node = &cluster.nodes[SKEWED];
    within(ms(3000), async || {
        let metrics = cluster.api.get(&node.address, "/metrics").await?.text;
        let line = metrics.lines().find(|line| line.starts_with("chancery_clock_offset_seconds"));
        let value = line.and_then(|line| line.rsplit(' ').next()).and_then(|word| word.parse::<f64>().ok());
        let value = value.ok_or_else(|| Failure::new("no metric chancery_clock_offset_seconds"))?;
        #[expect(clippy::cast_precision_loss)]
        let wrong = (value + off as f64).abs();
        let is_about_right = wrong < 1.0;
        ensure!(is_about_right, "chancery_clock_offset_seconds is {value}");
        let log = node.running.log()?;
        ensure!(log.contains("\"clock_offset\""), "its log has no event clock_offset");
        Ok(())
    })
    .await?;
    Ok(format!("chancery_clock_offset_seconds {:+} and logs clock_offset", -off))
}
