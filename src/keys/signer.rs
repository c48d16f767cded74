use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};

use crate::domain::{Kid, SigningAlgorithm};

/// A private key ready to sign. Parsed once, when the keyring is built: parsing costs more than signing.
/// Where a key lives outside this process (an HSM), this is the type that would know.
pub struct Signer {
    kid: Kid,
    alg: SigningAlgorithm,
    pair: RsaKeyPair,
    random: SystemRandom,
}

/// Why a private key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    #[error("the private half of signing key {0} is not a usable PKCS#8 key")]
    NotAKey(Kid),
    #[error("signing with key {0} failed")]
    Failed(Kid),
    #[error("signing key {0} is in quarantine and nothing can be signed")]
    Quarantined(Kid),
}

impl Signer {
    /// Parses and checks PKCS#8 bytes.
    pub fn from_pkcs8(kid: Kid, alg: SigningAlgorithm, pkcs8: &[u8]) -> Result<Self, SignerError> {
        match RsaKeyPair::from_pkcs8(pkcs8) {
            Ok(pair) => Ok(Self { kid, alg, pair, random: SystemRandom::new() }),
            Err(_) => Err(SignerError::NotAKey(kid)),
        }
    }

    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    pub fn alg(&self) -> SigningAlgorithm {
        self.alg
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature)
            .map_err(|_| SignerError::Failed(self.kid.clone()))?;
        Ok(signature)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("kid", &self.kid).finish_non_exhaustive()
    }
}
