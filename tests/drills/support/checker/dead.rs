//! 3: nothing revoked, logged out or disabled is accepted more than 5 s later, on any node.

use super::{Findings, Story};
use crate::support::journal::Ask;

/// What is dead may be taken for alive for this long.
const DEAD_WITHIN_MS: i64 = 5000;

pub fn check(story: &Story<'_>, findings: &mut Findings) {
    let (mut shown, mut longest) = (0, 0);
    for (sid, entries) in &story.sessions {
        let ended_at = story.enders(*sid).filter(|ender| ender.is_done()).map(|ender| ender.answered_at);
        // A theft is refused, and that ends the session.
        let stolen =
            story.enders(*sid).filter(|ender| matches!(ender.ask, Ask::Steal(_)) && ender.status() == 401);
        let Some(dead_at) = ended_at.chain(stolen.map(|ender| ender.answered_at)).min() else { continue };
        for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.asked_at > dead_at) {
            let late = entry.asked_at - dead_at;
            shown += usize::from(late > DEAD_WITHIN_MS);
            if !entry.is_done() {
                continue;
            }
            longest = longest.max(late);
            if late > DEAD_WITHIN_MS {
                let lines = story.told(&entries[..=at]);
                findings.breach(3, format!("session {sid} was accepted {late} ms after its end:\n{lines}"));
                break;
            }
        }
    }
    let refused = logins(story, findings);
    if shown == 0 {
        findings.breach(3, "nobody showed anything that had been dead for 5 s: this check was blind");
    }
    findings.figures.push(format!(
        "dead tokens shown {shown} times later than 5 s, the last accepted after {longest} ms; {refused} logins of disabled users refused"
    ));
}

/// A disabled user logs in no more, and nobody by a password that was replaced.
fn logins(story: &Story<'_>, findings: &mut Findings) -> usize {
    let mut refused = 0;
    for (who, entries) in &story.users {
        let disabled_at = entries
            .iter()
            .filter(|entry| matches!(entry.ask, Ask::Disable { .. }) && entry.status() == 200)
            .map(|entry| entry.answered_at)
            .min();
        for entry in entries {
            let Ask::LogIn { password } = &entry.ask else { continue };
            if disabled_at.is_some_and(|at| entry.asked_at > at) {
                refused += usize::from(entry.status() == 401);
            }
            if entry.status() != 200 {
                continue;
            }
            if disabled_at.is_some_and(|at| entry.asked_at > at + DEAD_WITHIN_MS) {
                findings.breach(3, format!("{who} is disabled, and logged in"));
            }
            let replaced_at = entries
                .iter()
                .filter(|change| matches!(&change.ask, Ask::ChangePassword { old, .. } if old == password))
                .filter(|change| change.status() == 204)
                .map(|change| change.answered_at)
                .min();
            if replaced_at.is_some_and(|at| entry.asked_at > at + DEAD_WITHIN_MS) {
                findings.breach(3, format!("{who} logged in by a password that had been replaced"));
            }
        }
    }
    refused
}
