//! Drills: real processes on loopback, a real Postgres, time compressed by configuration, and a checker over what happened.
//!
//!     make drills
//!     scripts/drills [NAME]... [--seed N] [--quick]
//!
//! `docs/drills.md` says what each one does and how to read a failure. CHANCERY_BIN names another server to drill.

#![allow(clippy::expect_used, reason = "a drill may stop where it stands")]

mod support;

mod interop;
mod interrupt;
mod kill;
mod race;
mod restore;
mod skew;
mod verify;

use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use support::{Brief, Failure, Outcome};

#[derive(Parser)]
struct Arguments {
    /// Which drills; all of them when none is named.
    names: Vec<String>,
    /// Makes the random choices of an earlier run again.
    #[arg(long)]
    seed: Option<u64>,
    /// Fewer rounds and shorter waits.
    #[arg(long)]
    quick: bool,
}

type Running<'a> = Pin<Box<dyn Future<Output = Outcome<String>> + 'a>>;

struct Drill {
    name: &'static str,
    what: &'static str,
    /// Minutes it may take in full.
    limit: u64,
    /// Runs beside the one before it, on a database of its own.
    beside: bool,
    run: for<'a> fn(&'a Brief) -> Running<'a>,
}

const DRILLS: &[Drill] = &[
    Drill {
        name: "verify",
        what: "verifications by every kind of verifier over repeated rotations",
        limit: 8,
        beside: false,
        run: |brief| Box::pin(verify::verify(brief)),
    },
    Drill {
        name: "interop",
        what: "the libraries of three languages through rotation after rotation",
        limit: 8,
        beside: true,
        run: |brief| Box::pin(interop::interop(brief)),
    },
    Drill {
        name: "race",
        what: "three nodes told to rotate at the same instant",
        limit: 8,
        beside: false,
        run: |brief| Box::pin(race::race(brief)),
    },
    Drill {
        name: "kill",
        what: "kill -9 at a random moment of an operation on the keys",
        limit: 15,
        beside: false,
        run: |brief| Box::pin(kill::kill(brief)),
    },
    Drill {
        name: "interrupt",
        what: "Postgres restarted, frozen, and its notifications cut",
        limit: 6,
        beside: false,
        run: |brief| Box::pin(interrupt::interrupt(brief)),
    },
    Drill {
        name: "skew",
        what: "one node's clock 30 s off",
        limit: 5,
        beside: false,
        run: |brief| Box::pin(skew::skew(brief)),
    },
    Drill {
        name: "restore",
        what: "a database restored from before a rotation",
        limit: 5,
        beside: false,
        run: |brief| Box::pin(restore::restore(brief)),
    },
];

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let chosen: Vec<&Drill> = match &arguments.names[..] {
        [] => DRILLS.iter().collect(),
        names => {
            if let Some(unknown) = names.iter().find(|name| DRILLS.iter().all(|drill| drill.name != **name)) {
                let known: Vec<&str> = DRILLS.iter().map(|drill| drill.name).collect();
                eprintln!("there is no drill {unknown}; there are {}", known.join(", "));
                return ExitCode::from(2);
            }
            DRILLS.iter().filter(|drill| names.iter().any(|name| drill.name == name)).collect()
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
