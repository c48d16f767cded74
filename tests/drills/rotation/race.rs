//! Three nodes told to rotate at the same instant: one does, the others say why not, and all agree within seconds.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Barrier;

use crate::support::cluster::{kid_of, moment};
use crate::support::invariants::{all_agree, is_rotation, one_of_each};
use crate::support::{
    Admin, Answer, Brief, Cluster, Failure, Outcome, Postgres, ensure, ms, now_ms, quantile,
};

const NODES: usize = 3;
/// Requests for each node in a round.
const EACH: usize = 2;

pub async fn race(brief: &Brief) -> Outcome<String> {
    let postgres = Postgres::from_environment()?;
    let database = postgres.create_database().await?;
    let mut cluster = Cluster::prepare(brief, |_| database)?;
    let outcome = run(brief, &mut cluster).await;
    cluster.conclude(outcome)
}

async fn run(brief: &Brief, cluster: &mut Cluster) -> Outcome<String> {
    cluster
        .set("CHANCERY_KEYS__REFRESH_INTERVAL", "200ms")
        .set("CHANCERY_KEYS__JWKS_MAX_AGE", "1s")
        .set("CHANCERY_KEYS__VERIFIER_CACHE_TTL", "0s");
    cluster.start(NODES).await?;
    let nodes = cluster.addresses();
    let admin = cluster.admin().await?;
    let rounds = brief.pick(100, 10);
    let (mut not_eligible, mut superseded) = (0, 0);
    let mut agreed = Vec::new();
    for round in 0..rounds {
        let next = admin.key(&nodes[round % NODES], "next").await?;
        let wait = (moment(&next["eligible_at"])? - now_ms()).max(0);
        tokio::time::sleep(ms(wait.unsigned_abs())).await;
        let answers = all_at_once(cluster, &admin, &nodes).await?;
        let told = Instant::now();
        let winners: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        ensure!(winners.len() == 1, "round {round}: {} of {} requests rotated", winners.len(), answers.len());
        let won = winners[0].json();
        is_rotation(&won)?;
        ensure!(
            kid_of(&won["current"]) == kid_of(&next),
            "round {round}: another key than the next one was promoted"
        );
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            match (answer.status, answer.code().as_str()) {
                (409, "key_not_eligible") => not_eligible += 1,
                (409, "rotation_superseded") => superseded += 1,
                _ => {
                    return Err(Failure::new(format!(
                        "round {round}: answered {}: {}",
                        answer.status, answer.text
                    )));
                }
            }
        }
        all_agree(&cluster.api, &admin, &nodes)
            .await
            .map_err(|failure| failure.during(format!("round {round}")))?;
        agreed.push(told.elapsed().as_millis());
        let current = kid_of(&admin.key(&nodes[(round + 1) % NODES], "current").await?);
        ensure!(
            current == kid_of(&won["current"]),
            "round {round}: {current} signs, and not what the winner said"
        );
        one_of_each(&cluster.database).await?;
    }
    let keys = cluster.database.number("SELECT count(*) FROM signing_keys".to_owned()).await?;
    ensure!(keys == rounds.cast_signed() as i64 + 2, "{keys} keys were made in {rounds} rotations");
    Ok(format!(
        "{rounds} rounds of {} requests: {rounds} rotations, {not_eligible} answered key_not_eligible, {superseded} \
         rotation_superseded; all nodes agreed after {} ms (p50), {} ms (at most)",
        NODES * EACH,
        quantile(&mut agreed, 0.5),
        quantile(&mut agreed, 1.0)
    ))
}

/// Everyone has their token and waits at the barrier; then all ask.
async fn all_at_once(cluster: &Cluster, admin: &Admin, nodes: &[String]) -> Outcome<Vec<Answer>> {
    let mut tokens = Vec::new();
    for node in nodes {
        tokens.push(admin.token(node).await?);
    }
    let barrier = Barrier::new(NODES * EACH);
    let requests = (0..NODES * EACH).map(|at| {
        let (node, token, barrier) = (&nodes[at % NODES], &tokens[at % NODES], &barrier);
        async move {
            barrier.wait().await;
            cluster.api.post_as(token, node, "/admin/keys/rotate", json!({})).await
        }
    });
    let all = futures_util::future::join_all(requests);
    let answers = tokio::time::timeout(Duration::from_secs(15), all).await?;
    answers.into_iter().collect()
}
