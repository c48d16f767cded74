use serde::Deserialize;

use super::value::{MILLISECOND, MINUTE, Span, or_cores};
use crate::passwords::{HashCost, HasherOptions};
use crate::settings::{PasswordSettings, SettingsError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenPasswords {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
    min_length: usize,
    threads: usize,
    max_queued: usize,
    queue_timeout: Span,
}

impl WrittenPasswords {
    pub(super) fn check(self) -> Result<PasswordSettings, SettingsError> {
        let cost = HashCost::new(self.memory_kib, self.iterations, self.parallelism)
            .map_err(|error| SettingsError::new("passwords.memory_kib, iterations, parallelism", error))?;
        if !(8..=64).contains(&self.min_length) {
            return Err(SettingsError::new("passwords.min_length", "must be between 8 and 64"));
        }
        if !(1..=100_000).contains(&self.max_queued) {
            return Err(SettingsError::new("passwords.max_queued", "must be between 1 and 100000"));
        }
        let hasher = HasherOptions {
            cost,
            threads: or_cores(self.threads, "passwords.threads", 256)?,
            max_queued: self.max_queued,
            queue_timeout: self.queue_timeout.within("passwords.queue_timeout", MILLISECOND, MINUTE)?,
        };
        Ok(PasswordSettings { hasher, min_length: self.min_length })
    }
}
