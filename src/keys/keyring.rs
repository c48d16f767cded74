use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::Jwk;

use super::jwks::JwksDocument;
use super::signer::Signer;
use crate::domain::{KeyPolicy, KeySet, KeyStatus, Kid, SigningAlgorithm};

/// One node's view of the signing keys: what signs, what verifies, and the document that says so. Immutable; when the
/// database changes a new one takes its place.
pub struct Keyring {
    set: KeySet,
    signer: Arc<Signer>,
    verifying: HashMap<Kid, DecodingKey>,
    jwks: JwksDocument,
    /// When the rows behind it were read.
    read_at: DateTime<Utc>,
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
        Ok(Self { set, signer, verifying, jwks, read_at })
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

    /// The key to verify a token of `kid` with. A key that has not signed yet verifies nothing: a token under it is
    /// either forged or signed by a node that has heard of a rotation before this one; see [`Keyring::is_waiting`].
    pub fn verifying(&self, kid: &str, now: DateTime<Utc>) -> Option<(SigningAlgorithm, &DecodingKey)> {
        let key = self.set.all().iter().find(|key| key.kid.as_str() == kid)?;
        match key.status(now) {
            KeyStatus::Current | KeyStatus::Previous => Some((key.alg, self.verifying.get(&key.kid)?)),
            KeyStatus::Next | KeyStatus::Retired | KeyStatus::Revoked => None,
        }
    }

    /// Whether this kid is the next key's. If a token carries it, this node may have missed a rotation.
    pub fn is_waiting(&self, kid: &str) -> bool {
        self.set.next().kid.as_str() == kid
    }

    /// When the rows behind this view were read.
    pub fn read_at(&self) -> DateTime<Utc> {
        self.read_at
    }

    /// Whether the view is too old to sign or decide by.
    pub fn is_stale(&self, policy: &KeyPolicy, now: DateTime<Utc>) -> bool {
        now - self.read_at > policy.staleness
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
