//! The last good key set of a node, as it is kept over a restart: public keys only, with a MAC so that nobody who can write
//! the file can add a key to it.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::jwks::JwksDocument;
use super::master::{MasterKey, MasterKeys, Purpose};

/// The MAC of the key set that is kept over a restart.
const LAST_GOOD_KEYS: Purpose = Purpose::new("chancery/v1/last-good-keys");

#[derive(Serialize, Deserialize)]
struct Kept {
    /// The document as JSON, exactly as the MAC was made over it.
    document: String,
    /// Whose keys they are.
    issuer: String,
    master_key_id: String,
    mac: String,
}

/// The text of the file.
pub fn keep(master_keys: &MasterKeys, issuer: &str, document: &JwksDocument) -> String {
    let master = master_keys.first();
    // A document is text and times, and always serialises.
    let document = serde_json::to_string(document).unwrap_or_default();
    let mac = STANDARD.encode(hmac::sign(&key(master), &message(issuer, &document)));
    let kept = Kept { document, issuer: issuer.to_owned(), master_key_id: master.id().to_owned(), mac };
    serde_json::to_string(&kept).unwrap_or_default()
}

/// The document in the file, if a server of this issuer with one of these master keys wrote it.
pub fn recall(master_keys: &MasterKeys, issuer: &str, text: &str) -> Option<JwksDocument> {
    let kept: Kept = serde_json::from_str(text).ok()?;
    let master = master_keys.by_id(&kept.master_key_id)?;
    let mac = STANDARD.decode(&kept.mac).ok()?;
    hmac::verify(&key(master), &message(issuer, &kept.document), &mac).ok()?;
    serde_json::from_str(&kept.document).ok()
}

fn key(master: &MasterKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &*master.derive(LAST_GOOD_KEYS, b""))
}

/// An issuer has no line break, so the parts cannot run together.
fn message(issuer: &str, document: &str) -> Vec<u8> {
    [issuer, document].join("\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::keys::{KeyPolicy, KeySet, Kid, SigningAlgorithm, SigningKey};
    use chrono::{DateTime, TimeDelta};

    fn document() -> JwksDocument {
        let policy = KeyPolicy {
            staleness: TimeDelta::seconds(5),
            jwks_max_age: TimeDelta::seconds(300),
            verifier_cache_ttl: TimeDelta::seconds(900),
            rotate_every: TimeDelta::days(30),
            leeway: TimeDelta::seconds(60),
        };
        let epoch = DateTime::UNIX_EPOCH;
        let key = |kid: &str, activated_at| SigningKey {
            kid: Kid::new(kid.to_owned()),
            alg: SigningAlgorithm::Rs256,
            public_jwk: serde_json::json!({ "kid": kid }),
            longest_life: TimeDelta::zero(),
            damage: None,
            created_at: epoch,
            published_at: epoch,
            activated_at,
            demoted_at: None,
            retires_at: None,
            revoked_at: None,
            imported_at: None,
        };
        JwksDocument::build(
            &KeySet::new(vec![key("a", Some(epoch)), key("b", None)]).unwrap(),
            &policy,
            epoch,
        )
    }

    #[test]
    fn what_was_kept_comes_back_to_the_same_issuer_and_master_key_only() {
        let master_keys = MasterKeys::single(MasterKey::generate().unwrap());
        let text = keep(&master_keys, "https://a.test", &document());
        let back = recall(&master_keys, "https://a.test", &text).unwrap();
        assert_eq!((&back.body, &back.etag), (&document().body, &document().etag));
        assert!(recall(&master_keys, "https://b.test", &text).is_none());
        let others = MasterKeys::single(MasterKey::generate().unwrap());
        assert!(recall(&others, "https://a.test", &text).is_none());
    }

    #[test]
    fn a_key_cannot_be_slipped_in() {
        let master_keys = MasterKeys::single(MasterKey::generate().unwrap());
        let text = keep(&master_keys, "https://a.test", &document());
        let forged = text.replace(r#"{\\\"kid\\\":\\\"b\\\"}"#, r#"{\\\"kid\\\":\\\"c\\\"}"#);
        assert_ne!(forged, text);
        assert!(recall(&master_keys, "https://a.test", &forged).is_none());
        assert!(recall(&master_keys, "https://a.test", "").is_none());
    }
}
