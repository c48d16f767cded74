//! What every drill of this group stands on: nodes under the background load, and the checker over the journal at the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::checker;
use crate::support::checker::{Bounds, Searched};
use crate::support::cluster::{MASTER_KEY, PASSWORD};
use crate::support::invariants::{all_agree, one_of_each};
use crate::support::journal::{Journal, Nodes};
use crate::support::load::{Load, Person};
use crate::support::{Admin, Brief, Cluster, Database, Failure, Outcome, Postgres, Program, ensure, ms};

const LEEWAY_S: i64 = 1;
/// Nobody is let in by a dead token for longer; so long is looked after the last fault.
const QUIET: Duration = Duration::from_secs(6);
/// A node takes no more for itself between the warm-up and the end than its pools, buffers and journals of a busy minute.
const GROWTH_KB: u64 = 24 * 1024;

/// Nodes under load.
pub struct Field {
    pub cluster: Cluster,
    pub load: Load,
    pub journal: Arc<Journal>,
    /// What each process used after the warm-up, by its id.
    warm: BTreeMap<u32, u64>,
    nodes: usize,
}

/// Runs `disturb` over so many nodes under load, and checks what came of it.
pub async fn under_load(
    brief: &Brief,
    nodes: usize,
    database: impl FnOnce(&Path) -> Database,
    disturb: impl AsyncFnOnce(&mut Field) -> Outcome<String>,
) -> Outcome<String> {
    under_load_of(brief, nodes, database, async |_| Ok(None), disturb).await
}

/// The same, where the nodes need more settings, or the last of them a program of its own.
pub async fn under_load_of(
    brief: &Brief,
    nodes: usize,
    database: impl FnOnce(&Path) -> Database,
    odd: impl AsyncFnOnce(&mut Cluster) -> Outcome<Option<Program>>,
    disturb: impl AsyncFnOnce(&mut Field) -> Outcome<String>,
) -> Outcome<String> {
    let mut cluster = Cluster::prepare(brief, database)?;
    configure(&mut cluster);
    match odd(&mut cluster).await? {
        Some(program) => {
            cluster.start(nodes - 1).await?;
            cluster.start_one(&format!("node{}", nodes - 1), &program).await?;
        }
        None => cluster.start(nodes).await?,
    }
    cluster.admin().await?;
    let load = Load::start(brief, &cluster.api, cluster.addresses());
    let journal = Arc::clone(&load.journal);
    let mut field = Field { cluster, load, journal, warm: BTreeMap::new(), nodes };
    tokio::time::sleep(brief.pick(ms(5000), ms(3000))).await;
    for node in &field.cluster.nodes {
        field.warm.insert(node.running.pid(), node.running.resident()?);
    }
    let told = disturb(&mut field).await?;
    field.close(told).await
}

/// On a throwaway Postgres.
pub async fn on_postgres(
    brief: &Brief,
    disturb: impl AsyncFnOnce(&mut Field, &Postgres) -> Outcome<String>,
) -> Outcome<String> {
    let postgres = Postgres::from_environment()?;
    let database = postgres.create_database().await?;
    under_load(brief, 3, |_| database, async |field| disturb(field, &postgres).await).await
}

/// Keys change every few seconds, so that they always do while something is wrong.
fn configure(cluster: &mut Cluster) {
    cluster
        .set("CHANCERY_KEYS__REFRESH_INTERVAL", "2s")
        .set("CHANCERY_KEYS__JWKS_MAX_AGE", "1s")
        .set("CHANCERY_KEYS__VERIFIER_CACHE_TTL", "0s")
        .set("CHANCERY_TOKENS__ACCESS_TOKEN_TTL", "20s")
        .set("CHANCERY_TOKENS__LEEWAY", format!("{LEEWAY_S}s"));
}

impl Field {
    /// Something is wrong while `fault` runs.
    pub async fn under<T>(
        &mut self,
        what: &str,
        refuses: Nodes,
        loses: Nodes,
        fault: impl AsyncFnOnce(&mut Self) -> Outcome<T>,
    ) -> Outcome<T> {
        let window = self.journal.begin(what, refuses, loses);
        let outcome = fault(self).await;
        self.journal.end(window);
        outcome.map_err(|failure| failure.during(what))
    }

