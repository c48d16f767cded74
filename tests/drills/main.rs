//! Drills: real processes on loopback, a real Postgres, time compressed by configuration, and a checker over what happened.
//!
//!     make drills, make attack, make faults
//!     scripts/drills [GROUP|NAME]... [--seed N] [--quick]
//!
//! `docs/drills.md` says what each one does and how to read a failure. CHANCERY_BIN names another server to drill.

#![allow(clippy::expect_used, reason = "a drill may stop where it stands")]

mod support;

mod attack;
mod faults;
mod rotation;

use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use support::{Brief, Failure, Outcome};

#[derive(Parser)]
struct Arguments {
    /// Which drills or groups of drills; all of them when none is named.
    names: Vec<String>,
    /// Makes the random choices of an earlier run again.
    #[arg(long)]
    seed: Option<u64>,
    /// Fewer rounds and shorter waits.
    #[arg(long)]
    quick: bool,
}

type Running<'a> = Pin<Box<dyn Future<Output = Outcome<String>> + 'a>>;

/// One drill of a group.
struct Drill {
    name: &'static str,
    what: &'static str,
    /// Minutes it may take in full.
    limit: u64,
    /// Runs beside the one before it, on a database of its own.
    beside: bool,
    run: for<'a> fn(&'a Brief) -> Running<'a>,
}

/// Every drill under the name of its group, which is the name of its folder.
const GROUPS: &[(&str, &[Drill])] =
    &[("rotation", rotation::DRILLS), ("attack", attack::DRILLS), ("faults", faults::DRILLS)];

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let chosen = match choose(&arguments.names) {
        Ok(chosen) => chosen,
        Err(unknown) => {
            eprintln!("there is no drill {unknown}; there are");
            for (group, drills) in GROUPS {
                let names: Vec<&str> = drills.iter().map(|drill| drill.name).collect();
                eprintln!("  {group}: {}", names.join(", "));
            }
            return ExitCode::from(2);
        }
    };
    let brief = Brief {
        seed: arguments.seed.unwrap_or_else(|| support::now_ms().unsigned_abs() % 1_000_000),
        quick: arguments.quick,
        binary: binary(),
    };
    println!("drills with seed {} on {}", brief.seed, brief.binary.display());
    tokio::select! {
        failed = run_all(&chosen, &brief) => ExitCode::from(u8::from(failed > 0)),
        // Whatever was started is ended when what started it is dropped.
        () = told_to_stop() => { eprintln!("drills: stopped"); ExitCode::from(130) }
    }
}

/// The drills of these names and groups, in the order of the table; or the name that is none.
fn choose(names: &[String]) -> Result<Vec<&'static Drill>, &String> {
    let is_known = |name: &&String| {
        GROUPS.iter().any(|(group, drills)| *name == group || drills.iter().any(|drill| *name == drill.name))
    };
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        return Err(unknown);
    }
    let is_chosen = |group: &str, drill: &Drill| {
        names.is_empty() || names.iter().any(|name| name == group || name == drill.name)
    };
    let all = GROUPS.iter().flat_map(|(group, drills)| drills.iter().map(move |drill| (*group, drill)));
    Ok(all.filter(|(group, drill)| is_chosen(group, drill)).map(|(_, drill)| drill).collect())
}

fn binary() -> PathBuf {
    let given = std::env::var_os("CHANCERY_BIN").map(PathBuf::from);
    given.unwrap_or_else(|| env!("CARGO_BIN_EXE_chancery").into())
}

async fn run_all(chosen: &[&Drill], brief: &Brief) -> usize {
    let begun = Instant::now();
    let mut failed = Vec::new();
    for together in chosen.chunk_by(|_, drill| drill.beside) {
        let all = together.iter().map(|drill| async { (drill.name, run_one(drill, brief).await) });
        let ended = futures_util::future::join_all(all).await;
        failed.extend(ended.into_iter().filter(|(_, passed)| !passed).map(|(name, _)| name));
    }
    let took = begun.elapsed().as_secs();
    match &failed[..] {
        [] => println!("\nall {} drills passed in {took} s, seed {}", chosen.len(), brief.seed),
        names => println!("\nFAILED in {took} s, seed {}: {}", brief.seed, names.join(", ")),
    }
    failed.len()
}

async fn run_one(drill: &Drill, brief: &Brief) -> bool {
    let begun = Instant::now();
    println!("\n=== {}: {} (seed {})", drill.name, drill.what, brief.seed);
    let limit = Duration::from_mins(drill.limit);
    let outcome = tokio::time::timeout(limit, (drill.run)(brief)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(Failure::new(format!("not done within {limit:?}"))));
    let took = begun.elapsed().as_secs_f64();
    match &outcome {
        Ok(counts) => println!("  {counts}\nPASS {} in {took:.1} s", drill.name),
        Err(failure) => println!("FAIL {} in {took:.1} s (seed {}): {failure}", drill.name, brief.seed),
    }
    outcome.is_ok()
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
