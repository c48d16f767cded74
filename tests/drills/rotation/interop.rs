//! The three services of `examples/`, each with the unmodified library of its language, through rotation after rotation.
//!
//! They keep a key set for 4 s and refetch on an unknown kid after 2 s, instead of 5 to 10 minutes and 10 to 30 s.
//! `scripts/interop` has them with their own defaults.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::cluster::{kid_of, moment};
use crate::support::forge::Forger;
use crate::support::history::History;
use crate::support::issuing::Teller;
use crate::support::story::{Promise, judge};
use crate::support::verifier::{Fleet, Habit, Kind, World};
use crate::support::{Admin, Api, Brief, Chance, Cluster, Database, Failure, Outcome, ensure, ms, now_ms};

const POLL_S: i64 = 1;
const MAX_AGE_S: i64 = 1;
const CACHE_S: i64 = 4;
const COOL_DOWN_S: i64 = 2;
const LIFE_S: i64 = 6;
/// What the examples grant an expired token, which is less than Chancery allows for.
const LEEWAY_S: i64 = 5;

const PROMISE: Promise = Promise {
    staleness: POLL_S * 1000,
    lead: (POLL_S + MAX_AGE_S + CACHE_S) * 1000,
    life: LIFE_S * 1000,
    leeway: LEEWAY_S * 1000,
};

pub async fn interop(brief: &Brief) -> Outcome<String> {
    let mut cluster = Cluster::prepare(brief, Database::sqlite)?;
    let outcome = run(brief, &mut cluster).await;
    cluster.conclude(outcome)
}

async fn run(brief: &Brief, cluster: &mut Cluster) -> Outcome<String> {
    // Express finds the keys by discovery, so the issuer must be where the node is.
    let port = free_port()?;
    let issuer = format!("http://127.0.0.1:{port}");
    cluster
        .set("CHANCERY_SERVER__LISTEN", format!("127.0.0.1:{port}"))
        .set("CHANCERY_SERVER__ISSUER", &issuer)
        .set("CHANCERY_KEYS__REFRESH_INTERVAL", format!("{POLL_S}s"))
        .set("CHANCERY_KEYS__JWKS_MAX_AGE", format!("{MAX_AGE_S}s"))
        .set("CHANCERY_KEYS__VERIFIER_CACHE_TTL", format!("{CACHE_S}s"))
        .set("CHANCERY_TOKENS__ACCESS_TOKEN_TTL", format!("{LIFE_S}s"))
        // One more than the services grant: they count in whole seconds.
        .set("CHANCERY_TOKENS__LEEWAY", format!("{}s", LEEWAY_S + 1));
    cluster.start(1).await?;
    let nodes = cluster.addresses();
    let admin = cluster.admin().await?;
    let services = Services::start(&cluster.api, &issuer, cluster.folder()).await?;

    let history = Arc::new(History::default());
    let world = World {
        api: cluster.api.clone(),
        nodes: nodes.clone(),
        history: Arc::clone(&history),
        leeway_s: LEEWAY_S,
    };
    let kinds =
        services.0.iter().map(|service| Kind::new(service.name, Habit::Service(service.address.clone())));
    let fleet = Fleet::start(kinds.collect(), &world, |name| brief.chance(name));
    let mut teller = Teller::new(&cluster.api, &cluster.newcomer("teller").await?);
    let mut forger = Forger::new(brief.chance("forger"))?;
    let mut chance = brief.chance("interop");
    let rotations = brief.pick(15, 2);
    for _ in 0..rotations {
        let next = admin.key(&nodes[0], "next").await?;
        let eligible_at = moment(&next["eligible_at"])?;
        while now_ms() < eligible_at {
            present(&mut teller, &nodes[0], &history, &fleet, &mut chance).await?;
            forge(&cluster.api, &nodes[0], &mut forger, &history, &fleet).await?;
            tokio::time::sleep(ms(60)).await;
        }
        rotate(&admin, &nodes[0], &kid_of(&next)).await?;
        history.keys_told(&admin.keys(&nodes[0]).await?);
    }
    for _ in 0..20 {
        present(&mut teller, &nodes[0], &history, &fleet, &mut chance).await?;
    }
    let kinds = fleet.finish().await;
    let records = history.open();
    let judgement = judge(&records, &kinds, PROMISE);
    println!("  interop: {}", judgement.figures());
    judgement.verdict().map_err(|failure| failure.during(services.tails()))?;
    let false_ones = records.tokens.iter().filter(|token| !token.genuine).count();
    Ok(format!(
        "{rotations} rotations under Express, FastAPI and actix; {} tokens given, {false_ones} forged",
        records.tokens.len() - false_ones
    ))
}

