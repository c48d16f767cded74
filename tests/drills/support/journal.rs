//! What everyone asked of which node, and what they were told: written while a drill runs, judged afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chancery::tokens::RefreshToken;
use serde_json::Value;
use uuid::Uuid;

use super::history::part;
use super::{Failure, Outcome, now_ms};

/// An access token, and what it says.
#[derive(Clone, Debug)]
pub struct Access {
    pub text: Arc<str>,
    pub sid: Uuid,
    pub kid: String,
    pub exp: i64,
}

/// A refresh token, and what it says.
#[derive(Clone, Debug)]
pub struct Refresh {
    pub text: Arc<str>,
    pub sid: Uuid,
    pub generation: i64,
}

/// What a token response gives.
#[derive(Clone, Debug)]
pub struct Gave {
    pub access: Access,
    pub refresh: Refresh,
}

impl Gave {
    pub fn read(answer: &Value) -> Outcome<Self> {
        let text = |name: &str| {
            let text = answer[name].as_str();
            text.ok_or_else(|| Failure::new(format!("a token response without {name}")))
        };
        let (access, refresh) = (text("access_token")?, text("refresh_token")?);
        let (header, claims) = (part(access, 0)?, part(access, 1)?);
        let parsed = RefreshToken::parse(refresh).ok_or_else(|| Failure::new("a strange refresh token"))?;
        Ok(Self {
            access: Access {
                text: access.into(),
                sid: claims["sid"].as_str().unwrap_or_default().parse()?,
                kid: header["kid"].as_str().unwrap_or_default().to_owned(),
                exp: claims["exp"].as_i64().unwrap_or_default(),
            },
            refresh: Refresh { text: refresh.into(), sid: parsed.session.0, generation: parsed.generation },
        })
    }
}

/// A question.
#[derive(Clone, Debug)]
pub enum Ask {
    Register {
        password: Arc<str>,
    },
    LogIn {
        password: Arc<str>,
    },
    Refresh(Refresh),
    /// A refresh with a token that is used up and past its grace, as a thief does.
    Steal(Refresh),
    Me(Access),
    Sessions(Access),
    LogOut {
        access: Access,
        all: bool,
    },
    ChangePassword {
        access: Access,
        old: Arc<str>,
        new: Arc<str>,
    },
    /// An administrator's; `who` of the entry is the user.
    Disable {
        admin: Access,
        id: String,
    },
    Rename {
        admin: Access,
        id: String,
    },
    Keys(Access),
    Rotate(Access),
    KeySet,
}

