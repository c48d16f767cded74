//! Many verifications over scheduled and manual rotations: nobody who keeps to the contract is ever wrong.
//!
//! A minute is 0.2 s: verifiers keep their set for 5, 10 or 15 minutes (1, 2, 3 s), for the whole of what is promised
//! (max-age and 15 minutes: 4 s), or forever, and meet an unknown kid by asking at once, after 30 s (100 ms), or not at all.
//! Whoever has a cool-down has it burnt all the time by an attacker's tokens of unknown kids.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cluster::{kid_of, moment};
use crate::support::forge::Forger;
use crate::support::history::{History, Token};
use crate::support::issuing::Teller;
use crate::support::story::{Promise, judge};
use crate::support::verifier::{Fleet, Habit, Keeps, Kind, OnUnknown, World};
use crate::support::{Admin, Brief, Chance, Cluster, Outcome, Postgres, ensure, ms, now_ms};

const POLL: u64 = 1000;
const MAX_AGE: u64 = 1000;
const CACHE: u64 = 3000;
const LIFE_S: i64 = 2;
const LEEWAY_S: i64 = 1;
const COOL_DOWN: u64 = 100;
const TELLERS: usize = 5;

const PROMISE: Promise = Promise {
    staleness: POLL.cast_signed(),
    lead: (POLL + MAX_AGE + CACHE).cast_signed(),
    life: LIFE_S * 1000,
    leeway: LEEWAY_S * 1000,
};

pub async fn verify(brief: &Brief) -> Outcome<String> {
    let postgres = Postgres::from_environment()?;
    let database = postgres.create_database().await?;
    let mut cluster = Cluster::prepare(brief, |_| database)?;
    let outcome = run(brief, &mut cluster).await;
    cluster.conclude(outcome)
}

async fn run(brief: &Brief, cluster: &mut Cluster) -> Outcome<String> {
    cluster
        .set("CHANCERY_KEYS__REFRESH_INTERVAL", format!("{POLL}ms"))
        .set("CHANCERY_KEYS__JWKS_MAX_AGE", format!("{MAX_AGE}ms"))
        .set("CHANCERY_KEYS__VERIFIER_CACHE_TTL", format!("{CACHE}ms"))
        .set("CHANCERY_KEYS__ROTATE_EVERY", "5s")
        .set("CHANCERY_TOKENS__ACCESS_TOKEN_TTL", format!("{LIFE_S}s"))
        .set("CHANCERY_TOKENS__LEEWAY", format!("{LEEWAY_S}s"));
    cluster.start(3).await?;
    let nodes = cluster.addresses();
    // The same Chancery, but its tokens are for somebody else.
    let elsewhere = cluster.program.clone().with("CHANCERY_TOKENS__AUDIENCE", "someone-else");
    cluster.start_one("elsewhere", &elsewhere).await?;
    let elsewhere = cluster.nodes[3].address.clone();
    let admin = Arc::new(cluster.admin().await?);

    let history = Arc::new(History::default());
    let world = World {
        api: cluster.api.clone(),
        nodes: nodes.clone(),
        history: Arc::clone(&history),
        leeway_s: LEEWAY_S,
    };
    let fleet = Arc::new(Fleet::start(kinds(), &world, |name| brief.chance(name)));
    let stop = Arc::new(AtomicBool::new(false));

    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..TELLERS {
        let teller = Teller::new(&cluster.api, &cluster.newcomer(&format!("teller{number}")).await?);
        let chance = brief.chance(&format!("teller {number}"));
        tasks.spawn(tell(
            teller,
            nodes.clone(),
            chance,
            Arc::clone(&fleet),
            Arc::clone(&history),
            Arc::clone(&stop),
        ));
    }
    let stranger = Teller::new(&cluster.api, &cluster.newcomer("stranger").await?);
    let forger = Forger::new(brief.chance("forger"))?;
    tasks.spawn(attack(
        stranger,
        elsewhere,
        forger,
        Arc::clone(&fleet),
        Arc::clone(&history),
        Arc::clone(&stop),
    ));

    let rotations = rotate_repeatedly(brief, cluster, &admin, &nodes, &history).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let rotations = rotations?;
    let kinds = Arc::into_inner(fleet).expect("everyone who ordered has ended").finish().await;
    let records = history.open();
    let judgement = judge(&records, &kinds, PROMISE);
    let issued = records.tokens.iter().filter(|token| token.genuine).count();
    let false_ones = records.tokens.len() - issued;
    let fetched = records.sets.len();
    println!("  {}", judgement.figures());
    judgement.verdict()?;
    ensure!(records.failed_fetches.is_empty(), "key sets could not be had: {:?}", records.failed_fetches);
    let wanted = brief.pick(100_000, 10_000);
    ensure!(judgement.verifications >= wanted, "only {} verifications", judgement.verifications);
    Ok(format!(
        "{rotations}; {issued} tokens issued on 3 nodes, {false_ones} forged or of another audience, {fetched} key sets fetched"
    ))
}

