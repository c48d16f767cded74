//! SIGTERM with logins in flight: the node says it is not ready, finishes what it has, and ends well in time; nobody is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::field::{Field, on_postgres};
use crate::support::journal::{Ask, Nodes};
use crate::support::load::{Held, Person};
use crate::support::node::signal;
use crate::support::{Brief, Outcome, Postgres, ensure, ms, quantile};

const ENDS_WITHIN: Duration = Duration::from_secs(10);
const IN_FLIGHT: usize = 8;

pub async fn stop(brief: &Brief) -> Outcome<String> {
    let rounds = brief.pick(6, 3);
    on_postgres(brief, async |field, postgres| {
        let mut person = field.person("stop", 1).await?;
        let mut took = Vec::new();
        for round in 0..rounds {
            took.push(roll(field, &mut person, round % 3).await?.as_millis());
        }
        field.load.adopt(person);
        let frozen = stop_while_frozen(field, postgres).await?;
        Ok(format!(
            "{rounds} stops with {IN_FLIGHT} logins in flight, each done in {} ms at most with exit 0, nothing lost; with \
             Postgres frozen in {} ms",
            quantile(&mut took, 1.0),
            frozen.as_millis()
        ))
    })
    .await
}

/// As a rolling restart does it, with a balancer that asks whether the node is ready.
async fn roll(field: &mut Field, person: &mut Person, victim: usize) -> Outcome<Duration> {
    let client = field.load.client("stop");
    let address = field.cluster.nodes[victim].address.clone();
    let ask = Ask::LogIn { password: Arc::clone(&person.password) };
    let flying = join_all((0..IN_FLIGHT).map(|_| client.ask_at(victim, &person.email, ask.clone())));
    let mut node = field.cluster.nodes.remove(victim);
    let stopping = async {
        // They have left, and none has come back.
        tokio::time::sleep(ms(2)).await;
        let told = Instant::now();
        signal("-TERM", &[node.running.pid()])?;
        let api = &field.cluster.api;
        loop {
            let ready = api.get(&address, "/health/ready").await?;
            if ready.status == 503 && ready.retry_after.is_some() {
                break;
            }
            ensure!(told.elapsed() < ms(400), "not said to be not ready: {}", ready.status);
            tokio::time::sleep(ms(10)).await;
        }
        field.load.roster.take_out(victim);
        let status = node.running.end(ENDS_WITHIN).await?;
        ensure!(status.success(), "{} ended with {status}", node.name);
        Ok::<_, crate::support::Failure>(told.elapsed())
    };
    let (heard, stopped) = tokio::join!(flying, stopping);
    let stopped = stopped?;
    let statuses: Vec<u16> = heard.iter().map(|heard| heard.status).collect();
    ensure!(statuses.iter().all(|status| *status == 200), "logins in flight were answered {statuses:?}");
    person.sessions.extend(heard.into_iter().filter_map(|heard| heard.gave).map(Held::new));
    field.revive(victim, &node.name).await?;
    Ok(stopped)
}

/// What is in flight cannot be finished then, and is told so.
async fn stop_while_frozen(field: &mut Field, postgres: &Postgres) -> Outcome<Duration> {
    let took = field.under("stopped while frozen", Nodes::All, Nodes::Only(0), async |field| {
        let paused = postgres.pause()?;
        tokio::time::sleep(ms(1000)).await;
        let mut node = field.cluster.nodes.remove(0);
        let told = Instant::now();
        signal("-TERM", &[node.running.pid()])?;
        let ended = node.running.end(ENDS_WITHIN).await;
        drop(paused);
        let status = ended?;
        ensure!(status.success(), "{} ended with {status}", node.name);
        let took = told.elapsed();
        field.revive(0, &node.name).await?;
        Ok(took)
    });
    took.await
}