impl Ask {
    /// The session whose token is shown.
    pub fn sid(&self) -> Option<Uuid> {
        match self {
            Self::Refresh(token) | Self::Steal(token) => Some(token.sid),
            Self::Me(access)
            | Self::Sessions(access)
            | Self::LogOut { access, .. }
            | Self::ChangePassword { access, .. } => Some(access.sid),
            _ => None,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Register { .. } => "register",
            Self::LogIn { .. } => "login",
            Self::Refresh(_) => "refresh",
            Self::Steal(_) => "stolen refresh",
            Self::Me(_) => "me",
            Self::Sessions(_) => "sessions",
            Self::LogOut { .. } => "logout",
            Self::ChangePassword { .. } => "password",
            Self::Disable { .. } => "disable",
            Self::Rename { .. } => "rename",
            Self::Keys(_) => "keys",
            Self::Rotate(_) => "rotate",
            Self::KeySet => "key set",
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub enum Reply {
    Answered {
        status: u16,
        retry_after: bool,
        gave: Option<Gave>,
    },
    /// No answer: what was asked may have been done or not.
    Lost(String),
}

/// One question with what came of it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub who: Arc<str>,
    pub node: usize,
    pub asked_at: i64,
    pub answered_at: i64,
    pub ask: Ask,
    pub reply: Reply,
}

impl Entry {
    /// 0 when no answer came.
    pub fn status(&self) -> u16 {
        match self.reply {
            Reply::Answered { status, .. } => status,
            Reply::Lost(_) => 0,
        }
    }

    pub fn is_done(&self) -> bool {
        (200..300).contains(&self.status())
    }

    /// It was carried out, or may have been. A theft does its work by being refused.
    pub fn may_be_done(&self) -> bool {
        self.is_done() || matches!(self.status(), 0 | 503) || matches!(self.ask, Ask::Steal(_))
    }

    pub fn gave(&self) -> Option<&Gave> {
        match &self.reply {
            Reply::Answered { gave, .. } => gave.as_ref(),
            Reply::Lost(_) => None,
        }
    }

    /// Long after it happened, for a reader.
    pub fn told(&self, from: i64) -> String {
        let reply = match &self.reply {
            Reply::Answered { status, .. } => status.to_string(),
            Reply::Lost(why) => format!("no answer: {why}"),
        };
        let generation = match &self.ask {
            Ask::Refresh(token) | Ask::Steal(token) => format!(" {}", token.generation),
            _ => String::new(),
        };
        let (asked, took) = (self.asked_at - from, self.answered_at - self.asked_at);
        format!(
            "{asked} ms: {}{generation} of {} at node{}, {reply} after {took} ms",
            self.ask.name(),
            self.who,
            self.node
        )
    }
}

/// A key set as one node published it.
#[derive(Clone, Debug)]
pub struct Published {
    pub node: usize,
    pub asked_at: i64,
    pub answered_at: i64,
    /// Which of the sets seen.
    pub set: usize,
}

/// Whom a fault touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nodes {
    None,
    All,
    Only(usize),
}

impl Nodes {
    pub fn has(&self, node: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(one) => *one == node,
        }
    }
}

/// A time in which something was wrong on purpose.
#[derive(Clone, Debug)]
pub struct Window {
    pub what: String,
    pub from: i64,
    pub until: i64,
    /// Nodes that may answer 503 meanwhile and for a moment after.
    pub refuses: Nodes,
    /// Nodes that may give no answer at all meanwhile.
    pub loses: Nodes,
}

/// Everything that was written down.
#[derive(Default)]
pub struct Pages {
    pub begun_at: i64,
    pub entries: Vec<Entry>,
    pub windows: Vec<Window>,
    pub fetches: Vec<Published>,
    pub sets: Vec<Value>,
    /// How many current and next keys administrators were told of.
    pub keys_told: BTreeMap<(usize, usize), usize>,
    /// Bodies of refusals, in which no secret may be.
    pub refusals: String,
    /// How long the key set took to come, in microseconds.
    pub key_set_took: Vec<u128>,
    /// How late this machine's own timers were meanwhile, in microseconds.
    pub lag: Vec<u128>,
    pub complaints: Vec<String>,
    /// From when everything was quiet, and everybody was asked once more.
    pub after_from: i64,
}

/// Shared by everyone who asks.
pub struct Journal(Mutex<Pages>);

impl Default for Journal {
    fn default() -> Self {
        Self(Mutex::new(Pages { begun_at: now_ms(), after_from: i64::MAX, ..Pages::default() }))
    }
}

impl Journal {
    pub fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn complain(&self, what: impl Into<String>) {
        self.open().complaints.push(what.into());
    }

    pub fn note_key_set(&self, set: &Value, seen: Published) {
        let mut pages = self.open();
        let known = pages.sets.iter().rposition(|known| known == set);
        let at = known.unwrap_or_else(|| {
            pages.sets.push(set.clone());
            pages.sets.len() - 1
        });
        pages.fetches.push(Published { set: at, ..seen });
    }

    /// Something goes wrong from now on, until the answer is given to [`Journal::end`].
    pub fn begin(&self, what: impl Into<String>, refuses: Nodes, loses: Nodes) -> usize {
        let mut pages = self.open();
        pages.windows.push(Window { what: what.into(), from: now_ms(), until: i64::MAX, refuses, loses });
        pages.windows.len() - 1
    }

    pub fn end(&self, window: usize) {
        self.open().windows[window].until = now_ms();
    }
}
