//! The published keys as a picture: who signs now, who next, when each leaves.
//!
//! The axis goes from event to event and not by the hour: a key signs for weeks and leaves within minutes, and both must be
//! seen.

use chrono::{DateTime, TimeDelta, Utc};

use crate::views::{KeyListView, KeyView};

/// Columns from one event to the next.
const STEP: usize = 9;
/// Keys drawn: next, current and the newest previous ones.
const DRAWN: usize = 5;
/// Columns before the axis: status and the beginning of the kid.
const MARGIN: usize = 18;

const PUBLISHED: char = '\u{2591}';
const SIGNS: char = '\u{2588}';
const VERIFIES: char = '\u{2592}';

/// Draws the published keys of the list at `now`.
pub fn draw(list: &KeyListView, now: DateTime<Utc>) -> String {
    let is_shown = |key: &&KeyView| matches!(key.status.as_str(), "next" | "current" | "previous");
    let mut keys: Vec<&KeyView> = list.keys.iter().filter(is_shown).collect();
    let left_out = keys.len().saturating_sub(DRAWN);
    keys.truncate(DRAWN);

    let events = events(&keys, list.next_rotation_at, now);
    let mut picture = axis(&events, now);
    for key in keys {
        let kid: String = key.kid.chars().take(6).collect();
        picture += &format!("{:<8}  {kid:<6}  ", key.status);
        picture += &bar(key, &events, list.next_rotation_at, now);
        picture += &format!(" {}\n", outlook(key, list.next_rotation_at, now));
    }
    if left_out > 0 {
        picture += &format!("and {left_out} more previous keys\n");
    }
    picture += &format!(
        "\n{PUBLISHED} published, does not sign   {SIGNS} signs   {VERIFIES} verifies only   \u{2502} now\n"
    );
    picture
}

/// Every moment at which something changes, in order, those that read alike once.
fn events(keys: &[&KeyView], next_rotation_at: DateTime<Utc>, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let of_key = |key: &&KeyView| {
        let eligible_at = (key.status == "next").then_some(key.eligible_at);
        [Some(key.published_at), key.activated_at, key.demoted_at, key.retires_at, eligible_at]
    };
    let mut events: Vec<DateTime<Utc>> = keys.iter().flat_map(of_key).flatten().collect();
    events.extend([now, next_rotation_at]);
    events.sort_unstable();
    events.dedup_by(|later, earlier| {
        let alike = distance(*later, now) == distance(*earlier, now);
        // The present must not vanish into its neighbour.
        if alike && *later == now {
            *earlier = now;
        }
        alike
    });
    events
}

/// The line of labels, each above the place where its moment is.
fn axis(events: &[DateTime<Utc>], now: DateTime<Utc>) -> String {
    let mut line = " ".repeat(MARGIN);
    for (at, event) in events.iter().enumerate() {
        let place = MARGIN + at * STEP;
        let room = place.saturating_sub(line.chars().count());
        line += &" ".repeat(room);
        line += &format!("{:<width$}", distance(*event, now), width = STEP);
    }
    line.trim_end().to_owned() + "\n"
}

/// What a key is from event to event, and after the last.
fn bar(
    key: &KeyView,
    events: &[DateTime<Utc>],
    next_rotation_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> String {
    let mut bar = String::new();
    for from in events {
        let fill = state(key, *from, next_rotation_at);
        bar.push(if *from == now { '\u{2502}' } else { fill });
        bar.extend(std::iter::repeat_n(fill, STEP - 1));
    }
    bar
}

/// What a key is, or by the schedule will be, from a moment on.
fn state(key: &KeyView, at: DateTime<Utc>, next_rotation_at: DateTime<Utc>) -> char {
    let is_past = |time: Option<DateTime<Utc>>| time.is_some_and(|time| time <= at);
    let (activated_at, demoted_at) = match key.status.as_str() {
        "next" => (Some(next_rotation_at), None),
        "current" => (key.activated_at, Some(next_rotation_at)),
        _ => (key.activated_at, key.demoted_at),
    };
    match () {
        () if at < key.published_at || is_past(key.retires_at) => ' ',
        () if is_past(demoted_at) => VERIFIES,
        () if is_past(activated_at) => SIGNS,
        () => PUBLISHED,
    }
}

/// What comes next for a key.
fn outlook(key: &KeyView, next_rotation_at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match key.status.as_str() {
        "next" if key.eligible_at > now => format!("may sign in {}", span(key.eligible_at - now)),
        "next" => "may sign now".to_owned(),
        "current" => format!("signs for {} more", span(next_rotation_at - now)),
        _ => key.retires_at.map(|at| format!("leaves in {}", span(at - now))).unwrap_or_default(),
    }
}

fn distance(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match at - now {
        apart if apart.abs() < TimeDelta::seconds(1) => "now".to_owned(),
        apart if apart < TimeDelta::zero() => format!("-{}", span(-apart)),
        apart => format!("+{}", span(apart)),
    }
}

/// A length of time in its two largest units.
fn span(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (1.., 0, _) => format!("{days}d"),
        (1.., ..) => format!("{days}d {hours}h"),
        (_, 1.., 0) => format!("{hours}h"),
        (_, 1.., _) => format!("{hours}h {minutes}m"),
        (_, _, 1..) => format!("{minutes}m"),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn key(status: &str, published: i64, activated: Option<i64>, demoted: Option<(i64, i64)>) -> KeyView {
        KeyView {
            kid: format!("{status}-and-so-on"),
            alg: "RS256".to_owned(),
            status: status.to_owned(),
            created_at: at(published),
            published_at: at(published),
            eligible_at: at(published + 20),
            activated_at: activated.map(at),
            demoted_at: demoted.map(|(demoted_at, _)| at(demoted_at)),
            retires_at: demoted.map(|(_, retires_at)| at(retires_at)),
            revoked_at: None,
            propagation: None,
            problem: None,
        }
    }

    #[test]
    fn the_picture_shows_who_signs_who_is_next_and_who_leaves() {
        let day = 24 * 60;
        let keys = vec![
            key("next", 30 * day, None, None),
            key("current", 0, Some(30 * day), None),
            key("previous", 0, Some(0), Some((30 * day, 30 * day + 11))),
            key("retired", 0, Some(0), Some((1, 2))),
        ];
        let list = KeyListView { keys, next_rotation_at: at(60 * day) };
        let expected = "                  -30d     -5m      now      +6m      +15m     +29d 23h
next      next-a           ░░░░░░░░░│░░░░░░░░░░░░░░░░░░░░░░░░░░█████████ may sign in 15m
current   curren  ░░░░░░░░░█████████│██████████████████████████▒▒▒▒▒▒▒▒▒ signs for 29d 23h more
previous  previo  █████████▒▒▒▒▒▒▒▒▒│▒▒▒▒▒▒▒▒                            leaves in 6m

░ published, does not sign   █ signs   ▒ verifies only   │ now
";
        let drawn = draw(&list, at(30 * day + 5));
        assert_eq!(drawn, expected, "\n{drawn}");
    }
}