/// All who keep the contract, and two controls who do not.
fn kinds() -> Vec<Kind> {
    let mut kinds = vec![
        Kind::library("keeps nothing", Keeps::Nothing, OnUnknown::Refuse),
        Kind::new("Chancery's /auth/me", Habit::Chancery),
        Kind { control: true, ..Kind::new("believes anything", Habit::Gullible) },
    ];
    let keeps = [
        ("5 min", Keeps::For(ms(1000))),
        ("10 min", Keeps::For(ms(2000))),
        ("15 min", Keeps::For(ms(CACHE))),
        ("max-age + 15 min", Keeps::For(ms(MAX_AGE + CACHE))),
        ("forever", Keeps::Forever),
    ];
    let on_unknown = [
        ("refetches at once", OnUnknown::Refetch),
        ("refetches after 30 s", OnUnknown::RefetchAfter(ms(COOL_DOWN))),
        ("never refetches", OnUnknown::Refuse),
    ];
    for (kept, keeps) in keeps {
        for (then, on_unknown) in on_unknown {
            let control = matches!((keeps, on_unknown), (Keeps::Forever, OnUnknown::Refuse));
            let kind = Kind::library(format!("keeps {kept}, {then}"), keeps, on_unknown);
            kinds.push(Kind { control, ..kind });
        }
    }
    // Whoever keeps its set for the whole of what is promised depends on every bit of the lead, and on its phase: some
    // fetch just before a key is published.
    for eighth in 1..8 {
        let name = format!("keeps max-age + 15 min, never refetches, {eighth}/8 later");
        let kind = Kind::library(name, Keeps::For(ms(MAX_AGE + CACHE)), OnUnknown::Refuse);
        kinds.push(Kind { phase: ms((MAX_AGE + CACHE) * eighth / 8), ..kind });
    }
    kinds
}

/// Gets token after token from any node, and has each verified by all at random moments of its life.
async fn tell(
    mut teller: Teller,
    nodes: Vec<String>,
    mut chance: Chance,
    fleet: Arc<Fleet>,
    history: Arc<History>,
    stop: Arc<AtomicBool>,
) -> Outcome {
    while !stop.load(Ordering::Relaxed) {
        let node = chance.pick(&nodes).clone();
        let token = teller.next(&node, &history).await?;
        order_verifications(&fleet, &token, &mut chance);
        tokio::time::sleep(ms(70) + chance.up_to(ms(140))).await;
    }
    Ok(())
}

fn order_verifications(fleet: &Fleet, token: &Arc<Token>, chance: &mut Chance) {
    let now = now_ms();
    let end = token.exp * 1000 + PROMISE.leeway;
    let whole = usize::try_from(end - now).unwrap_or(0);
    fleet.order_all(token, || now + chance.below(whole).cast_signed() as i64);
    fleet.order_all(token, || end - 1 - chance.below(100).cast_signed() as i64);
    if chance.below(4) == 0 {
        fleet.order_all(token, || end + chance.below(1000).cast_signed() as i64);
    }
}

