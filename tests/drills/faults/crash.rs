//! kill -9 of a node with a volley of logins, refreshes or logouts in it: what was answered holds, the rest may be tried again
//! elsewhere, and an SQLite file is whole every time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{Connection, SqliteConnection};

use super::field::{Field, on_postgres, under_load};
use crate::support::journal::{Ask, Nodes};
use crate::support::load::{Client, Held, Person};
use crate::support::{Brief, Chance, Database, Failure, Outcome, ensure, ms, quantile};

const VOLLEY: usize = 8;
const READY_WITHIN: Duration = Duration::from_secs(2);
/// Twice what a password check may wait. A check that was under way when its node died counts against the account for so long,
/// and who comes meanwhile may be told to come back.
const LAPSES_AFTER: Duration = Duration::from_secs(4);

pub async fn crash(brief: &Brief) -> Outcome<String> {
    let rounds = brief.pick(24, 6);
    let on_postgres = on_postgres(brief, async |field, _| {
        let mut bench = Bench::new(field, brief).await?;
        bench.rounds(rounds).await
    });
    let on_postgres = on_postgres.await.map_err(|failure| failure.during("postgres"))?;
    let on_sqlite = under_load(brief, 1, Database::sqlite, async |field| {
        let mut bench = Bench::new(field, brief).await?;
        bench.rounds(rounds).await
    });
    let on_sqlite = on_sqlite.await.map_err(|failure| failure.during("sqlite"))?;
    Ok(format!("postgres: {on_postgres}\n  sqlite: {on_sqlite}"))
}

/// What the node is doing when it dies.
#[derive(Clone, Copy, Debug)]
enum Volley {
    LogIns,
    Refreshes,
    LogOuts,
}

struct Bench<'a> {
    field: &'a mut Field,
    chance: Chance,
    person: Option<Person>,
    ready: Vec<u128>,
    cut_off: usize,
    answered: usize,
    checked: usize,
}

impl<'a> Bench<'a> {
    async fn new(field: &'a mut Field, brief: &Brief) -> Outcome<Self> {
        let person = field.person("crash", VOLLEY).await?;
        let chance = brief.chance("crash");
        Ok(Self {
            field,
            chance,
            person: Some(person),
            ready: Vec::new(),
            cut_off: 0,
            answered: 0,
            checked: 0,
        })
    }

    async fn rounds(&mut self, rounds: usize) -> Outcome<String> {
        for round in 0..rounds {
            let volley = [Volley::LogIns, Volley::Refreshes, Volley::LogOuts][round % 3];
            let outcome = self.round(round, volley).await;
            outcome.map_err(|failure| failure.during(format!("round {round}, {volley:?}")))?;
        }
        self.field.load.adopt(self.person.take().expect("back after every round"));
        let checked = match self.checked {
            0 => String::new(),
            times => format!(", the file whole {times} times"),
        };
        Ok(format!(
            "{rounds} kills, {} requests of volleys cut off and {} answered before; ready again after {} ms at most{checked}",
            self.cut_off,
            self.answered,
            quantile(&mut self.ready, 1.0)
        ))
    }

    async fn round(&mut self, round: usize, volley: Volley) -> Outcome {
        let victim = round % self.field.cluster.nodes.len();
        let mut client = self.field.load.client("crash");
        let person = self.person.as_mut().expect("back after every round");
        while person.sessions.len() < VOLLEY {
            person.log_in(&mut client).await.ok_or_else(|| Failure::new("a login was refused"))?;
        }
        let refuses = if matches!(volley, Volley::LogIns) { Nodes::All } else { Nodes::None };
        let window = self.field.journal.begin(format!("kill {round}"), refuses, Nodes::Only(victim));
        let shots = shots(person, volley);
        // Some die before anything was done, some in the middle, some after it all.
        let after = self.chance.up_to(ms(25));
        let flying = join_all(shots.iter().map(|ask| client.ask_at(victim, &person.email, ask.clone())));
        let field = &mut *self.field;
        let killing = async {
            tokio::time::sleep(after).await;
            field.kill(victim)
        };
        let (heard, name) = tokio::join!(flying, killing);
        let name = name?;
        self.answered += heard.iter().filter(|heard| heard.status != 0).count();
        self.cut_off += heard.iter().filter(|heard| heard.status == 0).count();
        if matches!(volley, Volley::LogIns) {
            let begun = heard.into_iter().filter_map(|heard| heard.gave).map(Held::new);
            self.person.as_mut().expect("back after every round").sessions.extend(begun);
        }
        if let Database::Sqlite(file) = &self.field.cluster.database {
            is_whole(file, self.field.cluster.folder()).await?;
            self.checked += 1;
        }
        let ready = self.field.revive(victim, &name).await?;
        if matches!(volley, Volley::LogIns) {
            tokio::time::sleep(LAPSES_AFTER).await;
        }
        self.field.journal.end(window);
        ensure!(ready <= READY_WITHIN, "{name} was ready only after {ready:?}");
        self.ready.push(ready.as_millis());
        let person = self.person.as_mut().expect("back after every round");
        try_again(&mut client, person, volley).await;
        if matches!(volley, Volley::LogOuts) {
            let gone = std::mem::take(&mut person.sessions);
            self.field.load.graveyard().bury(&person.email, gone);
        }
        Ok(())
    }
}

fn shots(person: &Person, volley: Volley) -> Vec<Ask> {
    let held = person.sessions.iter().take(VOLLEY);
    match volley {
        Volley::LogIns => {
            (0..VOLLEY).map(|_| Ask::LogIn { password: Arc::clone(&person.password) }).collect()
        }
        Volley::Refreshes => held.map(|held| Ask::Refresh(held.refresh.clone())).collect(),
        Volley::LogOuts => held.map(|held| Ask::LogOut { access: held.access.clone(), all: false }).collect(),
    }
}

/// As every good client does: the same once more, anywhere.
async fn try_again(client: &mut Client, person: &mut Person, volley: Volley) {
    match volley {
        Volley::LogIns => drop(person.log_in(client).await),
        Volley::Refreshes => {
            for at in (0..person.sessions.len()).rev() {
                person.refresh(client, at).await;
            }
        }
        Volley::LogOuts => {
            for held in &person.sessions {
                client.insist(&person.email, Ask::LogOut { access: held.access.clone(), all: false }).await;
            }
        }
    }
}

/// A copy is looked at, so that the node itself finds the file as the dead one left it.
async fn is_whole(file: &Path, folder: &Path) -> Outcome {
    let beside = |path: &Path, suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    let copy = folder.join("looked-at").with_extension("db");
    for suffix in ["", "-wal"] {
        if beside(file, suffix).exists() {
            fs::copy(beside(file, suffix), beside(&copy, suffix))?;
        }
    }
    let mut conn = SqliteConnection::connect(&format!("sqlite://{}", copy.display())).await?;
    let said: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut conn).await?;
    let foreign = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut conn).await?.len();
    conn.close().await?;
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(beside(&copy, suffix));
    }
    ensure!(said == "ok" && foreign == 0, "the file is damaged: {said}, {foreign} rows without their parent");
    Ok(())
}
