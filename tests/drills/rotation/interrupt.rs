//! Postgres restarted, frozen for half a minute, and its notifications cut, while rotations and refreshes are asked for.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::api::kids;
use crate::support::cluster::{kid_of, moment};
use crate::support::history::History;
use crate::support::invariants::{AGREE_WITHIN, all_agree, is_decent, one_of_each};
use crate::support::issuing::Teller;
use crate::support::story::{Promise, judge};
use crate::support::verifier::{Fleet, Keeps, Kind, OnUnknown, World};
use crate::support::{
    Admin, Answer, Api, Brief, Chance, Cluster, Outcome, Postgres, ensure, ms, now_ms, quantile, within,
};

const POLL_S: i64 = 5;
const MAX_AGE_S: i64 = 1;
const LIFE_S: i64 = 10;
const LEEWAY_S: i64 = 1;
/// Nobody waits longer for an answer, whatever it is.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
const WORKS_AGAIN_WITHIN: Duration = Duration::from_secs(3);
const TELLERS: usize = 4;

const PROMISE: Promise = Promise {
    staleness: POLL_S * 1000,
    lead: (POLL_S + MAX_AGE_S) * 1000,
    life: LIFE_S * 1000,
    leeway: LEEWAY_S * 1000,
};

/// What everyone who asks during the drill shares.
struct Field {
    api: Api,
    nodes: Vec<String>,
    history: Arc<History>,
    fleet: Fleet,
    stop: AtomicBool,
    frozen: AtomicBool,
    rotations: AtomicUsize,
    rotates: AtomicBool,
    refused: AtomicUsize,
    slowest: Mutex<Duration>,
    /// How long the key set took, in ms, while Postgres stood still.
    jwks_frozen: Mutex<Vec<u128>>,
    jwks_asked: AtomicUsize,
}

pub async fn interrupt(brief: &Brief) -> Outcome<String> {
    let postgres = Postgres::from_environment()?;
    let database = postgres.create_database().await?;
    let mut cluster = Cluster::prepare(brief, |_| database)?;
    let outcome = run(brief, &postgres, &mut cluster).await;
    cluster.conclude(outcome)
}

async fn run(brief: &Brief, postgres: &Postgres, cluster: &mut Cluster) -> Outcome<String> {
    cluster
        .set("CHANCERY_KEYS__REFRESH_INTERVAL", format!("{POLL_S}s"))
        .set("CHANCERY_KEYS__JWKS_MAX_AGE", format!("{MAX_AGE_S}s"))
        .set("CHANCERY_KEYS__VERIFIER_CACHE_TTL", "0s")
        .set("CHANCERY_TOKENS__ACCESS_TOKEN_TTL", format!("{LIFE_S}s"))
        .set("CHANCERY_TOKENS__LEEWAY", format!("{LEEWAY_S}s"))
        // The default: a refresh that a frozen Postgres carries out at last must not pass for theft.
        .set("CHANCERY_SESSIONS__REFRESH_GRACE", "10s");
    cluster.start(3).await?;
    let nodes = cluster.addresses();
    let operator = Teller::of(&cluster.api, cluster.admin().await?);
    let history = Arc::new(History::default());
    let world = World {
        api: cluster.api.clone(),
        nodes: nodes.clone(),
        history: Arc::clone(&history),
        leeway_s: LEEWAY_S,
    };
    let field = Arc::new(Field {
        api: cluster.api.clone(),
        nodes: nodes.clone(),
        history: Arc::clone(&history),
        fleet: Fleet::start(kinds(), &world, |name| brief.chance(name)),
        stop: AtomicBool::new(false),
        frozen: AtomicBool::new(false),
        rotations: AtomicUsize::new(0),
        rotates: AtomicBool::new(true),
        refused: AtomicUsize::new(0),
        slowest: Mutex::default(),
        jwks_frozen: Mutex::default(),
        jwks_asked: AtomicUsize::new(0),
    });
    let mut tasks = JoinSet::new();
    for number in 0..TELLERS {
        let teller = Teller::new(&cluster.api, &cluster.newcomer(&format!("teller{number}")).await?);
        tasks.spawn(tell(Arc::clone(&field), teller, brief.chance(&format!("teller {number}"))));
    }
    for node in 0..nodes.len() {
        tasks.spawn(watch_jwks(Arc::clone(&field), node));
    }
    tasks.spawn(operate(Arc::clone(&field), operator, brief.chance("operator")));
    let probe = Teller::new(&cluster.api, &cluster.newcomer("probe").await?);

    let outcome = disturb(brief, postgres, cluster, &field, probe).await;
    field.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let told = outcome?;
    let (rotations, refused) =
        (field.rotations.load(Ordering::Relaxed), field.refused.load(Ordering::Relaxed));
    let (slowest, asked) = (*field.slowest.lock().expect("whole"), field.jwks_asked.load(Ordering::Relaxed));
    let field = Arc::into_inner(field).expect("everyone who asked has ended");
    let kinds = field.fleet.finish().await;
    let admin = Admin::log_in(&cluster.api, &nodes[0]).await?;
    history.keys_told(&admin.keys(&nodes[0]).await?);
    let judgement = judge(&history.open(), &kinds, PROMISE);
    println!("  {}", judgement.figures());
    judgement.verdict()?;
    Ok(format!(
        "{told}\n  {rotations} rotations; {} tokens given, {refused} requests answered 503, the slowest answer after {} ms; \
         {asked} key sets asked for, all 200",
        history.open().tokens.len(),
        slowest.as_millis()
    ))
}

