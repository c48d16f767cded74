//! Users with good clients: they register, log in, refresh, look, log out and change their password, on any node, and try
//! again when they are told to come back or hear nothing.

use std::sync::Arc;

use futures_util::future::join_all;
use uuid::Uuid;

use super::client::Client;
use super::{Graveyard, Shift};
use crate::support::journal::{Access, Ask, Gave, Refresh};
use crate::support::{ms, now_ms};

/// What a client keeps of one session.
#[derive(Clone, Debug)]
pub struct Held {
    pub access: Access,
    pub refresh: Refresh,
    /// Used up, newest last.
    pub used: Vec<Refresh>,
}

impl Held {
    pub fn new(gave: Gave) -> Self {
        Self { access: gave.access, refresh: gave.refresh, used: Vec::new() }
    }

    /// Takes the new tokens.
    pub fn advance(&mut self, gave: Gave) {
        self.access = gave.access;
        let used = std::mem::replace(&mut self.refresh, gave.refresh);
        self.used.push(used);
    }

    /// Used up twice over: no grace covers it.
    pub fn long_used(&self) -> Option<&Refresh> {
        let before_last = self.used.len().checked_sub(2)?;
        self.used.get(before_last)
    }
}

/// A user, as far as they know themselves.
pub struct Person {
    pub email: Arc<str>,
    pub id: String,
    pub password: Arc<str>,
    pub sessions: Vec<Held>,
}

pub fn new_password() -> Arc<str> {
    format!("drill-{}", Uuid::new_v4().simple()).into()
}

impl Person {
    /// Makes an account and logs in.
    pub async fn arrive(client: &mut Client, email: String) -> Option<Self> {
        let (email, password): (Arc<str>, _) = (email.into(), new_password());
        let heard = client.insist(&email, Ask::Register { password: Arc::clone(&password) }).await;
        // 409: an earlier try was carried out, and its answer lost.
        if !matches!(heard.status, 201 | 409) {
            return None;
        }
        let mut person = Self { email, id: String::new(), password, sessions: Vec::new() };
        person.log_in(client).await?;
        Some(person)
    }

    pub async fn log_in(&mut self, client: &mut Client) -> Option<()> {
        let ask = Ask::LogIn { password: Arc::clone(&self.password) };
        let heard = client.insist(&self.email, ask).await;
        heard.body["user"]["id"].as_str().unwrap_or_default().clone_into(&mut self.id);
        self.sessions.push(Held::new(heard.gave?));
        Some(())
    }

    /// Refreshes one session; in parallel now and then, and once more as if the answer had been lost. A refusal is left to
    /// the checker, and the session given up.
    pub async fn refresh(&mut self, client: &mut Client, at: usize) {
        let token = self.sessions[at].refresh.clone();
        let gave = match client.chance.below(10) {
            0 | 1 => self.refresh_in_parallel(client, &token).await,
            2 => {
                let first = client.insist(&self.email, Ask::Refresh(token.clone())).await;
                if first.gave.is_some() {
                    client.ask(&self.email, Ask::Refresh(token)).await;
                }
                first.gave
            }
            _ => client.insist(&self.email, Ask::Refresh(token)).await.gave,
        };
        match gave {
            Some(gave) => self.sessions[at].advance(gave),
            None => drop(self.sessions.remove(at)),
        }
    }

    async fn refresh_in_parallel(&self, client: &mut Client, token: &Refresh) -> Option<Gave> {
        let nodes: Vec<usize> = (0..2 + client.chance.below(4)).map(|_| client.any_node()).collect();
        let asked =
            nodes.into_iter().map(|node| client.ask_at(node, &self.email, Ask::Refresh(token.clone())));
        let heard = join_all(asked).await;
        match heard.into_iter().find_map(|heard| heard.gave) {
            Some(gave) => Some(gave),
            None => client.insist(&self.email, Ask::Refresh(token.clone())).await.gave,
        }
    }

    /// Logs out, surely: until it is done or the token is dead.
    async fn log_out(&mut self, client: &mut Client, at: usize, all: bool, graveyard: &Graveyard) {
        let access = self.sessions[at].access.clone();
        client.insist(&self.email, Ask::LogOut { access, all }).await;
        let gone: Vec<Held> =
            if all { self.sessions.drain(..).collect() } else { vec![self.sessions.remove(at)] };
        graveyard.bury(&self.email, gone);
    }

    /// Sets another password. Where the answer is lost, the old one no longer being right says that it was done.
    async fn change_password(&mut self, client: &mut Client, at: usize, graveyard: &Graveyard) {
        let (new, access) = (new_password(), self.sessions[at].access.clone());
        let ask = Ask::ChangePassword { access, old: Arc::clone(&self.password), new: Arc::clone(&new) };
        let first = client.ask(&self.email, ask.clone()).await;
        let heard = if matches!(first.status, 0 | 503) {
            client.insist(&self.email, ask).await
        } else {
            first.clone()
        };
        let is_done = match heard.status {
            204 => true,
            // The first try, of which nothing was heard, came through; or by now the token has expired, and nobody knows.
            403 | 401 if matches!(first.status, 0 | 503) => !self.is_still_right(client).await,
            _ => false,
        };
        if is_done {
            self.password = new;
            let kept = self.sessions.swap_remove(at);
            let gone = std::mem::replace(&mut self.sessions, vec![kept]);
            graveyard.bury(&self.email, gone);
        }
    }

    async fn is_still_right(&mut self, client: &mut Client) -> bool {
        self.log_in(client).await.is_some()
    }

    /// One thing that users do.
    async fn act(&mut self, client: &mut Client, graveyard: &Graveyard) {
        if self.sessions.is_empty() {
            self.log_in(client).await;
            return;
        }
        let at = client.chance.below(self.sessions.len());
        let soon = now_ms() / 1000 + 3;
        if self.sessions[at].access.exp < soon {
            return self.refresh(client, at).await;
        }
        let access = self.sessions[at].access.clone();
        match client.chance.below(100) {
            0..20 => drop(client.ask(&self.email, Ask::Me(access)).await),
            20..30 => drop(client.ask(&self.email, Ask::Sessions(access)).await),
            30..43 if self.sessions.len() < 4 => drop(self.log_in(client).await),
            43..49 => self.log_out(client, at, false, graveyard).await,
            49..51 => self.log_out(client, at, true, graveyard).await,
            51..53 => self.change_password(client, at, graveyard).await,
            _ => self.refresh(client, at).await,
        }
    }
}

/// Lives through the whole shift. Whoever they are at its end is asked once more afterwards.
pub async fn member(mut client: Client, shift: Arc<Shift>, number: usize) -> Vec<Person> {
    let mut people = Vec::new();
    let mut lives = 0;
    while !shift.is_over() {
        let email = format!("member{number}-{lives}@drill.test");
        lives += 1;
        let Some(mut person) = Person::arrive(&mut client, email).await else { continue };
        // A while later there is somebody new; the account stays.
        for _ in 0..30 + client.chance.below(60) {
            if shift.is_over() {
                break;
            }
            person.act(&mut client, &shift.graveyard).await;
            tokio::time::sleep(ms(20) + client.chance.up_to(ms(130))).await;
        }
        people.push(person);
    }
    people
}
