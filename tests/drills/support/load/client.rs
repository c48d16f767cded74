use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::journal::{Ask, Entry, Gave, Journal, Published, Reply};
use crate::support::{Answer, Api, Chance, Outcome, ms, now_ms};

/// Who has no answer by then gives up, and says so.
const GIVES_UP_AFTER: Duration = Duration::from_secs(90);

/// The nodes as a balancer knows them.
#[derive(Default)]
pub struct Roster(RwLock<Vec<Place>>);

#[derive(Clone)]
struct Place {
    address: String,
    is_in: bool,
}

impl Roster {
    pub fn of(addresses: Vec<String>) -> Self {
        let places = addresses.into_iter().map(|address| Place { address, is_in: true });
        Self(RwLock::new(places.collect()))
    }

    pub fn len(&self) -> usize {
        self.0.read().expect("whole").len()
    }

    pub fn address(&self, node: usize) -> String {
        self.0.read().expect("whole")[node].address.clone()
    }

    /// A node has come back, at this address.
    pub fn replace(&self, node: usize, address: &str) {
        self.0.write().expect("whole")[node] = Place { address: address.to_owned(), is_in: true };
    }

    /// A node that only those ask who name it.
    pub fn add_out(&self, address: &str) -> usize {
        let mut places = self.0.write().expect("whole");
        places.push(Place { address: address.to_owned(), is_in: false });
        places.len() - 1
    }

    /// A node says it is not ready; nobody is sent there any more.
    pub fn take_out(&self, node: usize) {
        self.0.write().expect("whole")[node].is_in = false;
    }

    pub fn is_in(&self, node: usize) -> bool {
        self.0.read().expect("whole")[node].is_in
    }

    fn pick(&self, chance: &mut Chance) -> usize {
        let places = self.0.read().expect("whole");
        let able: Vec<usize> = (0..places.len()).filter(|at| places[*at].is_in).collect();
        *chance.pick(&able)
    }
}

/// What an answer means to whoever asked.
#[derive(Clone, Debug)]
pub struct Heard {
    /// 0 when no answer came.
    pub status: u16,
    pub gave: Option<Gave>,
    pub body: Value,
}

/// Somebody who asks, and writes everything down. Tokens and passwords go nowhere but into the journal.
pub struct Client {
    pub api: Api,
    pub roster: Arc<Roster>,
    pub journal: Arc<Journal>,
    pub chance: Chance,
}

impl Client {
    /// Asks any node, once.
    pub async fn ask(&mut self, who: &Arc<str>, ask: Ask) -> Heard {
        let node = self.roster.pick(&mut self.chance);
        self.ask_at(node, who, ask).await
    }

    pub fn any_node(&mut self) -> usize {
        self.roster.pick(&mut self.chance)
    }

    /// Asks any node until one answers and not with "come back later".
    pub async fn insist(&mut self, who: &Arc<str>, ask: Ask) -> Heard {
        let begun = Instant::now();
        loop {
            let heard = self.ask(who, ask.clone()).await;
            if !matches!(heard.status, 0 | 503) {
                return heard;
            }
            if begun.elapsed() > GIVES_UP_AFTER {
                self.journal
                    .complain(format!("{who} had no answer to {} for {GIVES_UP_AFTER:?}", ask.name()));
                return heard;
            }
            tokio::time::sleep(ms(50) + self.chance.up_to(ms(250))).await;
        }
    }

    pub async fn ask_at(&self, node: usize, who: &Arc<str>, ask: Ask) -> Heard {
        let base = self.roster.address(node);
        let asked_at = now_ms();
        let outcome = self.send(&base, who, &ask).await;
        let answered_at = now_ms();
        let (heard, reply) = match outcome {
            Ok(answer) => self.read(node, asked_at, answered_at, &ask, answer),
            Err(failure) => {
                (Heard { status: 0, gave: None, body: Value::Null }, Reply::Lost(failure.to_string()))
            }
        };
        let entry = Entry { who: Arc::clone(who), node, asked_at, answered_at, ask, reply };
        self.journal.open().entries.push(entry);
        heard
    }

    async fn send(&self, base: &str, who: &str, ask: &Ask) -> Outcome<Answer> {
        let post = async |path: &str, body: Value| self.api.post(base, path, body).await;
        match ask {
            Ask::Register { password } => {
                post("/auth/register", json!({ "email": who, "password": **password })).await
            }
            Ask::LogIn { password } => {
                post("/auth/login", json!({ "email": who, "password": **password })).await
            }
            Ask::Refresh(token) | Ask::Steal(token) => self.api.refresh(base, &token.text).await,
            Ask::Me(access) => self.api.get_as(&access.text, base, "/auth/me").await,
            Ask::Sessions(access) => self.api.get_as(&access.text, base, "/auth/sessions").await,
            Ask::LogOut { access, all } => {
                self.api.post_as(&access.text, base, "/auth/logout", json!({ "all": all })).await
            }
            Ask::ChangePassword { access, old, new } => {
                let body = json!({ "current_password": **old, "new_password": **new });
                self.api.post_as(&access.text, base, "/auth/password", body).await
            }
            Ask::Disable { admin, id } => self.patch(base, admin, id, json!({ "status": "disabled" })).await,
            Ask::Rename { admin, id } => self.patch(base, admin, id, json!({ "name": "Renamed" })).await,
            Ask::Keys(access) => self.api.get_as(&access.text, base, "/admin/keys").await,
            Ask::Rotate(access) => {
                self.api.post_as(&access.text, base, "/admin/keys/rotate", json!({})).await
            }
            Ask::KeySet => self.api.jwks(base).await,
        }
    }

    async fn patch(
        &self,
        base: &str,
        admin: &crate::support::journal::Access,
        id: &str,
        body: Value,
    ) -> Outcome<Answer> {
        let path = format!("/admin/users/{id}");
        self.api.call(Method::PATCH, base, &path, Some(&admin.text), Some(&body)).await
    }

    fn read(
        &self,
        node: usize,
        asked_at: i64,
        answered_at: i64,
        ask: &Ask,
        answer: Answer,
    ) -> (Heard, Reply) {
        let body = answer.json();
        let gives =
            answer.status == 200 && matches!(ask, Ask::LogIn { .. } | Ask::Refresh(_) | Ask::Steal(_));
        let gave = gives.then(|| Gave::read(&body)).transpose().unwrap_or_else(|failure| {
            self.journal.complain(format!("{} was answered 200: {failure}", ask.name()));
            None
        });
        match ask {
            Ask::KeySet if answer.status == 200 => {
                self.journal.note_key_set(&body, Published { node, asked_at, answered_at, set: 0 });
                self.journal.open().key_set_took.push(answer.took.as_micros());
            }
            Ask::Keys(_) if answer.status == 200 => {
                let count = |status: &str| {
                    let keys = body["keys"].as_array().into_iter().flatten();
                    keys.filter(|key| key["status"] == status).count()
                };
                *self.journal.open().keys_told.entry((count("current"), count("next"))).or_default() += 1;
            }
            _ if answer.status >= 400 => {
                self.journal.open().refusals += &format!("{}\n", answer.text);
            }
            _ => {}
        }
        let reply = Reply::Answered {
            status: answer.status,
            retry_after: answer.retry_after.is_some(),
            gave: gave.clone(),
        };
        (Heard { status: answer.status, gave, body }, reply)
    }
}
