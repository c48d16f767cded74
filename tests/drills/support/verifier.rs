//! Services that verify tokens offline, each with its own habit of keeping the key set; and, for comparison, Chancery's own
//! endpoint. The signature is checked by `jsonwebtoken`, the key set comes over real HTTP from any of the nodes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::api::kids;
use super::cluster::{AUDIENCE, ISSUER};
use super::history::{Check, History, SetSeen, Token, Verdict};
use super::{Api, Chance, now_ms};

/// How long a key set is kept.
#[derive(Clone, Copy, Debug)]
pub enum Keeps {
    /// Fetched for every token.
    Nothing,
    For(Duration),
    Forever,
}

/// What a kid does that is not in the set.
#[derive(Clone, Copy, Debug)]
pub enum OnUnknown {
    Refetch,
    /// Not sooner than this after the last fetch, whatever caused it.
    RefetchAfter(Duration),
    Refuse,
}

#[derive(Clone, Debug)]
pub enum Habit {
    Library {
        keeps: Keeps,
        on_unknown: OnUnknown,
    },
    /// Asks Chancery's own /auth/me.
    Chancery,
    /// Asks a service at this address, which verifies with the library of its own language.
    Service(String),
    /// Believes any token. A control: the checker must see what it lets in.
    Gullible,
}

#[derive(Clone, Debug)]
pub struct Kind {
    pub name: String,
    pub habit: Habit,
    /// How much of the time it keeps a set for is over when it gets its first one, so that not all of them refetch at once.
    pub phase: Duration,
    /// Outside of the contract; must be seen to break.
    pub control: bool,
}

impl Kind {
    pub fn new(name: impl Into<String>, habit: Habit) -> Self {
        Self { name: name.into(), habit, phase: Duration::ZERO, control: false }
    }

    pub fn library(name: impl Into<String>, keeps: Keeps, on_unknown: OnUnknown) -> Self {
        Self::new(name, Habit::Library { keeps, on_unknown })
    }
}

/// Everything a fleet of verifiers needs to know.
#[derive(Clone)]
pub struct World {
    pub api: Api,
    pub nodes: Vec<String>,
    pub history: Arc<History>,
    /// How far past `exp` they accept a token.
    pub leeway_s: i64,
}

/// Verifiers at work. Each takes its orders one after the other.
pub struct Fleet {
    pub kinds: Vec<Kind>,
    orders: Vec<UnboundedSender<Order>>,
    tasks: JoinSet<()>,
}

/// A token to be verified at a moment.
struct Order {
    due: i64,
    token: Arc<Token>,
}

impl Fleet {
    pub fn start(kinds: Vec<Kind>, world: &World, mut chance: impl FnMut(&str) -> Chance) -> Self {
        let (mut orders, mut tasks) = (Vec::new(), JoinSet::new());
        for (number, kind) in kinds.iter().enumerate() {
            let (send, receive) = unbounded_channel();
            orders.push(send);
            let verifier = Verifier {
                number,
                habit: kind.habit.clone(),
                phase: kind.phase,
                world: world.clone(),
                chance: chance(&kind.name),
                held: None,
                last_fetch: None,
            };
            tasks.spawn(verifier.work(receive));
        }
        Self { kinds, orders, tasks }
    }

    /// Has one of them verify a token at that moment.
    pub fn order(&self, verifier: usize, token: &Arc<Token>, due: i64) {
        // It takes orders for as long as the fleet lives.
        let _ = self.orders[verifier].send(Order { due, token: Arc::clone(token) });
    }

    pub fn order_all(&self, token: &Arc<Token>, mut due: impl FnMut() -> i64) {
        for verifier in 0..self.kinds.len() {
            self.order(verifier, token, due());
        }
    }

    /// Lets them finish what they were told.
    pub async fn finish(mut self) -> Vec<Kind> {
        self.orders.clear();
        while self.tasks.join_next().await.is_some() {}
        self.kinds
    }
}

struct Verifier {
    number: usize,
    habit: Habit,
    phase: Duration,
    world: World,
    chance: Chance,
    held: Option<Held>,
    last_fetch: Option<Instant>,
}

/// A key set in a verifier's hands.
struct Held {
    seen: usize,
    /// Its age counts from when it was asked for, as RFC 9111 has it.
    asked: Instant,
    keys: HashMap<String, DecodingKey>,
}

