//! 7: no secret used in the run stands in any log, dump of the database or refusal.

use std::collections::HashMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Findings;
use crate::support::journal::{Ask, Pages};

/// Enough of a secret to know it by.
const TAIL: usize = 16;

type Tail = [u8; TAIL];

/// Somewhere a secret must not be.
pub struct Searched {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Looks for the end of every secret, as it is and as a dump writes bytes. `others` are secrets from outside the journal.
pub fn search(pages: &Pages, others: &[&str], places: &[Searched], findings: &mut Findings) {
    let tails = tails(pages, others);
    let mut bytes = pages.refusals.len();
    look(&tails, "a refusal", pages.refusals.as_bytes(), findings);
    for place in places {
        look(&tails, &place.name, &place.bytes, findings);
        bytes += place.bytes.len();
    }
    if places.iter().all(|place| place.bytes.is_empty()) {
        findings.breach(7, "there was nothing to search: this check was blind");
    }
    findings.figures.push(format!(
        "{} secrets looked for in {} kB of logs, dump and refusals",
        tails.len(),
        bytes / 1024
    ));
}

fn look(tails: &HashMap<Tail, &'static str>, place: &str, bytes: &[u8], findings: &mut Findings) {
    for window in bytes.windows(TAIL) {
        let found = Tail::try_from(window).ok().and_then(|window| tails.get(&window));
        if let Some(kind) = found {
            findings.breach(7, format!("{place} holds {kind}"));
            return;
        }
    }
}

fn tails(pages: &Pages, others: &[&str]) -> HashMap<Tail, &'static str> {
    let mut tails = HashMap::new();
    for other in others {
        add(&mut tails, other, "a secret of the configuration");
    }
    for entry in &pages.entries {
        if let Some(gave) = entry.gave() {
            add(&mut tails, &gave.access.text, "an access token");
            add(&mut tails, &gave.refresh.text, "a refresh token");
            let raw =
                gave.refresh.text.strip_prefix("crt_").and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            // The part that nobody can guess, without the checksum after it.
            if let Some(mac) = raw.as_deref().and_then(|raw| raw.get(25..41)) {
                insert(&mut tails, mac, "a refresh token's MAC");
                insert(&mut tails, hex(mac).as_bytes(), "a refresh token's MAC");
            }
        }
        match &entry.ask {
            Ask::Register { password } | Ask::LogIn { password } => add(&mut tails, password, "a password"),
            Ask::ChangePassword { new, .. } => add(&mut tails, new, "a password"),
            _ => {}
        }
    }
    tails
}

fn add(tails: &mut HashMap<Tail, &'static str>, secret: &str, kind: &'static str) {
    insert(tails, secret.as_bytes(), kind);
    insert(tails, hex(secret.as_bytes()).as_bytes(), kind);
}

fn insert(tails: &mut HashMap<Tail, &'static str>, secret: &[u8], kind: &'static str) {
    let tail = secret.len().checked_sub(TAIL).and_then(|from| Tail::try_from(&secret[from..]).ok());
    if let Some(tail) = tail {
        tails.insert(tail, kind);
    }
}

/// As Postgres writes bytes in a dump.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
