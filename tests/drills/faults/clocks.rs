//! The clock of a running node jumps an hour ahead, an hour back and home again. Nobody notices: what it gives is right, what it
//! publishes is complete, and what it takes is what the others take.
//!
//! Postgres's own clock is the one that the others follow; it is not moved here.

use std::fs;
use std::path::Path;

use super::field::{Field, under_load_of};
use crate::rotation::skew::faketime;
use crate::support::journal::{Access, Ask};
use crate::support::{Brief, Database, Outcome, Postgres, ensure, ms, now_ms};

/// The node whose clock jumps.
const ODD: usize = 2;

pub async fn clocks(brief: &Brief) -> Outcome<String> {
    let library = faketime()?;
    let database = Postgres::from_environment()?.create_database().await?;
    let rounds = brief.pick(4, 1);
    let odd = async |cluster: &mut crate::support::Cluster| {
        let file = cluster.folder().join("clock");
        set(&file, 0)?;
        let program = cluster
            .program
            .clone()
            .with("LD_PRELOAD", library)
            .with("FAKETIME_TIMESTAMP_FILE", file.display())
            .with("FAKETIME_NO_CACHE", "1")
            .with("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .with("DONT_FAKE_MONOTONIC", "1");
        Ok(Some(program))
    };
    let database = |_: &Path| -> Database { database };
    under_load_of(brief, 3, database, odd, async |field| jump(field, rounds).await).await
}

/// In seconds from the real time. Renamed into place, so that nobody reads half of it.
fn set(file: &Path, off: i64) -> Outcome {
    let fresh = file.with_extension("new");
    fs::write(&fresh, format!("{off:+}\n"))?;
    fs::rename(fresh, file)?;
    Ok(())
}

async fn jump(field: &mut Field, rounds: usize) -> Outcome<String> {
    let file = field.cluster.folder().join("clock");
    let mut person = field.person("odd", 1).await?;
    let client = field.load.client("odd");
    let (mut given, mut furthest) = (0, 0);
    for _ in 0..rounds {
        for off in [3600, -3600, 0] {
            set(&file, off)?;
            // From the very first moment, and for more than a poll.
            for _ in 0..30 {
                let asked_at = now_ms();
                let token = person.sessions[0].refresh.clone();
                let heard = client.ask_at(ODD, &person.email, Ask::Refresh(token)).await;
                let Some(gave) = heard.gave else {
                    ensure!(heard.status == 503, "at {off:+} s a refresh was answered {}", heard.status);
                    continue;
                };
                furthest = furthest.max(off_by(&gave.access, asked_at));
                given += 1;
                person.sessions[0].advance(gave);
                let access = person.sessions[0].access.clone();
                client.ask_at(ODD, &person.email, Ask::Me(access)).await;
                tokio::time::sleep(ms(100)).await;
            }
        }
    }
    ensure!(furthest < 2000, "the node gave a token that says it is from {furthest} ms off");
    let log = field.cluster.nodes[ODD].running.log()?;
    ensure!(log.contains("\"clock_offset\""), "the node's log does not say that its clock was off");
    field.load.adopt(person);
    Ok(format!(
        "{} jumps; {given} tokens given through them, their times at most {furthest} ms off",
        rounds * 3
    ))
}

fn off_by(access: &Access, asked_at: i64) -> i64 {
    // As configured: a life of 20 s. Whole seconds are rounded down.
    let given_at = (access.exp - 20) * 1000;
    (given_at - asked_at).max(asked_at - given_at - 1000)
}
