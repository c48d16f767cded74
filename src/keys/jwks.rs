use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::keys::{KeyPolicy, KeySet, SigningAlgorithm, SigningKey};

/// The JWK Set (RFC 7517 section 5) as it goes over the wire: built once per change, served from memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwksDocument {
    pub body: String,
    /// A strong validator, quotes included: a digest of the body, so all nodes give the same one.
    pub etag: String,
    /// The newest `published_at` of its keys: whoever has this document has every key published until then.
    pub published_until: DateTime<Utc>,
    /// What its keys sign with, each once, the default first.
    pub algorithms: Vec<String>,

    max_age_s: i64,
    next_change: DateTime<Utc>,
    /// Set for a while after a revocation.
    no_cache_until: Option<DateTime<Utc>>,
}

/// How long after a revocation no cache may answer without asking first.
const CAREFUL_FOR: TimeDelta = TimeDelta::hours(1);

impl JwksDocument {
    /// Every key published at `now`, the signing one first.
    pub fn build(keys: &KeySet, policy: &KeyPolicy, now: DateTime<Utc>) -> Self {
        let mut published: Vec<&SigningKey> = keys.published(now).collect();
        published.sort_by_key(|key| key.kid != keys.current().kid);
        let jwks: Vec<&serde_json::Value> = published.iter().map(|key| &key.public_jwk).collect();
        let body = json!({ "keys": jwks }).to_string();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]));
        Self {
            body,
            etag,
            published_until: published.iter().map(|key| key.published_at).max().unwrap_or(now),
            algorithms: algorithms(&published),
            max_age_s: policy.jwks_max_age.num_seconds(),
            next_change: keys.scheduled_at(policy),
            no_cache_until: keys
                .all()
                .iter()
                .filter_map(|key| key.revoked_at)
                .max()
                .map(|at| at + CAREFUL_FOR),
        }
    }

    /// The `Cache-Control` to serve it with (RFC 9111, RFC 5861). What this node cannot vouch for any more, as when it is cut
    /// off from the database, is not to be kept for longer than `at_most`.
    pub fn cache_control(&self, now: DateTime<Utc>, at_most: Option<TimeDelta>) -> String {
        if self.no_cache_until.is_some_and(|end| now < end) {
            return "no-cache".to_owned();
        }
        let at_most = at_most.map_or(i64::MAX, |at_most| at_most.num_seconds().max(1));
        format!("public, max-age={}, stale-if-error=86400", self.max_age(now).min(at_most))
    }

    /// With every key in quarantine there is nothing to serve, and an empty set would say that no token is good.
    pub fn is_empty(&self) -> bool {
        self.algorithms.is_empty()
    }

    /// Seconds a cache may keep the document: the configured longest, or less when a scheduled rotation is nearer, so
    /// caches come back soon after it.
    fn max_age(&self, now: DateTime<Utc>) -> i64 {
        let until_change = self.next_change - now;
        let is_ahead = until_change > TimeDelta::zero();
        if is_ahead { self.max_age_s.min(until_change.num_seconds()).max(1) } else { self.max_age_s }
    }
}

fn algorithms(published: &[&SigningKey]) -> Vec<String> {
    let used = |alg: &&SigningAlgorithm| published.iter().any(|key| key.alg == **alg);
    SigningAlgorithm::ALL.iter().filter(used).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::keys::Kid;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn key(kid: &str, activated_at: Option<i64>, demoted: Option<(i64, i64)>) -> SigningKey {
        SigningKey {
            kid: Kid::new(kid.to_owned()),
            alg: SigningAlgorithm::Rs256,
            public_jwk: json!({ "kid": kid }),
            longest_life: TimeDelta::zero(),
            damage: None,
            created_at: at(0),
            published_at: at(0),
            activated_at: activated_at.map(at),
            demoted_at: demoted.map(|(demoted_at, _)| at(demoted_at)),
            retires_at: demoted.map(|(_, retires_at)| at(retires_at)),
            revoked_at: None,
            imported_at: None,
        }
    }

    const POLICY: KeyPolicy = KeyPolicy {
        staleness: TimeDelta::seconds(5),
        jwks_max_age: TimeDelta::seconds(300),
        verifier_cache_ttl: TimeDelta::seconds(900),
        rotate_every: TimeDelta::seconds(10_000),
        leeway: TimeDelta::seconds(60),
    };

    #[test]
    fn the_document_holds_what_is_published_and_changes_its_tag_with_it() {
        let keys =
            vec![key("next", None, None), key("now", Some(0), None), key("old", Some(0), Some((0, 100)))];
        let set = KeySet::new(keys).unwrap();
        let before = JwksDocument::build(&set, &POLICY, at(99));
        assert_eq!(before.body, r#"{"keys":[{"kid":"now"},{"kid":"next"},{"kid":"old"}]}"#);
        let after = JwksDocument::build(&set, &POLICY, at(100));
        assert_eq!(after.body, r#"{"keys":[{"kid":"now"},{"kid":"next"}]}"#);
        assert_ne!(before.etag, after.etag);
        assert_eq!(after.etag, JwksDocument::build(&set, &POLICY, at(200)).etag);
    }

    #[test]
    fn a_set_of_damaged_keys_is_told_from_one_that_can_be_served() {
        let damaged = |key| SigningKey { damage: Some("created_at"), ..key };
        let (next, current) = (key("next", None, None), key("now", Some(0), None));
        let set = KeySet::new(vec![damaged(next.clone()), current.clone()]).unwrap();
        assert!(!JwksDocument::build(&set, &POLICY, at(0)).is_empty());
        let set = KeySet::new(vec![damaged(next), damaged(current)]).unwrap();
        assert!(JwksDocument::build(&set, &POLICY, at(0)).is_empty());
    }

    #[test]
    fn caches_come_back_when_a_rotation_is_due() {
        let set = KeySet::new(vec![key("next", None, None), key("now", Some(0), None)]).unwrap();
        let document = JwksDocument::build(&set, &POLICY, at(0));
        assert_eq!(document.max_age(at(0)), 300);
        assert_eq!(document.max_age(at(9_990)), 10);
        assert_eq!(document.max_age(at(10_001)), 300);
    }
}
