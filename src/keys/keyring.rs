use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::Jwk;

use super::jwks::JwksDocument;
use super::signer::{Signer, SignerError};
use crate::domain::keys::{KeyPolicy, KeySet, Kid, SigningAlgorithm, SigningKey};

/// One node's view of the signing keys: what signs, what verifies, and the document that says so. Immutable; when the
/// database changes a new one takes its place.
pub struct Keyring {
    set: KeySet,
    private: OpenedPrivateKeys,
    verifying: HashMap<Kid, DecodingKey>,
    faults: Vec<KeyFault>,
    jwks: Arc<JwksDocument>,
    reading: Reading,
}

/// A private key opened and parsed, and what it was opened from.
pub struct Opened {
    pub signer: Signer,
    pub ciphertext: Vec<u8>,
}

impl Opened {
    /// Whether the published key is this one's public half, under the right name and for the right algorithm.
    pub fn fits(&self, key: &SigningKey) -> bool {
        self.signer.matches(&key.public_jwk) && decoding_key(key).is_some()
    }
}

/// The private halves this node could open. The next key's is opened beforehand, so that it is known to work when its
/// time comes.
#[derive(Clone, Default)]
pub struct OpenedPrivateKeys {
    pub current: Option<Arc<Opened>>,
    pub next: Option<Arc<Opened>>,
}

/// A key in quarantine: something of it cannot be used, and the rest works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFault {
    pub kid: Kid,
    pub problem: String,
}

/// One look at the database.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// When the rows were read.
    pub at: DateTime<Utc>,
    /// Which reading it was; clocks may step back, tickets do not.
    pub ticket: u64,
    /// How often the keys had changed by then.
    pub version: i64,
}

impl Keyring {
    /// A published key whose public half is no key is a fault and not published.
    pub fn new(
        mut set: KeySet,
        private: OpenedPrivateKeys,
        mut faults: Vec<KeyFault>,
        policy: &KeyPolicy,
        reading: Reading,
    ) -> Self {
        let mut verifying = HashMap::new();
        set.quarantine(|key| match decoding_key(key) {
            _ if !key.is_published(reading.at) => None,
            Some(decoding) => {
                verifying.insert(key.kid.clone(), decoding);
                None
            }
            None => Some("public_jwk"),
        });
        faults.extend(set.all().iter().filter_map(|key| {
            let column = key.damage?;
            Some(KeyFault { kid: key.kid.clone(), problem: format!("column {column} cannot be read") })
        }));
        let jwks = Arc::new(JwksDocument::build(&set, policy, reading.at));
        Self { set, private, verifying, faults, jwks, reading }
    }

    /// What signs. Fails while the current key is in quarantine.
    pub fn signer(&self) -> Result<&Signer, SignerError> {
        let quarantined = || SignerError::Quarantined(self.set.current().kid.clone());
        self.private.current.as_ref().map(|opened| &opened.signer).ok_or_else(quarantined)
    }

    /// A private half this node has opened before.
    pub fn opened(&self, kid: &Kid) -> Option<&Arc<Opened>> {
        [&self.private.current, &self.private.next]
            .into_iter()
            .flatten()
            .find(|half| half.signer.kid() == kid)
    }

    /// The keys in quarantine and why.
    pub fn faults(&self) -> &[KeyFault] {
        &self.faults
    }

    /// Whether nothing is wrong with a key's row, public half and private half.
    pub fn is_sound(&self, kid: &Kid) -> bool {
        self.faults.iter().all(|fault| fault.kid != *kid)
    }

    pub fn set(&self) -> &KeySet {
        &self.set
    }

    pub fn jwks(&self) -> &Arc<JwksDocument> {
        &self.jwks
    }

    /// The key to verify a token of `kid` with, if it is published and not one that only signed elsewhere: no session here ever
    /// had a token under that.
    pub fn verifying(&self, kid: &str, now: DateTime<Utc>) -> Option<(SigningAlgorithm, &DecodingKey)> {
        let key = self.set.published(now).find(|key| key.kid.as_str() == kid)?;
        if !key.may_have_signed_here() {
            return None;
        }
        Some((key.alg, self.verifying.get(&key.kid)?))
    }

    /// The key that a token of `kid` was signed with, also one that has left the set since, but for one that was revoked. For
    /// what is only a hint and opens nothing.
    pub fn remembered(&self, kid: &str) -> Option<(SigningAlgorithm, DecodingKey)> {
        let key = self.set.all().iter().find(|key| key.kid.as_str() == kid)?;
        let has_signed = key.may_have_signed_here() && key.activated_at.is_some() && key.revoked_at.is_none();
        has_signed.then(|| decoding_key(key)).flatten().map(|decoding| (key.alg, decoding))
    }

    /// Whether this kid is the next key's, which has not signed yet as far as this node knows: a token under it is no good,
    /// or this node has missed a rotation.
    pub fn is_waiting(&self, kid: &str) -> bool {
        self.set.next().kid.as_str() == kid
    }

    /// When the rows behind this view were read.
    pub fn read_at(&self) -> DateTime<Utc> {
        self.reading.at
    }

    /// How often the keys had changed when they were read.
    pub fn version(&self) -> i64 {
        self.reading.version
    }

    /// Whether this reading began after the other.
    pub fn is_later_than(&self, other: &Self) -> bool {
        self.reading.ticket > other.reading.ticket
    }

    /// Whether the view is too old to sign by, or the clock has stepped back so that nobody can tell.
    pub fn is_stale(&self, policy: &KeyPolicy, now: DateTime<Utc>) -> bool {
        !(TimeDelta::zero()..=policy.staleness).contains(&(now - self.reading.at))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("current", &self.set.current().kid)
            .field("read_at", &self.reading.at)
            .finish_non_exhaustive()
    }
}

fn decoding_key(key: &SigningKey) -> Option<DecodingKey> {
    // Another key's JWK would be published twice.
    let is_its_own = key.public_jwk["kid"] == key.kid.as_str() && key.public_jwk["alg"] == key.alg.as_str();
    let jwk: Jwk = serde_json::from_value(key.public_jwk.clone()).ok().filter(|_| is_its_own)?;
    DecodingKey::from_jwk(&jwk).ok()
}
