//! 6: no 5xx but 503 with Retry-After and only around a fault, every answer in time, the key set quick all along.

use super::Findings;
use crate::support::journal::{Ask, Entry, Pages, Reply, Window};
use crate::support::quantile;

/// What a drill promises, and what it was configured with.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub answers_within_ms: i64,
    /// After a fault nobody is sent away any more.
    pub works_again_within_ms: i64,
    pub key_set_p99_ms: u128,
    pub grace_ms: i64,
    pub leeway_s: i64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            answers_within_ms: 5000,
            works_again_within_ms: 3000,
            key_set_p99_ms: 50,
            // The default of 10 s, and a poll until a node has noticed that the database was away.
            grace_ms: 10_000 + 5000,
            leeway_s: 1,
        }
    }
}

pub fn check(pages: &Pages, bounds: &Bounds, findings: &mut Findings) {
    let mut slowest = 0;
    let (mut refused, mut lost, mut latest) = (0, 0, None);
    for entry in &pages.entries {
        let took = entry.answered_at - entry.asked_at;
        slowest = slowest.max(took);
        let told = || entry.told(pages.begun_at);
        if took > bounds.answers_within_ms {
            findings.breach(6, format!("too late: {}", told()));
        }
        match &entry.reply {
            Reply::Lost(_) => {
                lost += 1;
                if !pages.windows.iter().any(|window| may_lose(window, entry)) {
                    findings.breach(6, format!("no answer, and the node was well: {}", told()));
                }
            }
            Reply::Answered { status: 503, retry_after, .. } => {
                refused += 1;
                if !retry_after || matches!(entry.ask, Ask::KeySet) {
                    findings.breach(6, format!("503 without Retry-After, or for the key set: {}", told()));
                }
                let around = pages.windows.iter().filter(|window| may_refuse(window, entry, bounds));
                match around.map(|window| entry.asked_at - window.until).min() {
                    Some(after) => latest = latest.max(Some(after)),
                    None => findings
                        .breach(6, format!("503, and nothing was wrong{}: {}", last(pages, entry), told())),
                }
            }
            Reply::Answered { status, .. } if *status >= 500 => {
                findings.breach(6, format!("another 5xx: {}", told()));
            }
            Reply::Answered { .. } => {}
        }
    }
    key_set(pages, bounds, findings);
    let latest = latest
        .filter(|latest| *latest > 0)
        .map_or("during the fault".to_owned(), |ms| format!("{ms} ms after it"));
    findings.figures.push(format!(
        "{} requests, {refused} answered 503 (the last asked {latest}), {lost} without an answer; the slowest {slowest} ms",
        pages.entries.len()
    ));
}

/// What had been wrong before.
fn last(pages: &Pages, entry: &Entry) -> String {
    let before =
        pages.windows.iter().filter(|window| window.until < entry.asked_at).max_by_key(|window| window.until);
    before.map_or(String::new(), |window| {
        format!(" since {:?} {} ms before", window.what, entry.asked_at - window.until)
    })
}

fn may_lose(window: &Window, entry: &Entry) -> bool {
    window.loses.has(entry.node) && entry.asked_at <= window.until && entry.answered_at >= window.from
}

fn may_refuse(window: &Window, entry: &Entry, bounds: &Bounds) -> bool {
    window.refuses.has(entry.node)
        && entry.asked_at <= window.until.saturating_add(bounds.works_again_within_ms)
        && entry.answered_at >= window.from
}

/// A machine too busy to wake a timer is no fault of the server's; its own lateness is allowed on top.
fn key_set(pages: &Pages, bounds: &Bounds, findings: &mut Findings) {
    let p99 = |values: &[u128]| quantile(&mut values.to_vec(), 0.99) / 1000;
    let (took, lag) = (p99(&pages.key_set_took), p99(&pages.lag));
    if took > bounds.key_set_p99_ms + lag || pages.key_set_took.is_empty() {
        let asked = pages.key_set_took.len();
        findings.breach(
            6,
            format!("the key set took {took} ms (p99 of {asked}), this machine's timers {lag} ms"),
        );
    }
    findings.figures.push(format!(
        "key set {took} ms (p99 of {}; this machine's own lag {lag} ms)",
        pages.key_set_took.len()
    ));
}
