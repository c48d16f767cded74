//! A flood of guesses at full hashing cost: who is guessed at stays safe, who needs no password checked waits for nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::cluster::PASSWORD;
use crate::support::invariants::is_decent;
use crate::support::{Api, Brief, Cluster, Database, Outcome, Postgres, ensure, ms, quantile, within};

/// Guesses at one account at one instant, and how many of them may be checked.
const AT_ONCE: usize = 200;
const BUDGET: i64 = 5;
const RIGHT_AT_ONCE: usize = 16;
/// Connections of the flood, over all nodes.
const ATTACKERS: usize = 150;
/// What a service waits for keys at most, nearly always (design, section 5 and 8).
const JWKS_P99: Duration = Duration::from_millis(50);
/// For everything that needs the database as well: far from it on a quiet machine, and bounded on a busy one.
const OTHERS_P99: Duration = Duration::from_secs(1);
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// What was asked during the flood, and how long it took in microseconds.
#[derive(Default)]
struct Seen {
    took: BTreeMap<&'static str, Vec<u128>>,
    statuses: BTreeMap<u16, usize>,
}

pub async fn flood(brief: &Brief) -> Outcome<String> {
    let mut told = Vec::new();
    let sqlite = Cluster::prepare(brief, Database::sqlite)?;
    told.push(format!("SQLite: {}", one_database(brief, sqlite, 1).await?));
    let postgres = Postgres::from_environment()?;
    let database = postgres.create_database().await?;
    let cluster = Cluster::prepare(brief, |_| database)?;
    told.push(format!("Postgres, 3 nodes: {}", one_database(brief, cluster, 3).await?));
    Ok(told.join("\n  "))
}

async fn one_database(brief: &Brief, mut cluster: Cluster, nodes: usize) -> Outcome<String> {
    let outcome = run(brief, &mut cluster, nodes).await;
    cluster.conclude(outcome)
}

async fn run(brief: &Brief, cluster: &mut Cluster, nodes: usize) -> Outcome<String> {
    cluster
        .set("CHANCERY_PASSWORDS__MEMORY_KIB", "19456")
        .set("CHANCERY_PASSWORDS__ITERATIONS", "2")
        // As if each guess came from another address.
        .set("CHANCERY_LOGIN__MAX_FAILURES_PER_NETWORK", "0");
    cluster.start(nodes).await?;
    let mut told = vec![guesses(cluster).await?, right_ones(brief, cluster).await?];
    told.push(from_everywhere(brief, cluster).await?);
    told.push(after_a_crash(cluster, nodes).await?);
    Ok(told.join("; "))
}

fn login(name: &str, password: &str) -> Value {
    json!({ "email": format!("{name}@drill.test"), "password": password })
}

/// Of 200 guesses at one account at one instant at most five are checked, wherever they arrive; the right one among the last
/// does not pass.
async fn guesses(cluster: &Cluster) -> Outcome<String> {
    cluster.newcomer("victim").await?;
    let nodes = cluster.addresses();
    let asked = (0..AT_ONCE).map(|at| {
        let (api, node) = (cluster.api.clone(), nodes[at % nodes.len()].clone());
        let password = if at == AT_ONCE - 20 { PASSWORD.to_owned() } else { format!("guess {at}") };
        async move { api.post(&node, "/auth/login", login("victim", &password)).await }
    });
    let answers = join_all(asked).await.into_iter().collect::<Outcome<Vec<_>>>()?;
    for answer in &answers {
        is_decent(answer, ANSWERS_WITHIN)?;
    }
    let checked =
        cluster.database.number("SELECT coalesce(max(failures), 0) FROM login_attempts".to_owned()).await?;
    ensure!(checked <= BUDGET, "{checked} of {AT_ONCE} guesses were checked");
    let let_in = answers.iter().filter(|answer| answer.status == 200).count();
    Ok(format!("{AT_ONCE} guesses at once, {checked} checked, {let_in} let in by the right one among them"))
}

