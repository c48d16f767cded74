//! Names of the previous release that are refused.

use std::fs;

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
const COMMANDS: [(&[&str], &str, &[&str], &str); 11] = [
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
    (&["clients", "update", "x", "--par"], "--par", &["clients", "update"], "--require-par"),
    (
        &["clients", "update", "x", "--access-token-life", "5m"],
        "--access-token-life",
        &["clients", "update"],
        "--access-token-ttl",
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

/// Tables, columns, metrics and API members that are renamed.
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
    let rows: Vec<&str> = changelog.lines().filter(|line| line.starts_with('|')).collect();
    let settings =
        SETTINGS.map(|(section, old, new, _)| (format!("{section}.{old}"), format!("{section}.{new}")));
    let others = RENAMED.iter().chain(&OTHERS).map(|(old, new)| ((*old).to_owned(), (*new).to_owned()));
    for (old, new) in settings.into_iter().chain(others) {
        let is_row = |row: &&&str| row.find(&old).is_some_and(|at| row[at + old.len()..].contains(&new));
        assert!(rows.iter().any(|row| is_row(&row)), "{old} -> {new}");
    }
    for (_, old, new, option) in COMMANDS {
        let is_row = |row: &&&str| {
            row.contains(old)
                && (row.contains(option) || row.contains(&format!("chancery {}", new.join(" "))))
        };
        assert!(rows.iter().any(|row| is_row(&row)), "{old} -> {new:?} {option}");
    }
}
