//! The seven things that must always hold (design, section 8), over a journal. Each file looks at some of them, and tells every
//! breach with the entries that show it.

mod answers;
mod dead;
mod durable;
mod keys;
mod secrets;
mod single_use;

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::journal::{Ask, Entry, Pages};
use super::{Failure, Outcome};

pub use answers::Bounds;
pub use secrets::{Searched, hex, search};

/// Breaches of one invariant that are told; the others are counted.
const TOLD: usize = 4;

/// What was found, and how much there was to find it in: a check that looked at nothing shows nothing.
#[derive(Default)]
pub struct Findings {
    breaches: Vec<(u8, String)>,
    pub figures: Vec<String>,
}

impl Findings {
    fn breach(&mut self, invariant: u8, what: impl Into<String>) {
        self.breaches.push((invariant, what.into()));
    }

    /// Which of the seven were broken.
    pub fn broken(&self) -> Vec<u8> {
        let mut broken: Vec<u8> = self.breaches.iter().map(|(invariant, _)| *invariant).collect();
        broken.sort_unstable();
        broken.dedup();
        broken
    }

    pub fn verdict(&self) -> Outcome {
        if self.breaches.is_empty() {
            return Ok(());
        }
        let mut told = String::new();
        for invariant in self.broken() {
            let all: Vec<&String> =
                self.breaches.iter().filter(|(of, _)| *of == invariant).map(|(_, what)| what).collect();
            told += &format!("\n  invariant {invariant} broken {} times:", all.len());
            for what in all.iter().take(TOLD) {
                told += &format!("\n    {}", what.replace('\n', "\n      "));
            }
        }
        Err(Failure::new(told))
    }
}

/// A journal in the orders that the checks want it in.
pub struct Story<'a> {
    pub pages: &'a Pages,
    /// By session: everything that showed a token of it, in the order of asking.
    pub sessions: HashMap<Uuid, Vec<&'a Entry>>,
    /// By user, likewise.
    pub users: HashMap<Arc<str>, Vec<&'a Entry>>,
    /// Whose session it is, and the entry that began it.
    pub births: HashMap<Uuid, &'a Entry>,
}

impl<'a> Story<'a> {
    pub fn of(pages: &'a Pages) -> Self {
        let mut entries: Vec<&Entry> = pages.entries.iter().collect();
        entries.sort_by_key(|entry| entry.asked_at);
        let mut story =
            Self { pages, sessions: HashMap::new(), users: HashMap::new(), births: HashMap::new() };
        for entry in entries {
            if let Some(sid) = entry.ask.sid() {
                story.sessions.entry(sid).or_default().push(entry);
            }
            story.users.entry(Arc::clone(&entry.who)).or_default().push(entry);
            if let (Ask::LogIn { .. }, Some(gave)) = (&entry.ask, entry.gave()) {
                story.births.insert(gave.refresh.sid, entry);
            }
        }
        story
    }

    fn of_user(&self, who: &str) -> &[&'a Entry] {
        self.users.get(who).map_or(&[], Vec::as_slice)
    }

    /// What ends this session, by whomever it was asked.
    fn enders(&self, sid: Uuid) -> impl Iterator<Item = &'a Entry> {
        let who = self.births.get(&sid).map(|birth| &*birth.who).unwrap_or_default();
        let born_at = self.births.get(&sid).map_or(0, |birth| birth.asked_at);
        self.of_user(who).iter().copied().filter(move |entry| match &entry.ask {
            Ask::LogOut { access, all } => access.sid == sid || (*all && entry.answered_at >= born_at),
            Ask::ChangePassword { access, .. } => access.sid != sid && entry.answered_at >= born_at,
            Ask::Steal(token) => token.sid == sid,
            Ask::Disable { .. } => true,
            _ => false,
        })
    }

    /// A few entries around the last of them, as a reader wants them.
    fn told(&self, entries: &[&Entry]) -> String {
        let last = entries.len().saturating_sub(8);
        let lines: Vec<String> =
            entries[last..].iter().map(|entry| entry.told(self.pages.begun_at)).collect();
        lines.join("\n")
    }
}

/// Everything that can be told from the journal alone.
pub fn check(pages: &Pages, bounds: &Bounds) -> Findings {
    let story = Story::of(pages);
    let mut findings = Findings::default();
    for complaint in &pages.complaints {
        findings.breach(1, complaint.clone());
    }
    durable::check(&story, &mut findings);
    single_use::check(&story, bounds, &mut findings);
    dead::check(&story, &mut findings);
    keys::check(pages, bounds, &mut findings);
    answers::check(pages, bounds, &mut findings);
    findings
}