async fn right_ones(brief: &Brief, cluster: &Cluster) -> Outcome<String> {
    cluster.newcomer("owner").await?;
    let nodes = cluster.addresses();
    let rounds = brief.pick(20, 4);
    for round in 0..rounds {
        let asked = (0..RIGHT_AT_ONCE).map(|at| {
            let (api, node) = (cluster.api.clone(), nodes[at % nodes.len()].clone());
            async move { api.post(&node, "/auth/login", login("owner", PASSWORD)).await }
        });
        for answer in join_all(asked).await {
            let answer = answer?;
            ensure!(
                answer.status == 200,
                "round {round}: a right login was answered {}: {}",
                answer.status,
                answer.text
            );
        }
    }
    Ok(format!("{RIGHT_AT_ONCE} right logins at once x {rounds}, all let in"))
}

/// Guesses at unknown names and known accounts from everywhere, for a while.
async fn from_everywhere(brief: &Brief, cluster: &Cluster) -> Outcome<String> {
    let nodes = cluster.addresses();
    let device = known_device(cluster).await?;
    let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
    let mut quiet = JoinSet::new();
    probe(&mut quiet, cluster, &seen, &stop, "").await?;
    tokio::time::sleep(ms(brief.pick(3000, 1500))).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = quiet.join_next().await {
        ended??;
    }
    let before = std::mem::take(&mut *seen.lock().expect("whole"));

    stop.store(false, Ordering::Relaxed);
    let mut tasks = JoinSet::new();
    for number in 0..ATTACKERS {
        let (api, node) = (Api::new(), nodes[number % nodes.len()].clone());
        let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
        let mut chance = brief.chance(&format!("attacker {number}"));
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let name =
                    if chance.coin() { "owner".to_owned() } else { format!("n{}", chance.below(1_000_000)) };
                let answer = api.post(&node, "/auth/login", login(&name, "a guess")).await?;
                is_decent(&answer, ANSWERS_WITHIN)?;
                *seen.lock().expect("whole").statuses.entry(answer.status).or_default() += 1;
            }
            Ok(())
        });
    }
    tokio::time::sleep(ms(500)).await;
    probe(&mut tasks, cluster, &seen, &stop, "flooded").await?;
    let begun = Instant::now();
    let length = brief.pick(Duration::from_secs(20), Duration::from_secs(6));
    let (mut owner_in, mut owner_busy) = (0, 0);
    while begun.elapsed() < length {
        let answer = as_device(cluster, &nodes[0], &device).await?;
        match answer {
            200 => owner_in += 1,
            503 => owner_busy += 1,
            other => ensure!(false, "the owner's known device was answered {other}"),
        }
        tokio::time::sleep(ms(200)).await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let mut flooded = std::mem::take(&mut *seen.lock().expect("whole"));
    ensure!(
        flooded.statuses.keys().all(|status| matches!(status, 401 | 503)),
        "guesses were answered {:?}",
        flooded.statuses
    );
    ensure!(owner_in > 0, "the owner's known device never got in, {owner_busy} times for lack of a thread");
    let answers: usize = flooded.statuses.values().sum();
    let mut told = vec![format!(
        "{answers} guesses in {} s ({:?}), the owner's known device in {owner_in} of {} times",
        length.as_secs(),
        flooded.statuses,
        owner_in + owner_busy,
    )];
    for (what, took) in &mut flooded.took {
        let limit = if *what == "jwks" || *what == "live" { JWKS_P99 } else { OTHERS_P99 };
        let (half, most) = (quantile(took, 0.5), quantile(took, 0.99));
        let alone = before.took.get(what).cloned().map_or(0, |mut took| quantile(&mut took, 0.99));
        told.push(format!(
            "{what} p50 {:.1} p99 {:.1} ms (quiet p99 {:.1})",
            millis(half),
            millis(most),
            millis(alone)
        ));
        ensure!(
            most <= limit.as_micros(),
            "{what} took {:.1} ms at the 99th percentile of {}",
            millis(most),
            took.len()
        );
    }
    Ok(told.join(", "))
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn millis(micros: u128) -> f64 {
    micros as f64 / 1000.0
}

/// Asks for what needs no password checked, on every node, each by a client of its own.
async fn probe(
    tasks: &mut JoinSet<Outcome>,
    cluster: &Cluster,
    seen: &Arc<Mutex<Seen>>,
    stop: &Arc<AtomicBool>,
    when: &str,
) -> Outcome {
    for (number, node) in cluster.addresses().into_iter().enumerate() {
        for (what, path) in
            [("jwks", "/.well-known/jwks.json"), ("live", "/health/live"), ("ready", "/health/ready")]
        {
            let (api, node, seen, stop) = (Api::new(), node.clone(), Arc::clone(seen), Arc::clone(stop));
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = api.get(&node, path).await?;
                    ensure!(answer.status == 200, "{path} was answered {}", answer.status);
                    seen.lock().expect("whole").took.entry(what).or_default().push(answer.took.as_micros());
                    tokio::time::sleep(ms(20)).await;
                }
                Ok(())
            });
        }
        let session = if when.is_empty() {
            cluster.newcomer(&format!("user{number}")).await?
        } else {
            // Among so many guesses a login may be told to come back.
            let mut session = Value::Null;
            within(2 * ANSWERS_WITHIN, async || {
                session = cluster.again(&format!("user{number}")).await?;
                Ok(())
            })
            .await?;
            session
        };
        let (api, seen, stop) = (Api::new(), Arc::clone(seen), Arc::clone(stop));
        tasks.spawn(async move {
            let mut token = session["refresh_token"].as_str().unwrap_or_default().to_owned();
            while !stop.load(Ordering::Relaxed) {
                let answer = api.refresh(&node, &token).await?;
                ensure!(answer.status == 200, "a refresh was answered {}: {}", answer.status, answer.text);
                answer.json()["refresh_token"].as_str().unwrap_or_default().clone_into(&mut token);
                seen.lock().expect("whole").took.entry("refresh").or_default().push(answer.took.as_micros());
                tokio::time::sleep(ms(20)).await;
            }
            Ok(())
        });
    }
    Ok(())
}

