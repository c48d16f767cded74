//! kill -9 at a random moment of an operation on the keys: whatever was answered holds, the rest happened whole or not at all,
//! the restart is quick, and the next rotation works.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::api::kids;
use crate::support::cluster::{MASTER_KEY, kid_of};
use crate::support::history::{History, Token, Verdict};
use crate::support::invariants::{all_agree, is_rotation, one_of_each};
use crate::support::issuing::Teller;
use crate::support::verifier::{decoding_keys, judge};
use crate::support::{
    Admin, Answer, Brief, Chance, Cluster, Database, Failure, Outcome, Postgres, Program, ensure, ms, now_ms,
    quantile, within,
};

const READY_WITHIN: Duration = Duration::from_secs(2);
const LIFE: &str = "20s";
const LEEWAY_S: i64 = 1;

/// What is under way when the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Rotate,
    Revoke,
    Rewrap,
}

/// Everything that is interrupted, with how often.
const INTERRUPTED: [(Operation, Way, usize); 5] = [
    (Operation::Rotate, Way::Http, 4),
    (Operation::Revoke, Way::Http, 3),
    (Operation::Rotate, Way::Command, 1),
    (Operation::Revoke, Way::Command, 1),
    (Operation::Rewrap, Way::Command, 2),
];

/// How it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// The node that does it is killed.
    Http,
    /// The command that does it is killed; the nodes go on.
    Command,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    NotDone,
    /// Only what is done key by key, and goes on where it was.
    PartlyDone,
    DoneUnanswered,
    Answered,
}

/// A second master key, in the form of [`MASTER_KEY`].
const OTHER_MASTER_KEY: &str = "other:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
/// Nothing revoked is accepted for longer.
const DEAD_WITHIN: Duration = Duration::from_secs(5);

/// One database with its nodes, through all its rounds.
struct Bench {
    cluster: Cluster,
    admin: Admin,
    teller: Teller,
    history: Arc<History>,
    chance: Chance,
    /// How long each operation takes when nobody disturbs it.
    usual: BTreeMap<(Operation, Way), Duration>,
    restarts: Vec<u128>,
    verified: usize,
    ends: BTreeMap<(Operation, Way, End), usize>,
}

pub async fn kill(brief: &Brief) -> Outcome<String> {
    let rounds = brief.pick(100, 10);
    let postgres = Postgres::from_environment()?;
    let database = postgres.create_database().await?;
    let on_sqlite = drill_one(brief, "sqlite", 1, rounds, Database::sqlite).await?;
    let on_postgres = drill_one(brief, "postgres", 2, rounds, |_| database).await?;
    Ok(format!("{on_sqlite}\n  {on_postgres}"))
}

async fn drill_one(
    brief: &Brief,
    name: &str,
    nodes: usize,
    rounds: usize,
    database: impl FnOnce(&Path) -> Database,
) -> Outcome<String> {
    let mut cluster = Cluster::prepare(brief, database)?;
    cluster
        .set("CHANCERY_KEYS__REFRESH_INTERVAL", "500ms")
        .set("CHANCERY_KEYS__JWKS_MAX_AGE", "1s")
        .set("CHANCERY_KEYS__VERIFIER_CACHE_TTL", "0s")
        .set("CHANCERY_TOKENS__ACCESS_TOKEN_TTL", LIFE)
        .set("CHANCERY_TOKENS__LEEWAY", format!("{LEEWAY_S}s"))
        .set("CHANCERY_SESSIONS__REFRESH_GRACE", "60s")
        // A drill is about what is lost, not about a busy machine.
        .set("CHANCERY_DATABASE__ACQUIRE_TIMEOUT", "10s");
    cluster.set("CHANCERY_KEYS__MASTER_KEYS", format!("{MASTER_KEY},{OTHER_MASTER_KEY}"));
    cluster.start(nodes).await?;
    cluster.database.dawdle().await?;
    let (admin, login) = (cluster.admin().await?, cluster.newcomer("teller").await?);
    let mut bench = Bench {
        admin,
        teller: Teller::new(&cluster.api, &login),
        cluster,
        history: Arc::default(),
        chance: brief.chance(name),
        usual: BTreeMap::new(),
        restarts: Vec::new(),
        verified: 0,
        ends: BTreeMap::new(),
    };
    let outcome = bench.rounds(rounds).await.map_err(|failure| failure.during(name));
    let told = format!("{name}: {}", bench.figures(rounds));
    bench.cluster.conclude(outcome.map(|()| told))
}

