//! A background load with a seed: users, services, operators and thieves over all nodes, and a journal of all they heard.

mod client;
mod member;
mod staff;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use tokio::task::JoinSet;

use super::journal::{Ask, Journal};
use super::{Api, Brief, Chance, Outcome, now_ms};
use member::member;

pub use client::{Client, Heard, Roster};
pub use member::{Held, Person, new_password};

const MEMBERS: usize = 12;
/// Dead sessions that are still shown; older ones make room.
const REMEMBERED: usize = 400;

/// Sessions that have ended, with the tokens that should be worth nothing.
#[derive(Default)]
pub struct Graveyard(Mutex<VecDeque<(Arc<str>, Held)>>);

impl Graveyard {
    pub fn bury(&self, who: &Arc<str>, gone: Vec<Held>) {
        let mut graves = self.0.lock().expect("whole");
        graves.extend(gone.into_iter().map(|held| (Arc::clone(who), held)));
        let room = graves.len().saturating_sub(REMEMBERED);
        graves.drain(..room);
    }

    fn any(&self, chance: &mut Chance) -> Option<(Arc<str>, Held)> {
        let graves = self.0.lock().expect("whole");
        // An access token that has expired is dead anyway.
        let fresh = now_ms() / 1000 + 1;
        let able: Vec<&(Arc<str>, Held)> =
            graves.iter().filter(|(_, held)| held.access.exp > fresh).collect();
        (!able.is_empty()).then(|| (*chance.pick(&able)).clone())
    }
}

/// While this is not over, everybody goes on.
#[derive(Default)]
pub struct Shift {
    over: AtomicBool,
    pub graveyard: Graveyard,
}

impl Shift {
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Everyone who asks.
pub struct Load {
    pub roster: Arc<Roster>,
    pub journal: Arc<Journal>,
    shift: Arc<Shift>,
    api: Api,
    seed: u64,
    people: JoinSet<Vec<Person>>,
    others: JoinSet<()>,
    guests: Vec<Person>,
}

impl Load {
    /// The administrator must be there.
    pub fn start(brief: &Brief, api: &Api, addresses: Vec<String>) -> Self {
        let mut load = Self {
            roster: Arc::new(Roster::of(addresses)),
            journal: Arc::default(),
            shift: Arc::default(),
            api: api.clone(),
            seed: brief.seed,
            people: JoinSet::new(),
            others: JoinSet::new(),
            guests: Vec::new(),
        };
        for number in 0..MEMBERS {
            let client = load.client(&format!("member {number}"));
            load.people.spawn(member(client, Arc::clone(&load.shift), number));
        }
        load.people.spawn(staff::operator(load.client("operator"), Arc::clone(&load.shift)));
        load.people.spawn(staff::warden(load.client("warden"), Arc::clone(&load.shift)));
        load.people.spawn(staff::thief(load.client("thief"), Arc::clone(&load.shift)));
        for node in 0..load.roster.len() {
            load.others.spawn(staff::service(load.client("service"), Arc::clone(&load.shift), node));
        }
        load.others.spawn(staff::watchman(load.client("watchman"), Arc::clone(&load.shift)));
        load
    }

    /// Somebody else, with choices of their own.
    pub fn client(&self, purpose: &str) -> Client {
        Client {
            api: self.api.clone(),
            roster: Arc::clone(&self.roster),
            journal: Arc::clone(&self.journal),
            chance: Chance::new(self.seed, purpose),
        }
    }

    /// Where dead sessions of a drill's own people go, to be shown to every node.
    pub fn graveyard(&self) -> &Graveyard {
        &self.shift.graveyard
    }

    /// Somebody of a drill's own, who is asked once more at the end as everybody is.
    pub fn adopt(&mut self, person: Person) {
        self.guests.push(person);
    }

    /// Ends the shift; then, in the quiet, every session that should live is refreshed, every user logs in, and every second
    /// session is shown a token that was used up.
    pub async fn finish(mut self) -> Outcome<Arc<Journal>> {
        self.shift.over.store(true, Ordering::Relaxed);
        let mut people = std::mem::take(&mut self.guests);
        while let Some(ended) = self.people.join_next().await {
            people.extend(ended?);
        }
        while let Some(ended) = self.others.join_next().await {
            ended?;
        }
        self.journal.open().after_from = now_ms();
        let looks = people.into_iter().enumerate().map(|(number, person)| {
            let client = self.client(&format!("afterwards {number}"));
            look_again(client, person)
        });
        join_all(looks).await;
        Ok(self.journal)
    }
}

async fn look_again(mut client: Client, mut person: Person) {
    let password = Arc::clone(&person.password);
    for held in &mut person.sessions {
        let heard = client.insist(&person.email, Ask::Refresh(held.refresh.clone())).await;
        if let Some(gave) = heard.gave {
            client.ask(&person.email, Ask::Me(gave.access)).await;
        }
        if let Some(used) = held.long_used().filter(|_| client.chance.coin()) {
            client.insist(&person.email, Ask::Steal(used.clone())).await;
        }
    }
    client.insist(&person.email, Ask::LogIn { password }).await;
}