fn kinds() -> Vec<Kind> {
    vec![
        Kind::library("keeps nothing", Keeps::Nothing, OnUnknown::Refuse),
        Kind::library("keeps max-age", Keeps::For(Duration::from_secs(1)), OnUnknown::Refuse),
        Kind::library("keeps forever, refetches at once", Keeps::Forever, OnUnknown::Refetch),
        Kind::library(
            "keeps forever, refetches after 100 ms",
            Keeps::Forever,
            OnUnknown::RefetchAfter(ms(100)),
        ),
    ]
}

/// The disturbances, one after the other.
async fn disturb(
    brief: &Brief,
    postgres: &Postgres,
    cluster: &Cluster,
    field: &Field,
    mut probe: Teller,
) -> Outcome<String> {
    let (restarts, frozen_for, cuts) = (brief.pick(4, 1), brief.pick(30, 6), brief.pick(5, 1));
    let mut chance = brief.chance("moments");
    let mut after_restart = Vec::new();
    for _ in 0..restarts {
        in_the_middle_of_a_rotation(cluster, field, &mut chance).await?;
        postgres.restart("fast").await?;
        let works =
            works_again(field, &mut probe).await.map_err(|failure| failure.during("after a restart"))?;
        after_restart.push(works.as_millis());
    }
    in_the_middle_of_a_rotation(cluster, field, &mut chance).await?;
    let paused = postgres.pause()?;
    field.frozen.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(frozen_for)).await;
    field.frozen.store(false, Ordering::Relaxed);
    drop(paused);
    let thawed =
        works_again(field, &mut probe).await.map_err(|failure| failure.during("after the freeze"))?;
    one_of_each(&cluster.database).await?;
    let mut jwks = field.jwks_frozen.lock().expect("whole").clone();
    let (asked, p99) = (jwks.len(), quantile(&mut jwks, 0.99));
    ensure!(asked > 0 && p99 < 100, "frozen, the key set took {p99} ms (p99 of {asked})");

    field.rotates.store(false, Ordering::Relaxed);
    let admin = Admin::log_in(&cluster.api, &field.nodes[0]).await?;
    let mut heard = Vec::new();
    for cut in 0..cuts {
        heard.push(cut_and_rotate(postgres, cluster, field, &admin, cut).await?.as_millis());
    }
    one_of_each(&cluster.database).await?;
    Ok(format!(
        "{restarts} restarts, all worked again after at most {} ms; frozen for {frozen_for} s, all worked again after {} ms, \
         the key set meanwhile {p99} ms (p99 of {asked}); listeners cut {cuts} times, a rotation was seen on all nodes after \
         at most {} ms",
        quantile(&mut after_restart, 1.0),
        thawed.as_millis(),
        quantile(&mut heard, 1.0)
    ))
}

/// Waits until the operator's next question is not refused any more, more or less.
async fn in_the_middle_of_a_rotation(cluster: &Cluster, field: &Field, chance: &mut Chance) -> Outcome {
    let admin = Admin::log_in(&cluster.api, &field.nodes[0]).await?;
    let wait = moment(&admin.key(&field.nodes[0], "next").await?["eligible_at"])? - now_ms();
    tokio::time::sleep(ms(wait.max(0).unsigned_abs()) + chance.up_to(ms(60))).await;
    Ok(())
}

/// Every node is ready, refreshes, and answers about a rotation.
async fn works_again(field: &Field, probe: &mut Teller) -> Outcome<Duration> {
    within(WORKS_AGAIN_WITHIN, async || {
        for node in &field.nodes {
            field.api.get(node, "/health/ready").await?.expect(200)?;
            probe.next(node, &field.history).await?;
            field.api.jwks(node).await?.expect(200)?;
        }
        Ok(())
    })
    .await
}