    /// Somebody of the drill's own, logged in so many times.
    pub async fn person(&mut self, name: &str, sessions: usize) -> Outcome<Person> {
        let mut client = self.load.client(name);
        let missing = || Failure::new(format!("{name} could not come in"));
        let mut person =
            Person::arrive(&mut client, format!("{name}@drill.test")).await.ok_or_else(missing)?;
        for _ in 1..sessions {
            person.log_in(&mut client).await.ok_or_else(missing)?;
        }
        Ok(person)
    }

    /// kill -9; it is away until [`Field::revive`].
    pub fn kill(&mut self, node: usize) -> Outcome<String> {
        let killed = self.cluster.nodes.remove(node);
        let name = killed.name.clone();
        killed.kill()?;
        Ok(name)
    }

    /// Starts a node in its old place. How long it took until it was ready.
    pub async fn revive(&mut self, node: usize, name: &str) -> Outcome<Duration> {
        let started = self.cluster.program.serve(&self.cluster.api, name).await?;
        self.load.roster.replace(node, &started.address);
        let ready_after = started.ready_after;
        self.cluster.nodes.insert(node, started);
        Ok(ready_after)
    }

    async fn close(self, told: String) -> Outcome<String> {
        tokio::time::sleep(QUIET).await;
        let Self { mut cluster, load, journal, warm, nodes } = self;
        ensure!(
            cluster.nodes.len() == nodes,
            "{} of {nodes} nodes are there at the end",
            cluster.nodes.len()
        );
        load.finish().await?;
        one_of_each(&cluster.database).await?;
        let admin = Admin::log_in(&cluster.api, &cluster.nodes[0].address).await?;
        all_agree(&cluster.api, &admin, &cluster.addresses()).await?;
        let grown = grown(&cluster, &warm)?;
        for node in cluster.nodes.drain(..) {
            node.stop().await?;
        }
        let places = places(&cluster).await?;
        let password = database_password(&cluster.database);
        let pages = std::mem::take(&mut *journal.open());
        let (findings, panics) = tokio::task::spawn_blocking(move || {
            let mut findings = checker::check(&pages, &Bounds { leeway_s: LEEWAY_S, ..Bounds::default() });
            checker::search(&pages, &[MASTER_KEY, PASSWORD, &password], &places, &mut findings);
            (findings, panics(&places))
        })
        .await?;
        let verdict = findings.verdict().and_then(|()| match panics {
            None => Ok(format!("{told}\n    {}; {grown}", findings.figures.join(";\n    "))),
            Some(place) => Err(Failure::new(format!("{place} tells of a panic"))),
        });
        cluster.conclude(verdict)
    }
}

fn grown(cluster: &Cluster, warm: &BTreeMap<u32, u64>) -> Outcome<String> {
    let mut told = Vec::new();
    for node in &cluster.nodes {
        let Some(before) = warm.get(&node.running.pid()) else { continue };
        let now = node.running.resident()?;
        ensure!(now <= before + GROWTH_KB, "{} grew from {before} to {now} kB", node.name);
        told.push(format!("{before} → {now}"));
    }
    Ok(match &told[..] {
        [] => "no node ran all the time".to_owned(),
        told => format!("memory {} kB", told.join(", ")),
    })
}

/// Everywhere a secret or a panic might have been written down.
async fn places(cluster: &Cluster) -> Outcome<Vec<Searched>> {
    let mut places = Vec::new();
    for entry in fs::read_dir(cluster.folder())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // What a command is given on its standard input is where a secret belongs.
        if path.is_file() && path.extension().is_none_or(|extension| extension != "in") {
            places.push(Searched { name, bytes: fs::read(&path)? });
        }
    }
    if let Database::Postgres(_) = cluster.database {
        let postgres = Postgres::from_environment()?;
        let dump = cluster.folder().join("at-the-end.sql");
        postgres.dump(&cluster.database, &dump).await?;
        places.push(Searched { name: "the dump".to_owned(), bytes: fs::read(&dump)? });
        places.push(Searched { name: "Postgres's log".to_owned(), bytes: postgres.logs() });
    }
    Ok(places)
}

fn panics(places: &[Searched]) -> Option<String> {
    let tells = |place: &&Searched| String::from_utf8_lossy(&place.bytes).contains("panicked at");
    places.iter().find(tells).map(|place| place.name.clone())
}

fn database_password(database: &Database) -> String {
    let url = reqwest::Url::parse(&database.url()).ok();
    url.and_then(|url| url.password().map(str::to_owned)).unwrap_or_default()
}