impl Bench {
    async fn rounds(&mut self, rounds: usize) -> Outcome {
        for (operation, way, _) in INTERRUPTED {
            let took = self.undisturbed(operation, way).await?;
            self.usual.insert((operation, way), took);
        }
        let often: Vec<(Operation, Way)> = INTERRUPTED
            .iter()
            .flat_map(|(operation, way, times)| std::iter::repeat_n((*operation, *way), *times))
            .collect();
        for round in 0..rounds {
            let (operation, way) = *self.chance.pick(&often);
            let victim = self.chance.below(self.cluster.nodes.len());
            let after = self.chance.up_to(self.usual[&(operation, way)].mul_f64(1.3));
            let what = format!("round {round}, {operation:?} by {way:?}, killed after {after:?}");
            let outcome = self.round(operation, way, victim, after).await;
            outcome.map_err(|failure| failure.during(what))?;
        }
        Ok(())
    }

    async fn undisturbed(&mut self, operation: Operation, way: Way) -> Outcome<Duration> {
        // A key is put in stock soon after the start.
        tokio::time::sleep(ms(700)).await;
        let begun = Instant::now();
        match way {
            Way::Http => {
                self.ask(operation, 0).await?.await??.expect(200)?;
            }
            Way::Command => {
                let arguments = self.arguments(operation).await?;
                self.run("command", operation, &arguments).await?;
            }
        }
        Ok(begun.elapsed())
    }

    async fn round(&mut self, operation: Operation, way: Way, victim: usize, after: Duration) -> Outcome {
        let node = self.cluster.nodes[victim].address.clone();
        self.teller.next(&node, &self.history).await?;
        let before = kid_of(&self.admin.key(&node, "current").await?);
        let to_rewrap = self.not_under(OTHER_MASTER_KEY).await?;
        let answered = match way {
            Way::Http => self.kill_node(operation, victim, after).await?,
            Way::Command => self.kill_command(operation, after).await?,
        };
        let nodes = self.cluster.addresses();
        one_of_each(&self.cluster.database).await?;
        all_agree(&self.cluster.api, &self.admin, &nodes).await?;
        let now = kid_of(&self.admin.key(self.chance.pick(&nodes).as_str(), "current").await?);
        let left = self.not_under(OTHER_MASTER_KEY).await?;
        let done = if operation == Operation::Rewrap { left == 0 } else { now != before };
        let end = match (answered, done) {
            (true, false) => return Err(Failure::new("it was answered as done, and is not")),
            (true, true) => End::Answered,
            (false, true) => End::DoneUnanswered,
            (false, false) if operation == Operation::Rewrap && left < to_rewrap => End::PartlyDone,
            (false, false) => End::NotDone,
        };
        match operation {
            Operation::Revoke if done => self.is_dead(&before, &nodes).await?,
            Operation::Rewrap => self.finish_rewrap().await?,
            Operation::Rotate | Operation::Revoke => {}
        }
        *self.ends.entry((operation, way, end)).or_default() += 1;
        self.earlier_tokens_verify(&nodes).await?;
        // By another process than the one that dies next, so that one still has a key in stock, and its rotation is short.
        let rotated = self.run("command", Operation::Rotate, &ROTATE.map(str::to_owned)).await?;
        is_rotation(&serde_json::from_str(&rotated)?)
            .map_err(|failure| failure.during("the next rotation"))?;
        all_agree(&self.cluster.api, &self.admin, &nodes).await?;
        one_of_each(&self.cluster.database).await
    }

