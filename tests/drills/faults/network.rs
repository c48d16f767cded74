//! One of three nodes reaches Postgres by a wire that is cut, stalled, forgotten by whatever is in between, and that loses single
//! questions and answers: among them the answer to a commit, after which nobody knows whether it was done.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::field::{Field, under_load_of};
use crate::support::journal::{Ask, Nodes};
use crate::support::load::{Held, Person};
use crate::support::wire::{Lost, Mood, Until, Wire};
use crate::support::{Brief, Cluster, Database, Failure, Outcome, Postgres, ensure, ms, within};

/// The node behind the wire.
const FAR: usize = 2;
const WORKS_AGAIN_WITHIN: Duration = Duration::from_secs(3);

/// A request's time limit, and a moment.
const RUNS_INTO_ITS_LIMIT: Duration = Duration::from_secs(5);

pub async fn network(brief: &Brief) -> Outcome<String> {
    let database = Postgres::from_environment()?.create_database().await?;
    let wire = Wire::to(&database).await?;
    let url = wire.url(&database)?;
    let odd = async |cluster: &mut Cluster| {
        // As if everybody came from a network of their own: the row of a common one stays locked, for all nodes, until
        // Postgres has ended the transaction of a node that is not heard any more.
        cluster.set("CHANCERY_LOGIN__MAX_FAILURES_PER_NETWORK", "0");
        Ok(Some(cluster.program.clone().with("CHANCERY_DATABASE__URL", url)))
    };
    let database = |_: &Path| -> Database { database };
    under_load_of(brief, 3, database, odd, async |field| run(brief, field, &wire).await).await
}

async fn run(brief: &Brief, field: &mut Field, wire: &Wire) -> Outcome<String> {
    let long = brief.pick(ms(12_000), ms(6000));
    let mut told = Vec::new();
    for (what, mood) in [("cut", Mood::Cut), ("stalled", Mood::Stalls)] {
        broken(field, what, long, || wire.is(mood), || wire.is(Mood::Carries)).await?;
        told.push(ready_again(field, what).await?);
    }
    // Nothing to mend: new connections work all the time. What is in flight on the others finds out by running into its limit.
    broken(field, "forgotten", RUNS_INTO_ITS_LIMIT, || wire.forget_connections(), || {}).await?;
    told.push(ready_again(field, "forgotten").await?);
    broken(
        field,
        "stalled and forgotten",
        long,
        || wire.is(Mood::Stalls),
        || {
            wire.forget_connections();
            wire.is(Mood::Carries);
        },
    )
    .await?;
    told.push(ready_again(field, "stalled and forgotten").await?);
    told.push(lost_in_between(brief, field).await?);
    Ok(told.join(", "))
}

async fn broken(
    field: &mut Field,
    what: &str,
    long: Duration,
    breaks: impl FnOnce(),
    mends: impl FnOnce(),
) -> Outcome {
    let fault = field.under(what, Nodes::Only(FAR), Nodes::None, async |_| {
        breaks();
        tokio::time::sleep(long).await;
        mends();
        Ok(())
    });
    fault.await
}

async fn ready_again(field: &Field, what: &str) -> Outcome<String> {
    let ready = within(WORKS_AGAIN_WITHIN, async || {
        let node = &field.cluster.nodes[FAR];
        field.cluster.api.get(&node.address, "/health/ready").await?.expect(200)?;
        Ok(())
    })
    .await;
    let ready = ready.map_err(|failure| failure.during(format!("after it was {what}")))?;
    Ok(format!("{what}: ready {} ms after", ready.as_millis()))
}

/// What is asked, and the words of it on the wire whose exchange is lost.
struct Exchange {
    name: &'static str,
    needle: &'static str,
    until: Until,
}

/// A login commits once before, when it counts the attempt.
const EXCHANGES: [Exchange; 3] = [
    Exchange { name: "login", needle: "INSERT INTO sessions", until: Until::With("COMMIT") },
    Exchange { name: "refresh", needle: "UPDATE sessions SET generation", until: Until::Later(1) },
    Exchange { name: "logout", needle: "UPDATE sessions SET revoked_at", until: Until::With("COMMIT") },
];

/// A node that no other takes part in, on a wire of its own, with one connection beside the listener's: every loss breaks it,
/// so that statements are sent as text again.
struct Alone<'a> {
    field: &'a mut Field,
    wire: Wire,
    node: usize,
    person: Person,
}

