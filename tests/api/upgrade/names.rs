//! Names of the previous release that are refused.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use super::goes_on::RENAMED;
use super::support::outcome;
use crate::support::Chancery;

/// The section, the name in the previous release, the name in this one, and a value as a file has it.
const SETTINGS: [(&str, &str, &str, &str); 21] = [
    ("tokens", "access_life", "access_token_ttl", "\"5m\""),
    ("sessions", "idle_life", "idle_timeout", "\"7d\""),
    ("sessions", "absolute_life", "max_lifetime", "\"30d\""),
    ("oauth", "code_life", "code_ttl", "\"60s\""),
    ("oauth", "par_life", "par_ttl", "\"60s\""),
    ("oauth", "page_life", "login_page_ttl", "\"30m\""),
    ("oauth", "browser_session_life", "browser_session_ttl", "\"12h\""),
    ("login", "free_attempts", "attempts_before_backoff", "5"),
    ("login", "hard_stop", "lockout_threshold", "100"),
    ("login", "source_failures", "max_failures_per_network", "100"),
    ("login", "source_window", "network_failure_window", "\"15m\""),
    ("login", "source_registrations", "max_registrations_per_network", "60"),
    ("login", "registration_window", "network_registration_window", "\"1h\""),
    ("audit", "keep", "retention", "\"400d\""),
    ("audit", "keep_abundant", "max_unauthenticated_events", "100000"),
    ("keys", "poll", "refresh_interval", "\"5s\""),
    ("keys", "verifier_cache", "verifier_cache_ttl", "\"15m\""),
    ("keys", "last_good_file", "jwks_cache_file", "\"keys.json\""),
    ("passwords", "queue", "max_queued", "256"),
    ("passwords", "wait", "queue_timeout", "\"2s\""),
    ("database", "pooler", "transaction_pooling", "false"),
];

#[test]
fn a_setting_with_its_old_name_is_refused_with_the_new_name() {
    for (section, old, new, value) in SETTINGS {
        let folder = tempdir().unwrap();
        let file = folder.path().join("chancery.toml");
        fs::write(&file, format!("[{section}]\n{old} = {value}\n")).unwrap();
        let by_file = Chancery::new(folder.path()).with("CHANCERY_CONFIG", "chancery.toml");
        let variable = format!("CHANCERY_{section}__{old}").to_uppercase();
        let by_environment = Chancery::new(folder.path()).with(&variable, value.trim_matches('"'));
        for chancery in [by_file, by_environment] {
            for arguments in [&["config", "check"][..], &["serve"]] {
                let (code, message) = outcome(&chancery, arguments);
                assert_eq!(code, Some(2), "{section}.{old}: {message}");
                // The whole name: an error that lists all keys of the section does not say which one to write.
                assert!(message.contains(&format!("{section}.{new}")), "{section}.{old}: {message}");
            }
        }
        fs::write(&file, format!("[{section}]\n{new} = {value}\n")).unwrap();
        let renamed = Chancery::new(folder.path()).with("CHANCERY_CONFIG", "chancery.toml");
        let (code, message) = outcome(&renamed, &["config", "check"]);
        assert_eq!(code, Some(0), "{section}.{new}: {message}");
    }
}

/// A command with an old name, the old name, the new command, and an option or argument in its help.
const COMMANDS: [(&[&str], &str, &[&str], &str); 18] = [
    (&["fence", "--reason", "test"], "fence", &["revoke-all"], "--reason"),
    (&["clients", "create", "--name", "X", "--id", "x"], "--id", &["clients", "create"], "--client-id"),
    (
        &["clients", "create", "--name", "X", "--grant", "device_code"],
        "--grant",
        &["clients", "create"],
        "--grant-type",
    ),
    (&["clients", "create", "--name", "X", "--par"], "--par", &["clients", "create"], "--require-par"),
    (&["clients", "create", "--name", "X", "--dpop"], "--dpop", &["clients", "create"], "--require-dpop"),
    (
        &["clients", "create", "--name", "X", "--access-token-life", "5m"],
        "--access-token-life",
        &["clients", "create"],
        "--access-token-ttl",
    ),
    (
        &["clients", "update", "x", "--grant", "device_code"],
        "--grant",
        &["clients", "update"],
        "--grant-type",
    ),
    (&["clients", "update", "x", "--par"], "--par", &["clients", "update"], "--require-par"),
    (
        &["clients", "update", "x", "--access-token-life", "5m"],
        "--access-token-life",
        &["clients", "update"],
        "--access-token-ttl",
    ),
    (&["clients", "update", "x", "--no-par"], "--no-par", &["clients", "update"], "--no-require-par"),
    (&["clients", "update", "x", "--dpop"], "--dpop", &["clients", "update"], "--require-dpop"),
    (&["clients", "update", "x", "--no-dpop"], "--no-dpop", &["clients", "update"], "--no-require-dpop"),
    (
        &["clients", "update", "x", "--no-access-token-life"],
        "--no-access-token-life",
        &["clients", "update"],
        "--no-access-token-ttl",
    ),
    (
        &["keys", "import", "key.pem", "--as", "next", "--token-life", "5m"],
        "--token-life",
        &["keys", "import"],
        "--token-ttl",
    ),
    (&["users", "create", "--email", "a@x.test"], "--email", &["users", "create"], "EMAIL"),
    (&["users", "enable", "--email", "a@x.test"], "--email", &["users", "enable"], "EMAIL"),
    (&["users", "disable", "--email", "a@x.test"], "--email", &["users", "disable"], "EMAIL"),
    (&["users", "set-password", "--email", "a@x.test"], "--email", &["users", "set-password"], "EMAIL"),
];