    /// Asks a node, on a task of its own.
    async fn ask(&self, operation: Operation, at: usize) -> Outcome<JoinHandle<Outcome<Answer>>> {
        let node = self.cluster.nodes[at].address.clone();
        let token = self.admin.token(&node).await?;
        let api = self.cluster.api.clone();
        let (path, wish) = match operation {
            Operation::Revoke => {
                let current = kid_of(&self.admin.key(&node, "current").await?);
                (format!("/admin/keys/{current}/revoke"), json!({ "reason": "drill" }))
            }
            Operation::Rotate | Operation::Rewrap => {
                ("/admin/keys/rotate".to_owned(), json!({ "force": true, "reason": "drill" }))
            }
        };
        Ok(tokio::spawn(async move { api.post_as(&token, &node, &path, wish).await }))
    }

    /// Kills the node that was asked, while it also refreshes. Whether it had answered that it is done.
    async fn kill_node(&mut self, operation: Operation, victim: usize, after: Duration) -> Outcome<bool> {
        let asked = self.ask(operation, victim).await?;
        let node = self.cluster.nodes.remove(victim);
        let (address, name) = (node.address.clone(), node.name.clone());
        let killer = tokio::spawn(async move {
            tokio::time::sleep(after).await;
            node.kill()
        });
        // Answers that came through count, the others may be asked for again.
        while !killer.is_finished() {
            match self.teller.attempt(&address, &self.history).await {
                Ok(Ok(_)) => {}
                Ok(Err(answer)) => ensure!(answer.status == 503, "a refresh was answered {}", answer.text),
                Err(_) => break,
            }
        }
        killer.await??;
        let answered = match asked.await? {
            Ok(answer) => answer.expect(200).map(|_| true)?,
            Err(_) => false,
        };
        let restarted = self.cluster.program.serve(&self.cluster.api, &name).await?;
        let took = restarted.ready_after;
        self.cluster.nodes.insert(victim, restarted);
        ensure!(took < READY_WITHIN, "the restarted node was ready after {took:?}");
        self.restarts.push(took.as_millis());
        let address = self.cluster.nodes[victim].address.clone();
        self.teller.next(&address, &self.history).await?;
        Ok(answered)
    }

    /// Kills the command. Whether it had ended well before.
    async fn kill_command(&mut self, operation: Operation, after: Duration) -> Outcome<bool> {
        let arguments = self.arguments(operation).await?;
        let program = self.program(operation);
        let mut running = program.spawn("killed", &words(&arguments), "")?;
        tokio::time::sleep(after).await;
        let ended = running.ended()?;
        let tail = running.tail();
        running.kill()?;
        ensure!(ended.is_none_or(|status| status.success()), "the command ended with {ended:?}: {tail}");
        Ok(ended.is_some())
    }

    /// A command seals under the other master key first when it rewraps; the nodes can open both.
    fn program(&self, operation: Operation) -> Program {
        let program = self.cluster.program.clone();
        match operation {
            Operation::Rewrap => {
                program.with("CHANCERY_KEYS__MASTER_KEYS", format!("{OTHER_MASTER_KEY},{MASTER_KEY}"))
            }
            Operation::Rotate | Operation::Revoke => program,
        }
    }

    async fn arguments(&self, operation: Operation) -> Outcome<Vec<String>> {
        Ok(match operation {
            Operation::Rotate => ROTATE.map(str::to_owned).into(),
            Operation::Revoke => {
                let current = kid_of(&self.admin.key(&self.cluster.nodes[0].address, "current").await?);
                ["-o", "json", "keys", "revoke", &current, "--reason", "drill"].map(str::to_owned).into()
            }
            Operation::Rewrap => ["-o", "json", "keys", "rewrap"].map(str::to_owned).into(),
        })
    }