impl Verifier {
    async fn work(mut self, mut orders: UnboundedReceiver<Order>) {
        let mut waiting: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
        let mut tokens: HashMap<usize, Arc<Token>> = HashMap::new();
        let mut more = true;
        while more || !waiting.is_empty() {
            let due = waiting.peek().map(|Reverse((due, _))| *due);
            let wait = due.map_or(3_600_000, |due| (due - now_ms()).max(0));
            tokio::select! {
                biased;
                order = orders.recv(), if more => match order {
                    Some(order) => {
                        waiting.push(Reverse((order.due, order.token.id)));
                        tokens.insert(order.token.id, order.token);
                    }
                    None => more = false,
                },
                () = tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())) => {
                    if let Some(Reverse((_, id))) = waiting.pop()
                        && let Some(token) = tokens.get(&id)
                    {
                        let token = Arc::clone(token);
                        self.check(token).await;
                    }
                }
            }
        }
    }

    async fn check(&mut self, token: Arc<Token>) {
        let asked_at = now_ms();
        let (at, verdict) = match self.habit.clone() {
            Habit::Gullible => (now_ms(), Verdict::Accepted),
            Habit::Chancery => {
                let node = self.chance.pick(&self.world.nodes).clone();
                self.ask(&node, "/auth/me", &token.text).await
            }
            Habit::Service(address) => self.ask(&address, "/orders", &token.text).await,
            Habit::Library { keeps, on_unknown } => self.verify(&token.text, keeps, on_unknown).await,
        };
        // A library decides at one moment; who is asked over the network decides somewhere between.
        let asked_at = if matches!(self.habit, Habit::Library { .. }) { at } else { asked_at };
        let held = self.held.as_ref().map(|held| held.seen);
        let check = Check { token, verifier: self.number, asked_at, at, verdict, held };
        self.world.history.open().checks.push(check);
    }

    async fn ask(&self, address: &str, path: &str, token: &str) -> (i64, Verdict) {
        let verdict = match self.world.api.get_as(token, address, path).await {
            Ok(answer) if answer.status == 200 => Verdict::Accepted,
            Ok(answer) if answer.status == 401 => Verdict::Answered401,
            Ok(answer) => Verdict::Strange(answer.status),
            Err(_) => Verdict::Strange(0),
        };
        (now_ms(), verdict)
    }

    /// As a careful library does it: one algorithm, the key by its kid, then issuer, audience, type and times.
    async fn verify(&mut self, token: &str, keeps: Keeps, on_unknown: OnUnknown) -> (i64, Verdict) {
        let header = match decode_header(token) {
            Ok(header) if header.alg == Algorithm::RS256 && header.typ.as_deref() == Some("at+jwt") => header,
            _ => return (now_ms(), Verdict::NotOurs),
        };
        let Some(kid) = header.kid else { return (now_ms(), Verdict::NotOurs) };
        self.make_ready(&kid, keeps, on_unknown).await;
        let now = now_ms();
        let Some(held) = &self.held else { return (now, Verdict::NoKeys) };
        let Some(key) = held.keys.get(&kid) else { return (now, Verdict::UnknownKid) };
        (now, judge(token, key, now, self.world.leeway_s))
    }

    /// Fetches, if that is its habit now.
    async fn make_ready(&mut self, kid: &str, keeps: Keeps, on_unknown: OnUnknown) {
        let too_old = match (&self.held, keeps) {
            (None, _) | (_, Keeps::Nothing) => true,
            (Some(held), Keeps::For(most)) => held.asked.elapsed() >= most,
            (Some(_), Keeps::Forever) => false,
        };
        if too_old {
            self.fetch().await;
        }
        if self.held.as_ref().is_some_and(|held| held.keys.contains_key(kid)) {
            return;
        }
        let may_ask = match on_unknown {
            OnUnknown::Refetch => true,
            OnUnknown::RefetchAfter(cool_down) => self.last_fetch.is_none_or(|at| at.elapsed() >= cool_down),
            OnUnknown::Refuse => false,
        };
        if may_ask && !too_old {
            self.fetch().await;
        }
    }

    /// What cannot be fetched leaves the old set in place, as `stale-if-error` allows.
    async fn fetch(&mut self) {
        let node = self.chance.pick(&self.world.nodes).clone();
        let (mut asked, asked_at) = (Instant::now(), now_ms());
        let answer = self.world.api.jwks(&node).await.and_then(|answer| answer.expect(200));
        self.last_fetch = Some(asked);
        if self.held.is_none() {
            asked = asked.checked_sub(self.phase).unwrap_or(asked);
        }
        let mut records = self.world.history.open();
        match answer {
            Ok(set) => {
                let keys = decoding_keys(&set);
                for key in set["keys"].as_array().into_iter().flatten() {
                    let kid = key["kid"].as_str().unwrap_or_default().to_owned();
                    records.published.insert(kid, key.clone());
                }
                records.sets.push(SetSeen { node, asked_at, kids: kids(&set) });
                self.held = Some(Held { seen: records.sets.len() - 1, asked, keys });
            }
            Err(failure) => records.failed_fetches.push(format!("{node}: {failure}")),
        }
    }
}

pub fn decoding_keys(set: &Value) -> HashMap<String, DecodingKey> {
    let keys = set["keys"].as_array().into_iter().flatten();
    keys.filter_map(|key| {
        let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
        Some((key["kid"].as_str()?.to_owned(), DecodingKey::from_jwk(&jwk).ok()?))
    })
    .collect()
}

/// The times are judged here and to the millisecond: the library counts in whole seconds.
pub fn judge(token: &str, key: &DecodingKey, now_ms: i64, leeway_s: i64) -> Verdict {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "aud", "exp", "nbf", "sub"]);
    let claims = match decode::<Value>(token, key, &validation) {
        Ok(decoded) => decoded.claims,
        Err(error) => {
            return match error.kind() {
                ErrorKind::InvalidSignature => Verdict::BadSignature,
                _ => Verdict::NotOurs,
            };
        }
    };
    let (Some(exp), Some(nbf)) = (claims["exp"].as_i64(), claims["nbf"].as_i64()) else {
        return Verdict::NotOurs;
    };
    if now_ms >= (exp + leeway_s) * 1000 {
        Verdict::Expired
    } else if now_ms < (nbf - leeway_s) * 1000 {
        Verdict::NotYetValid
    } else {
        Verdict::Accepted
    }
}
