use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::Jwk;

use super::jwks::JwksDocument;
use super::signer::Signer;
use crate::domain::{KeyPolicy, KeySet, Kid, SigningAlgorithm};

/// One node's view of the signing keys: what signs, what verifies, and the document that says so. Immutable; when the
/// database changes a new one takes its place.
pub struct Keyring {
    set: KeySet,
    signer: Arc<Signer>,
    verifying: HashMap<Kid, DecodingKey>,
    jwks: JwksDocument,
    /// When the rows behind it were read.
    read_at: DateTime<Utc>,
    /// Which reading it was; clocks may step back, tickets do not.
    ticket: u64,
}

/// Why stored keys make no keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error("the public half of signing key {0} cannot be read")]
    BadPublicKey(Kid),
    #[error("the signer is not the current key")]
    WrongSigner,
}

impl Keyring {
    /// `signer` must be the set's current key.
    pub fn new(
        set: KeySet,
        signer: Arc<Signer>,
        policy: &KeyPolicy,
        read_at: DateTime<Utc>,
        ticket: u64,
    ) -> Result<Self, KeyringError> {
        if signer.kid() != &set.current().kid {
            return Err(KeyringError::WrongSigner);
        }
        let verifying = set
            .published(read_at)
            .map(|key| {
                let bad = |_| KeyringError::BadPublicKey(key.kid.clone());
                let jwk: Jwk = serde_json::from_value(key.public_jwk.clone())
                    .map_err(|_| KeyringError::BadPublicKey(key.kid.clone()))?;
                Ok((key.kid.clone(), DecodingKey::from_jwk(&jwk).map_err(bad)?))
            })
            .collect::<Result<_, _>>()?;
        let jwks = JwksDocument::build(&set, policy, read_at);
        Ok(Self { set, signer, verifying, jwks, read_at, ticket })
    }

    pub fn signer(&self) -> &Arc<Signer> {
        &self.signer
    }

    pub fn set(&self) -> &KeySet {
        &self.set
    }

    pub fn jwks(&self) -> &JwksDocument {
        &self.jwks
    }

    /// The key to verify a token of `kid` with, if it is published.
    pub fn verifying(&self, kid: &str, now: DateTime<Utc>) -> Option<(SigningAlgorithm, &DecodingKey)> {
        let key = self.set.published(now).find(|key| key.kid.as_str() == kid)?;
        Some((key.alg, self.verifying.get(&key.kid)?))
    }

    /// Whether this kid is the next key's, which has not signed yet as far as this node knows: a token under it is no good,
    /// or this node has missed a rotation.
    pub fn is_waiting(&self, kid: &str) -> bool {
        self.set.next().kid.as_str() == kid
    }

    /// When the rows behind this view were read.
    pub fn read_at(&self) -> DateTime<Utc> {
        self.read_at
    }

    /// Whether this reading began after the other.
    pub fn is_later_than(&self, other: &Self) -> bool {
        self.ticket > other.ticket
    }

    /// Whether the view is too old to sign by, or the clock has stepped back so that nobody can tell.
    pub fn is_stale(&self, policy: &KeyPolicy, now: DateTime<Utc>) -> bool {
        !(TimeDelta::zero()..=policy.staleness).contains(&(now - self.read_at))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("current", &self.set.current().kid)
            .field("read_at", &self.read_at)
            .finish_non_exhaustive()
    }
}