    async fn run(&self, name: &str, operation: Operation, arguments: &[String]) -> Outcome<String> {
        self.program(operation).run(name, &words(arguments), "").await
    }

    /// Private keys that this master key does not seal.
    async fn not_under(&self, master_key: &str) -> Outcome<i64> {
        let id = master_key.split(':').next().unwrap_or_default();
        let count =
            "SELECT count(*) FROM signing_keys WHERE encrypted_private_key IS NOT NULL AND master_key_id <>";
        self.cluster.database.number(format!("{count} '{id}'")).await
    }

    /// Run again it does the rest.
    async fn finish_rewrap(&self) -> Outcome {
        let arguments = self.arguments(Operation::Rewrap).await?;
        self.run("command", Operation::Rewrap, &arguments).await?;
        let left = self.not_under(OTHER_MASTER_KEY).await?;
        ensure!(left == 0, "after a whole rewrap {left} private keys are under the old master key");
        Ok(())
    }

    /// A revoked key is published nowhere, and what it signed is refused everywhere.
    async fn is_dead(&self, kid: &str, nodes: &[String]) -> Outcome {
        let token = self.history.open().tokens.iter().rfind(|token| token.kid == kid).cloned();
        within(DEAD_WITHIN, async || {
            for node in nodes {
                let set = kids(&self.cluster.api.jwks(node).await?.expect(200)?);
                ensure!(
                    !set.iter().any(|published| published == kid),
                    "{node} publishes the revoked key {kid}"
                );
                if let Some(token) = &token {
                    let me = self.cluster.api.get_as(&token.text, node, "/auth/me").await?;
                    ensure!(me.status == 401, "{node} answers {} to a token of a revoked key", me.status);
                }
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// Every token ever answered, while it lives, against the set that each node publishes now.
    async fn earlier_tokens_verify(&mut self, nodes: &[String]) -> Outcome {
        let now = now_ms();
        let keys = self.admin.keys(&nodes[0]).await?;
        let revoked: Vec<String> = keys.iter().filter(|key| key["status"] == "revoked").map(kid_of).collect();
        let alive = |token: &&Arc<Token>| now + 500 < token.exp * 1000 && !revoked.contains(&token.kid);
        let tokens: Vec<Arc<Token>> = self.history.open().tokens.iter().filter(alive).cloned().collect();
        for node in nodes {
            let keys = decoding_keys(&self.cluster.api.jwks(node).await?.expect(200)?);
            for token in &tokens {
                let verdict = keys
                    .get(&token.kid)
                    .map_or(Verdict::UnknownKid, |key| judge(&token.text, key, now, LEEWAY_S));
                let age = now - token.made_at;
                ensure!(
                    verdict == Verdict::Accepted,
                    "token {} of {}, {age} ms old, kid {}, does not verify by the set of {node}: {verdict:?}",
                    token.id,
                    token.origin,
                    token.kid
                );
                self.verified += 1;
            }
        }
        // And where the session is asked as well.
        if let Some(token) = tokens.last() {
            for node in nodes {
                within(ms(1000), async || {
                    self.cluster.api.get_as(&token.text, node, "/auth/me").await?.expect(200).map(|_| ())
                })
                .await?;
            }
        }
        Ok(())
    }

    fn figures(&mut self, rounds: usize) -> String {
        let ends = self
            .ends
            .iter()
            .map(|((operation, way, end), count)| format!("{operation:?}/{way:?} {end:?} {count}"));
        let ends = ends.collect::<Vec<_>>().join(", ");
        let (restarts, slowest) = (self.restarts.len(), quantile(&mut self.restarts, 1.0));
        format!(
            "{rounds} kills ({ends}); {restarts} restarts ready in {} ms (p50), {slowest} ms (at most); {} tokens given, {} \
             verifications",
            quantile(&mut self.restarts, 0.5),
            self.history.open().tokens.len(),
            self.verified
        )
    }
}

const ROTATE: [&str; 7] = ["-o", "json", "keys", "rotate", "--force", "--reason", "drill"];

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}