async fn lost_in_between(brief: &Brief, field: &mut Field) -> Outcome<String> {
    let wire = Wire::to(&field.cluster.database).await?;
    let url = wire.url(&field.cluster.database)?;
    let program = field
        .cluster
        .program
        .clone()
        .with("CHANCERY_DATABASE__URL", url)
        .with("CHANCERY_DATABASE__POOL_SIZE", "2");
    let started = program.serve(&field.cluster.api, "alone").await?;
    let node = field.load.roster.add_out(&started.address);
    let person = field.person("unlucky", 1).await?;
    let window = field.journal.begin("lost in between", Nodes::Only(node), Nodes::None);
    let mut alone = Alone { field, wire, node, person };
    let rounds = brief.pick(8, 2);
    let mut done = 0;
    for round in 0..rounds {
        for exchange in &EXCHANGES {
            for lost in [Lost::Question, Lost::Answer] {
                let outcome = alone.lose(exchange, lost).await;
                outcome.map_err(|failure| {
                    failure.during(format!("round {round}, {lost:?} of a {} lost", exchange.name))
                })?;
                done += usize::from(lost == Lost::Answer);
            }
        }
    }
    let Alone { field, person, .. } = alone;
    started.stop().await?;
    field.journal.end(window);
    field.load.adopt(person);
    Ok(format!(
        "{} exchanges lost on the wire, {done} of them done all the same, each tried again elsewhere",
        rounds * 6
    ))
}

impl Alone<'_> {
    /// Another statement with the same words may have gone first; then it is done again.
    async fn lose(&mut self, exchange: &Exchange, lost: Lost) -> Outcome {
        for _ in 0..5 {
            if self.person.sessions.is_empty() {
                let mut client = self.field.load.client("unlucky");
                self.person.log_in(&mut client).await.ok_or_else(|| Failure::new("a login was refused"))?;
            }
            if self.lose_once(exchange, lost).await? {
                return Ok(());
            }
        }
        Err(Failure::new("it never came over the wire"))
    }

    async fn lose_once(&mut self, exchange: &Exchange, lost: Lost) -> Outcome<bool> {
        let held = self.person.sessions[0].clone();
        let ask = match exchange.name {
            "login" => Ask::LogIn { password: Arc::clone(&self.person.password) },
            "refresh" => Ask::Refresh(held.refresh.clone()),
            _ => Ask::LogOut { access: held.access.clone(), all: false },
        };
        let mut client = self.field.load.client("unlucky");
        let (before, sprung) = (self.traces(exchange).await?, self.wire.sprung());
        self.wire.lose(exchange.needle, exchange.until, lost);
        let heard = client.ask_at(self.node, &self.person.email, ask.clone()).await;
        if heard.status != 503 {
            ensure!(heard.status / 100 == 2, "answered {}", heard.status);
            match exchange.name {
                "refresh" => {
                    self.person.sessions[0].advance(heard.gave.ok_or_else(|| Failure::new("no tokens"))?);
                }
                "login" => self.person.sessions.extend(heard.gave.map(Held::new)),
                _ => {
                    self.field
                        .load
                        .graveyard()
                        .bury(&self.person.email, vec![self.person.sessions.remove(0)]);
                }
            }
            return Ok(false);
        }
        ensure!(self.wire.sprung() > sprung, "answered 503, and nothing was lost");
        let done = self.traces(exchange).await? - before;
        let expected = i64::from(lost == Lost::Answer);
        ensure!(done == expected, "it was done {done} times, and not {expected}");
        // The same once more on a node that is well.
        let again = client.insist(&self.person.email, ask).await;
        match exchange.name {
            "refresh" => {
                let gave = again.gave.ok_or_else(|| Failure::new("the second try was refused"))?;
                let moved = gave.refresh.generation - held.refresh.generation;
                ensure!(moved == 1, "the session moved on by {moved}");
                self.person.sessions[0].advance(gave);
            }
            "login" => {
                let gave = again.gave.ok_or_else(|| Failure::new("the second try was refused"))?;
                self.person.sessions.push(Held::new(gave));
            }
            _ => {
                ensure!(matches!(again.status, 204 | 401), "the second try was answered {}", again.status);
                let gone = std::mem::take(&mut self.person.sessions);
                // All but the first go on; they are logged out as a good client does.
                for held in &gone[1..] {
                    let ask = Ask::LogOut { access: held.access.clone(), all: false };
                    client.insist(&self.person.email, ask).await;
                }
                self.field.load.graveyard().bury(&self.person.email, gone);
            }
        }
        Ok(true)
    }

    /// A number that grows by one when it is done.
    async fn traces(&self, exchange: &Exchange) -> Outcome<i64> {
        let (user, sid) = (&self.person.id, self.person.sessions[0].refresh.sid);
        let sql = match exchange.name {
            "login" => format!("SELECT count(*) FROM sessions WHERE user_id = '{user}'"),
            "refresh" => format!("SELECT generation FROM sessions WHERE id = '{sid}'"),
            _ => format!("SELECT count(*) FROM sessions WHERE id = '{sid}' AND revoked_at IS NOT NULL"),
        };
        self.field.cluster.database.number(sql).await
    }
}