/// The cookie of a device on which the owner has logged in.
async fn known_device(cluster: &Cluster) -> Outcome<String> {
    let node = &cluster.addresses()[0];
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client.post(format!("{node}/auth/login")).json(&login("owner", PASSWORD)).send().await?;
    let cookie = answer.headers().get("set-cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    ensure!(cookie.starts_with("__Host-chancery_device="), "a login sets no device cookie");
    Ok(cookie)
}

async fn as_device(_: &Cluster, node: &str, device: &str) -> Outcome<u16> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    let request = client.post(format!("{node}/auth/login")).header("cookie", device);
    Ok(request.json(&login("owner", PASSWORD)).send().await?.status().as_u16())
}

/// Limits are in the database: a crash gives nobody new attempts, and any node knows them.
async fn after_a_crash(cluster: &mut Cluster, nodes: usize) -> Outcome<String> {
    let node = cluster.addresses()[0].clone();
    cluster.newcomer("locked").await?;
    for number in 0..BUDGET {
        let answer =
            cluster.api.post(&node, "/auth/login", login("locked", &format!("wrong {number}"))).await?;
        ensure!(answer.status == 401, "a wrong password was answered {}", answer.status);
    }
    while let Some(node) = cluster.nodes.pop() {
        node.kill()?;
    }
    // So that five failures are enough for good, and the machine's pace does not matter.
    cluster.set("CHANCERY_LOGIN__LOCKOUT_THRESHOLD", BUDGET);
    cluster.start(nodes).await?;
    for node in cluster.addresses() {
        let answer = cluster.api.post(&node, "/auth/login", login("locked", PASSWORD)).await?;
        ensure!(answer.status == 401, "after a crash an attacker has another attempt: {}", answer.status);
    }
    Ok("a crash gives no attempt back".to_owned())
}