/// With nobody listening, polling must do. A listener comes back at once, so it is cut for as long as the rotation takes.
async fn cut_and_rotate(
    postgres: &Postgres,
    cluster: &Cluster,
    field: &Field,
    admin: &Admin,
    round: usize,
) -> Outcome<Duration> {
    let node = &field.nodes[round % field.nodes.len()];
    let wait = moment(&admin.key(node, "next").await?["eligible_at"])? - now_ms();
    tokio::time::sleep(ms(wait.max(0).unsigned_abs())).await;
    let token = admin.token(node).await?;
    let cut = postgres.cut_listeners(&cluster.database).await?;
    ensure!(cut == 3, "{cut} of 3 nodes were listening");
    let rotating = async {
        tokio::time::sleep(ms(100)).await;
        let answer = field.api.post_as(&token, node, "/admin/keys/rotate", json!({})).await;
        (answer, Instant::now())
    };
    let (kept_cut, (answer, rotated)) =
        tokio::join!(postgres.keep_cutting_listeners(&cluster.database), rotating);
    kept_cut?;
    let answer = answer?.expect(200)?;
    all_publish(field, &answer).await.map_err(|failure| failure.during("with the listeners cut"))?;
    let seen = rotated.elapsed();
    all_agree(&cluster.api, admin, &field.nodes).await?;
    Ok(seen)
}

/// By the key sets alone: /admin/keys would make a node look. Not by their bytes: a key that retires meanwhile leaves each
/// node's set at that node's next poll.
async fn all_publish(field: &Field, rotated: &Value) -> Outcome<Duration> {
    let (current, next) = (kid_of(&rotated["current"]), kid_of(&rotated["next"]));
    within(AGREE_WITHIN, async || {
        for node in &field.nodes {
            let set = kids(&field.api.jwks(node).await?.expect(200)?);
            let has_heard = set.first() == Some(&current) && set.contains(&next);
            ensure!(has_heard, "{node} publishes {set:?}, and {current} signs and {next} is next");
        }
        Ok(())
    })
    .await
}

impl Field {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn node(&self, chance: &mut Chance) -> String {
        chance.pick(&self.nodes).clone()
    }

    /// No other 5xx than 503 with Retry-After, and nothing later than it may be.
    fn note(&self, answer: &Answer) -> Outcome {
        let mut slowest = self.slowest.lock().expect("whole");
        *slowest = (*slowest).max(answer.took);
        self.refused.fetch_add(usize::from(answer.status == 503), Ordering::Relaxed);
        is_decent(answer, ANSWERS_WITHIN)
    }
}

/// Refreshes on, whatever happens; a 503 is tried again with the same refresh token.
async fn tell(field: Arc<Field>, mut teller: Teller, mut chance: Chance) -> Outcome {
    while !field.stopped() {
        let node = field.node(&mut chance);
        match teller.attempt(&node, &field.history).await? {
            Ok(token) => {
                let (now, end) = (now_ms(), token.exp * 1000 + PROMISE.leeway);
                let whole = usize::try_from(end - now).unwrap_or(0);
                field.fleet.order_all(&token, || now + chance.below(whole).cast_signed() as i64);
                field.fleet.order_all(&token, || end - 1 - chance.below(100).cast_signed() as i64);
            }
            Err(answer) => {
                field.note(&answer)?;
                ensure!(answer.status == 503, "a refresh was answered {}: {}", answer.status, answer.text);
            }
        }
        tokio::time::sleep(ms(50) + chance.up_to(ms(100))).await;
    }
    Ok(())
}

/// Asks to rotate, again and again, on any node, with a new token each time.
async fn operate(field: Arc<Field>, mut operator: Teller, mut chance: Chance) -> Outcome {
    // Tokens of an operator are tokens too; they are in another book, for there are many and nobody verifies them.
    let book = History::default();
    while !field.stopped() {
        tokio::time::sleep(chance.up_to(ms(60))).await;
        if !field.rotates.load(Ordering::Relaxed) {
            continue;
        }
        let node = field.node(&mut chance);
        let token = match operator.attempt(&node, &book).await? {
            Ok(token) => token,
            Err(answer) => {
                field.note(&answer)?;
                ensure!(
                    answer.status == 503,
                    "an operator's refresh was answered {}: {}",
                    answer.status,
                    answer.text
                );
                continue;
            }
        };
        let answer = field.api.post_as(&token.text, &node, "/admin/keys/rotate", json!({})).await?;
        field.note(&answer)?;
        let expected = matches!(answer.status, 200 | 409 | 503);
        ensure!(expected, "a rotation was answered {}: {}", answer.status, answer.text);
        field.rotations.fetch_add(usize::from(answer.status == 200), Ordering::Relaxed);
    }
    Ok(())
}

/// The key set is there all the time.
async fn watch_jwks(field: Arc<Field>, node: usize) -> Outcome {
    while !field.stopped() {
        let was_frozen = field.frozen.load(Ordering::Relaxed);
        let answer = field.api.jwks(&field.nodes[node]).await?;
        ensure!(answer.status == 200, "the key set was answered {}: {}", answer.status, answer.text);
        field.jwks_asked.fetch_add(1, Ordering::Relaxed);
        if was_frozen && field.frozen.load(Ordering::Relaxed) {
            field.jwks_frozen.lock().expect("whole").push(answer.took.as_millis());
        }
        tokio::time::sleep(ms(20)).await;
    }
    Ok(())
}
