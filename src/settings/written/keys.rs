use chrono::TimeDelta;
use secrecy::SecretString;
use serde::Deserialize;

use super::value::{DAY, List, MINUTE, SECOND, Span, YEAR, ZERO};
use crate::domain::keys::{KeyPolicy, SigningAlgorithm};
use crate::keys::{KeyPlan, MasterKeys};
use crate::settings::{KeySettings, MasterKeySource, SettingsError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenKeys {
    master_key_file: String,
    master_keys: List,
    algorithm: String,
    rsa_bits: usize,
    rotate_every: Span,
    jwks_max_age: Span,
    verifier_cache_ttl: Span,
    refresh_interval: Span,
    jwks_cache_file: String,
}

impl WrittenKeys {
    pub(super) fn policy(&self, leeway: TimeDelta) -> Result<KeyPolicy, SettingsError> {
        Ok(KeyPolicy {
            staleness: self.refresh_interval.delta("keys.refresh_interval", SECOND / 5, MINUTE)?,
            jwks_max_age: self.jwks_max_age.delta("keys.jwks_max_age", SECOND, 5 * MINUTE)?,
            verifier_cache_ttl: self.verifier_cache_ttl.delta("keys.verifier_cache_ttl", ZERO, 30 * DAY)?,
            rotate_every: self.rotate_every.delta("keys.rotate_every", SECOND, 10 * YEAR)?,
            leeway,
        })
    }

    pub(super) fn check(self, file_is_set: bool) -> Result<KeySettings, SettingsError> {
        let alg = SigningAlgorithm::parse(&self.algorithm)
            .ok_or_else(|| SettingsError::new("keys.algorithm", "must be RS256, PS256, ES256 or EdDSA"))?;
        if !matches!(self.rsa_bits, 2048 | 3072 | 4096) {
            return Err(SettingsError::new("keys.rsa_bits", "must be 2048, 3072 or 4096"));
        }
        let master = match self.master_keys.0 {
            keys if keys.is_empty() => MasterKeySource::File(self.master_key_file.into()),
            _ if file_is_set => {
                return Err(SettingsError::new(
                    "keys.master_keys",
                    "give keys.master_key_file or this, not both",
                ));
            }
            keys => {
                MasterKeys::parse(keys.iter().map(String::as_str))
                    .map_err(|error| SettingsError::new("keys.master_keys", error))?;
                MasterKeySource::Given(keys.into_iter().map(SecretString::from).collect())
            }
        };
        let jwks_cache_file = Some(self.jwks_cache_file).filter(|path| !path.is_empty()).map(Into::into);
        Ok(KeySettings { master, plan: KeyPlan { alg, rsa_bits: self.rsa_bits }, jwks_cache_file })
    }
}