#[test]
fn an_old_name_of_a_command_or_an_option_is_refused() {
    let folder = tempdir().unwrap();
    let chancery = Chancery::new(folder.path());
    for (old, named, new, option) in COMMANDS {
        let (code, message) = outcome(&chancery, old);
        assert_eq!(code, Some(2), "{old:?}: {message}");
        assert!(message.contains(&format!("'{named}'")), "{old:?}: {message}");
        let help = chancery.run(&[new, &["--help"]].concat(), "");
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains(option), "{new:?} has no {option}: {help}");
    }
}

/// Values of the field `event` in log lines that are no audit events.
const LOG_EVENTS: [(&str, &str); 6] = [
    ("client_not_told", "client_not_notified"),
    ("clients_not_told", "clients_not_notified"),
    ("last_good_keys_not_kept", "jwks_cache_not_written"),
    ("ledger_kept", "usage_not_written"),
    ("logout_notices_not_read", "backchannel_logouts_not_read"),
    ("slow_commit_not_mended", "slow_commit_not_repaired"),
];

#[test]
fn log_lines_have_the_new_names_only() {
    let mut code = String::new();
    read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut code);
    for (old, new) in LOG_EVENTS {
        assert!(!code.contains(&format!("\"{old}\"")), "{old}");
        assert!(code.contains(&format!("event = \"{new}\"")), "{new}");
    }
}

fn read_all(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => read_all(&path, text),
            false => text.extend(fs::read_to_string(path)),
        }
    }
}

/// Column headings of `clients list`. `cli.rs` reads the new ones from the command.
const HEADINGS: [(&str, &str); 3] =
    [("ID", "CLIENT ID"), ("PROVES ITSELF BY", "AUTH METHOD"), ("GETS TOKENS BY", "GRANT TYPES")];

/// Metrics, API members, tables and columns that are renamed.
const OTHERS: [(&str, &str); 12] = [
    ("used_tokens", "replay_guard"),
    ("source_attempts", "network_attempts"),
    ("logout_notices", "backchannel_logouts"),
    ("signing_keys_epoch", "signing_keys_version"),
    ("sessions.replays", "sessions.reuse_count"),
    ("signing_keys.sealed_private", "signing_keys.encrypted_private_key"),
    ("audit.abundant", "audit.unauthenticated"),
    ("clients.access_life_s", "clients.access_token_ttl_s"),
    ("signing_keys_epoch.epoch", "signing_keys_version.version"),
    ("chancery_signing_keys_epoch", "chancery_signing_keys_version"),
    ("by=\"source\"", "by=\"network\""),
    ("access_token_life", "access_token_ttl"),
];

/// A dashboard or a filter by an old name finds nothing and reports no error, so operators need the whole list.
#[test]
fn the_changelog_lists_every_old_and_new_name() {
    let changelog = concat!(env!("CARGO_MANIFEST_DIR"), "/CHANGELOG.md");
    let changelog = fs::read_to_string(changelog).unwrap();
    let code = |name: String| format!("`{name}`");
    let of_names = |names: &[(&str, &str)]| {
        let mut rows: Vec<Row> =
            names.iter().map(|(old, new)| (code((*old).to_owned()), code((*new).to_owned()))).collect();
        rows.sort();
        rows
    };
    let settings =
        SETTINGS.map(|(section, old, new, _)| (format!("{section}.{old}"), format!("{section}.{new}")));
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
    for (title, names) in
        [("Settings", &settings[..]), ("Audit events", &RENAMED), ("Log lines", &LOG_EVENTS)]
    {
        let mut rows = table(&changelog, title);
        rows.sort();
        assert_eq!(rows, of_names(names), "{title}");
    }
    let others: Vec<Row> =
        ["Metrics", "API members", "Tables and columns"].map(|title| table(&changelog, title)).concat();
    for (old, new) in OTHERS {
        let is_row = |(before, after): &Row| before.contains(old) && after.contains(new);
        assert!(others.iter().any(is_row), "{old} -> {new}");
    }
    let commands = table(&changelog, "Command line");
    for (_, named, new, option) in COMMANDS {
        let command = new.join(" ");
        let is_row = |(before, after): &Row| match named.starts_with("--") {
            true => names(before, &format!("{command} {named}")) && names(after, option),
            false => {
                names(before, &format!("chancery {named}")) && names(after, &format!("chancery {command}"))
            }
        };
        assert!(commands.iter().any(is_row), "{command} {named} -> {option}");
    }
    for (old, new) in HEADINGS {
        let row = (format!("`clients list`: heading `{old}`"), format!("`{new}`"));
        assert!(commands.contains(&row), "{old} -> {new}");
    }
}

/// What a table of the changelog has under `0.1.0` and under `new`.
type Row = (String, String);

/// The rows of the table under a title.
fn table(changelog: &str, title: &str) -> Vec<Row> {
    let (_, rest) = changelog.split_once(&format!("\n#### {title}\n")).expect(title);
    let section = rest.split("\n#").next().unwrap();
    let mut rows = section.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|')).map(|line| {
        let mut cells = line.rsplit('|').map(|cell| cell.trim().to_owned());
        let new = cells.next().expect(title);
        (cells.next().expect(title), new)
    });
    assert_eq!(rows.next(), Some(("0.1.0".to_owned(), "new".to_owned())), "the head of {title}");
    rows.skip(1).collect()
}

/// Whether a cell has a text as whole words: `--par` is no part of `--param`.
fn names(cell: &str, text: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '-';
    cell.match_indices(text)
        .any(|(at, _)| !cell[..at].ends_with(goes_on) && !cell[at + text.len()..].starts_with(goes_on))
}