/// Forges after the newest tokens, brings genuine tokens of another audience, and burns cool-downs.
async fn attack(
    mut stranger: Teller,
    elsewhere: String,
    mut forger: Forger,
    fleet: Arc<Fleet>,
    history: Arc<History>,
    stop: Arc<AtomicBool>,
) -> Outcome {
    let patient: Vec<usize> = (0..fleet.kinds.len())
        .filter(|number| {
            let habit = &fleet.kinds[*number].habit;
            matches!(habit, Habit::Library { on_unknown: OnUnknown::RefetchAfter(_), .. })
        })
        .collect();
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(ms(70)).await;
        let Some((good, jwk)) = newest(&history) else { continue };
        let burner = history.add(forger.unknown_kid(&good)?);
        for verifier in &patient {
            fleet.order(*verifier, &burner, now_ms());
        }
        round += 1;
        if round % 4 == 0 {
            fleet.order_all(&history.add(forger.forge(&good, &jwk)?), now_ms);
        }
        if round % 16 == 0 {
            // It is a good token, only not for these services.
            let other = stranger.next(&elsewhere, &History::default()).await?;
            let misdirected = Token {
                text: other.text.clone(),
                kid: other.kid.clone(),
                origin: "another audience".to_owned(),
                genuine: false,
                ..*other
            };
            fleet.order_all(&history.add(misdirected), now_ms);
        }
    }
    Ok(())
}

/// The newest genuine token, with its public key if that has been seen published.
fn newest(history: &History) -> Option<(Arc<Token>, Value)> {
    let records = history.open();
    let good = records.tokens.iter().rev().find(|token| token.genuine)?;
    Some((Arc::clone(good), records.published.get(&good.kid)?.clone()))
}

/// Every rotation is left to the schedule or asked for as soon as the gate opens, on one node or on all, as the coin falls.
async fn rotate_repeatedly(
    brief: &Brief,
    cluster: &Cluster,
    admin: &Admin,
    nodes: &[String],
    history: &History,
) -> Outcome<String> {
    let mut chance = brief.chance("rotations");
    let (mut scheduled, mut manual, mut refused) = (0, 0, 0);
    let wanted = brief.pick(100_000, 10_000);
    // What is under way when this ends still adds a few.
    while history.open().checks.len() < wanted * 21 / 20 || scheduled + manual < brief.pick(20, 3) {
        let current = admin.key(&nodes[0], "current").await?;
        let next = admin.key(&nodes[0], "next").await?;
        let eligible_at = moment(&next["eligible_at"])?;
        // The first key of all was there before any verifier; a rotation at the gate shows whether the lead is long enough.
        if scheduled + manual < 2 || chance.coin() {
            // Too early first: nobody may be let through.
            tokio::time::sleep(chance.up_to(ms(3000))).await;
            if now_ms() + 200 < eligible_at {
                let node: &String = chance.pick(nodes);
                let early = admin.rotate(node, json!({})).await?;
                let right = early.status == 409 && early.code() == "key_not_eligible";
                ensure!(right, "a rotation before the gate was answered {}: {}", early.status, early.text);
                refused += 1;
            }
            wait_until(eligible_at).await;
            let at_once = nodes.iter().take(1 + chance.below(nodes.len()));
            let answers =
                futures_util::future::join_all(at_once.map(|node| admin.rotate(node, json!({})))).await;
            for answer in answers {
                let answer = answer?;
                ensure!(
                    matches!(answer.status, 200 | 409),
                    "a rotation was answered {}: {}",
                    answer.status,
                    answer.text
                );
                manual += usize::from(answer.status == 200);
            }
        } else {
            let before = kid_of(&current);
            let mut looks = 0;
            while kid_of(&admin.key(&nodes[0], "current").await?) == before {
                ensure!(looks < 200, "the schedule did not rotate within 20 s");
                looks += 1;
                tokio::time::sleep(ms(100)).await;
            }
            scheduled += 1;
        }
        history.keys_told(&admin.keys(&nodes[0]).await?);
    }
    // Tokens of the last rotation's keys have their whole life yet.
    tokio::time::sleep(Duration::from_secs(1)).await;
    history.keys_told(&admin.keys(&cluster.nodes[0].address).await?);
    Ok(format!("{scheduled} scheduled and {manual} manual rotations, {refused} refused before the gate"))
}

async fn wait_until(at: i64) {
    let wait = (at - now_ms()).max(0);
    tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
}