async fn rotate(admin: &Admin, node: &str, expected: &str) -> Outcome {
    let answer = admin.rotate(node, json!({})).await?.expect(200)?;
    let promoted = kid_of(&answer["current"]);
    ensure!(promoted == expected, "{promoted} was promoted, and not {expected}");
    Ok(())
}

/// A genuine token, at once, at some moment, at its end, and sometimes when it is over.
async fn present(
    teller: &mut Teller,
    node: &str,
    history: &History,
    fleet: &Fleet,
    chance: &mut Chance,
) -> Outcome {
    let token = teller.next(node, history).await?;
    let (now, end) = (now_ms(), token.exp * 1000 + PROMISE.leeway);
    let whole = usize::try_from(end - now).unwrap_or(0);
    fleet.order_all(&token, now_ms);
    fleet.order_all(&token, || now + chance.below(whole).cast_signed() as i64);
    fleet.order_all(&token, || end - 1300);
    if chance.below(8) == 0 {
        fleet.order_all(&token, || end + 1300);
    }
    Ok(())
}

async fn forge(api: &Api, node: &str, forger: &mut Forger, history: &History, fleet: &Fleet) -> Outcome {
    let good = history.open().tokens.iter().rev().find(|token| token.genuine).cloned();
    let Some(good) = good else { return Ok(()) };
    let set = api.jwks(node).await?.expect(200)?;
    let mut keys = set["keys"].as_array().into_iter().flatten();
    let Some(jwk) = keys.find(|key| key["kid"] == *good.kid) else { return Ok(()) };
    fleet.order_all(&history.add(forger.forge(&good, jwk)?), now_ms);
    Ok(())
}

struct Service {
    name: &'static str,
    address: String,
    log: PathBuf,
    child: Child,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Services(Vec<Service>);

impl Services {
    async fn start(api: &Api, issuer: &str, folder: &Path) -> Outcome<Self> {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("target"));
        let programs = [
            ("express", "express-api", PathBuf::from("node"), "server.js"),
            ("fastapi", "fastapi-service", target.join("interop/venv/bin/python"), "main.py"),
            ("actix", "actix-api", target.join("debug/actix-api"), ""),
        ];
        let mut services = Self(Vec::new());
        for (name, its_folder, program, script) in programs {
            let (port, log) = (free_port()?, folder.join(format!("{name}.log")));
            let out = File::create(&log)?;
            let mut command = Command::new(&program);
            command.current_dir(examples.join(its_folder)).args((!script.is_empty()).then_some(script));
            // Node and Python want more of their environment than a path, but nothing that would lead them off loopback.
            for (variable, _) in std::env::vars() {
                if variable.to_lowercase().ends_with("_proxy") || variable.starts_with("CHANCERY_") {
                    command.env_remove(variable);
                }
            }
            command
                .env("PORT", port.to_string())
                .env("CHANCERY_ISSUER", issuer)
                .env("JWKS_CACHE", CACHE_S.to_string())
                .env("JWKS_COOL_DOWN", COOL_DOWN_S.to_string())
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .stdin(Stdio::null())
                .stdout(out.try_clone()?)
                .stderr(out);
            let child = command.spawn().map_err(|error| {
                Failure::new(format!(
                    "{}: {error}; `scripts/interop --install` installs it",
                    program.display()
                ))
            })?;
            let address = format!("http://127.0.0.1:{port}");
            services.0.push(Service { name, address, log, child });
        }
        for service in &mut services.0 {
            service.wait(api).await?;
        }
        Ok(services)
    }

    /// What they said last.
    fn tails(&self) -> String {
        let tails = self.0.iter().map(|service| format!("{}: {}", service.name, service.tail()));
        tails.collect::<Vec<_>>().join("\n")
    }
}

impl Service {
    async fn wait(&mut self, api: &Api) -> Outcome {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_mins(1) {
            if let Some(status) = self.child.try_wait()? {
                return Err(Failure::new(format!("{} ended with {status}: {}", self.name, self.tail())));
            }
            if api.get(&self.address, "/healthz").await.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            tokio::time::sleep(ms(50)).await;
        }
        Err(Failure::new(format!("{} does not start: {}", self.name, self.tail())))
    }

    fn tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
