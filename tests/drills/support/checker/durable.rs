//! 1: what was answered with 200 is durable. Every session lives until something ends it, every account is there, and its
//! password is the one last set.

use std::sync::Arc;

use uuid::Uuid;

use super::{Findings, Story};
use crate::support::journal::{Ask, Entry};

pub fn check(story: &Story<'_>, findings: &mut Findings) {
    let (mut lived, mut ended) = (0, 0);
    // Nobody looks for a session that begins at the very end.
    let looked_for = story.births.iter().filter(|(_, birth)| birth.asked_at < story.pages.after_from);
    for (sid, birth) in looked_for {
        match survives(story, *sid, birth, findings) {
            true => lived += 1,
            false => ended += 1,
        }
    }
    let mut users = 0;
    for who in story.users.keys() {
        users += usize::from(can_log_in(story, who, findings));
    }
    findings.figures.push(format!(
        "{lived} sessions and {users} accounts all there at the end, {ended} sessions ended before"
    ));
}

/// Its newest token works at the end, and nothing that was good was refused on the way.
fn survives(story: &Story<'_>, sid: Uuid, birth: &Entry, findings: &mut Findings) -> bool {
    let entries = story.sessions.get(&sid).map_or(&[][..], Vec::as_slice);
    let ended_from = story.enders(sid).filter(|ender| ender.may_be_done()).map(|ender| ender.asked_at).min();
    let ended_from = ended_from.unwrap_or(i64::MAX);
    for (at, entry) in entries.iter().enumerate() {
        if entry.status() != 401 || entry.answered_at >= ended_from || has_expired(entry) {
            continue;
        }
        let shown = story.told(&entries[..=at]);
        findings.breach(
            1,
            format!("{} refused, and nothing had ended the session {sid}:\n{shown}", entry.ask.name()),
        );
        return true;
    }
    if ended_from != i64::MAX {
        return false;
    }
    let last = entries.iter().rfind(|entry| matches!(entry.ask, Ask::Refresh(_)));
    let is_there =
        last.is_some_and(|entry| entry.asked_at >= story.pages.after_from && entry.status() == 200);
    if !is_there {
        let shown = story.told(entries);
        findings.breach(1, format!("session {sid} of {} was not there at the end:\n{shown}", birth.who));
    }
    true
}

fn has_expired(entry: &Entry) -> bool {
    match &entry.ask {
        Ask::Me(access)
        | Ask::Sessions(access)
        | Ask::LogOut { access, .. }
        | Ask::ChangePassword { access, .. } => entry.answered_at >= access.exp * 1000 - 1000,
        _ => false,
    }
}

/// `false` for whom nobody ever made, or an administrator disabled.
fn can_log_in(story: &Story<'_>, who: &Arc<str>, findings: &mut Findings) -> bool {
    let entries = story.of_user(who);
    let is_made =
        entries.iter().any(|entry| matches!(entry.ask, Ask::Register { .. }) && entry.status() == 201);
    let is_disabled =
        entries.iter().any(|entry| matches!(entry.ask, Ask::Disable { .. }) && entry.may_be_done());
    if !is_made || is_disabled {
        return false;
    }
    let mut logins = entries.iter().filter_map(|entry| match &entry.ask {
        Ask::LogIn { password } => Some((entry, password)),
        _ => None,
    });
    let last = logins.rfind(|(entry, _)| entry.asked_at >= story.pages.after_from);
    let Some((_, password)) = last.filter(|(entry, _)| entry.status() == 200) else {
        findings.breach(1, format!("{who} was made, and cannot log in:\n{}", story.told(entries)));
        return true;
    };
    let mut changes = entries.iter().filter_map(|entry| match &entry.ask {
        Ask::ChangePassword { new, .. } if entry.may_be_done() => Some((entry, new)),
        _ => None,
    });
    // Only what was answered is certain, and only if nothing was asked after it.
    if let Some((entry, new)) = changes.next_back()
        && entry.status() == 204
        && new != password
    {
        findings.breach(1, format!("{who} logged in with another password than the one last set"));
    }
    true
}
