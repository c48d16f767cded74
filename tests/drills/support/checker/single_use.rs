//! 2: nothing single-use succeeds twice outside of the grace; within it, every answer holds the same successor.

use std::collections::{BTreeMap, HashMap};

use super::{Bounds, Findings, Story};
use crate::support::journal::{Ask, Entry, Refresh};

pub fn check(story: &Story<'_>, bounds: &Bounds, findings: &mut Findings) {
    let (mut spent, mut again) = (0, 0);
    for (sid, entries) in &story.sessions {
        let mut uses: BTreeMap<i64, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            if let (Some(token), 200) = (refresh_of(entry), entry.status()) {
                uses.entry(token.generation).or_default().push(entry);
            }
        }
        spent += uses.len();
        again += uses.values().map(|uses| uses.len() - 1).sum::<usize>();
        for (generation, answered) in &uses {
            let shown = || story.told(answered);
            if !one_successor(*generation, answered) {
                findings.breach(2, format!("session {sid}: one token had two successors:\n{}", shown()));
            }
            // When the successor had been used for certain.
            let later = uses.range(generation + 1..).flat_map(|(_, uses)| uses);
            let moved_on = later.map(|entry| entry.answered_at).min().unwrap_or(i64::MAX);
            if let Some(late) = answered.iter().find(|entry| entry.asked_at > moved_on) {
                let what = format!("session {sid}: a token was good after its successor had been used");
                findings.breach(2, format!("{what}:\n{}\n{}", shown(), late.told(story.pages.begun_at)));
            }
            if let Some(late) = beyond_grace(story, bounds, answered) {
                let what = format!("session {sid}: a used token was good after the grace");
                findings.breach(2, format!("{what}:\n{}\n{}", shown(), late.told(story.pages.begun_at)));
            }
        }
    }
    registered_once(story, findings);
    findings.figures.push(format!("{spent} refresh tokens used up, {again} answered again within the grace"));
}

fn refresh_of(entry: &Entry) -> Option<&Refresh> {
    match &entry.ask {
        Ask::Refresh(token) | Ask::Steal(token) => Some(token),
        _ => None,
    }
}

fn one_successor(generation: i64, answered: &[&Entry]) -> bool {
    let mut successors = answered.iter().filter_map(|entry| entry.gave());
    let Some(first) = successors.next() else { return true };
    first.refresh.generation == generation + 1
        && successors.all(|gave| gave.refresh.text == first.refresh.text)
}

/// The grace waits for a database that was away, so a fault in between excuses.
fn beyond_grace<'a>(story: &Story<'_>, bounds: &Bounds, answered: &[&'a Entry]) -> Option<&'a Entry> {
    let first = answered.iter().map(|entry| entry.answered_at).min()?;
    let is_late = |entry: &&&Entry| {
        let excused = story.pages.windows.iter().any(|window| {
            window.until > first && window.until.saturating_add(bounds.grace_ms) > entry.asked_at
        });
        entry.asked_at > first + bounds.grace_ms && !excused
    };
    answered.iter().find(is_late).copied()
}

/// One address has one account.
fn registered_once(story: &Story<'_>, findings: &mut Findings) {
    let mut made: HashMap<&str, usize> = HashMap::new();
    for entry in &story.pages.entries {
        if matches!(entry.ask, Ask::Register { .. }) && entry.status() == 201 {
            *made.entry(&entry.who).or_default() += 1;
        }
    }
    for (who, times) in made.into_iter().filter(|(_, times)| *times > 1) {
        findings.breach(2, format!("{who} was made {times} times"));
    }
}
