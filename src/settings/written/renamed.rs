//! Settings that a release renamed. An old name is refused with the new one, because a setting that is silently ignored
//! would fall back to its default.

use crate::settings::SettingsError;

/// Each old name and its new one, as `section.key`. 0.1.0 knows the old names.
const RENAMED: [(&str, &str); 21] = [
    ("audit.keep", "audit.retention"),
    ("audit.keep_abundant", "audit.max_unauthenticated_events"),
    ("database.pooler", "database.transaction_pooling"),
    ("keys.last_good_file", "keys.jwks_cache_file"),
    ("keys.poll", "keys.refresh_interval"),
    ("keys.verifier_cache", "keys.verifier_cache_ttl"),
    ("login.free_attempts", "login.attempts_before_backoff"),
    ("login.hard_stop", "login.lockout_threshold"),
    ("login.registration_window", "login.network_registration_window"),
    ("login.source_failures", "login.max_failures_per_network"),
    ("login.source_registrations", "login.max_registrations_per_network"),
    ("login.source_window", "login.network_failure_window"),
    ("oauth.browser_session_life", "oauth.browser_session_ttl"),
    ("oauth.code_life", "oauth.code_ttl"),
    ("oauth.page_life", "oauth.login_page_ttl"),
    ("oauth.par_life", "oauth.par_ttl"),
    ("passwords.queue", "passwords.max_queued"),
    ("passwords.wait", "passwords.queue_timeout"),
    ("sessions.absolute_life", "sessions.max_lifetime"),
    ("sessions.idle_life", "sessions.idle_timeout"),
    ("tokens.access_life", "tokens.access_token_ttl"),
];

/// Refuses settings with old names, all of them in one message.
pub(super) fn check(set: &[String]) -> Result<(), SettingsError> {
    let renamed: Vec<_> =
        RENAMED.iter().filter(|(old, _)| set.iter().any(|key| key == old)).copied().collect();
    if renamed.is_empty() { Ok(()) } else { Err(SettingsError::Renamed(renamed)) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use super::*;
    use crate::settings::Settings;
    use crate::settings::written::default_keys;

    /// An old name that is still a setting could never be set, and a new name that is no setting would mislead.
    #[test]
    fn old_names_are_no_settings_and_new_names_are() {
        let known = default_keys();
        for (old, new) in RENAMED {
            assert!(!known.iter().any(|key| key == old), "{old}");
            assert!(known.iter().any(|key| key == new), "{new}");
        }
    }

    #[test]
    fn every_old_name_is_in_the_message() {
        let environment = ["CHANCERY_TOKENS__ACCESS_LIFE", "CHANCERY_KEYS__POLL"]
            .map(|name| (name.to_owned(), "1s".to_owned()));
        let error = Settings::load(None, HashMap::from(environment)).map(|_| ()).unwrap_err().to_string();
        assert_eq!(
            error,
            "keys.poll: this setting is now called keys.refresh_interval\n\
             tokens.access_life: this setting is now called tokens.access_token_ttl"
        );
    }

    #[test]
    fn an_old_name_is_refused_with_the_new_one_in_the_environment_and_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        let refused = |file: Option<&Path>, environment: HashMap<String, String>| {
            Settings::load(file, environment).map(|_| ()).unwrap_err().to_string()
        };
        for (old, new) in RENAMED {
            let (section, key) = old.split_once('.').unwrap();
            let name = format!("CHANCERY_{}__{}", section.to_uppercase(), key.to_uppercase());
            std::fs::write(&file, format!("[{section}]\n{key} = \"1\"\n")).unwrap();
            let expected = format!("{old}: this setting is now called {new}");
            assert_eq!(refused(None, HashMap::from([(name, "1".to_owned())])), expected);
            assert_eq!(refused(Some(&file), HashMap::new()), expected);
        }
    }
}
