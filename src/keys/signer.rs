use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use pem::{EncodeConfig, LineEnding, Pem};
use serde_json::Value;

use super::public::PublicHalf;
use crate::domain::keys::{Kid, SigningAlgorithm};

/// A private key ready to sign. Parsed once, when the keyring is built: parsing costs more than signing.
/// Where a key lives outside this process (an HSM), this is the type that would know.
pub struct Signer {
    kid: Kid,
    alg: SigningAlgorithm,
    pair: Pair,
    random: SystemRandom,
}

/// Why a private key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    #[error("the private half of signing key {kid} is not a usable PKCS#8 key for {alg}")]
    NotAKey { kid: Kid, alg: SigningAlgorithm },
    #[error("signing with key {0} failed")]
    Failed(Kid),
    #[error("signing key {0} is in quarantine and nothing can be signed")]
    Quarantined(Kid),
}

impl Signer {
    /// Parses and checks PKCS#8 bytes.
    pub fn from_pkcs8(kid: Kid, alg: SigningAlgorithm, pkcs8: &[u8]) -> Result<Self, SignerError> {
        match Pair::from_pkcs8(alg, pkcs8) {
            Some(pair) => Ok(Self { kid, alg, pair, random: SystemRandom::new() }),
            None => Err(SignerError::NotAKey { kid, alg }),
        }
    }

    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    pub fn alg(&self) -> SigningAlgorithm {
        self.alg
    }

    /// The public half as a JWK, as it is published.
    pub fn public_jwk(&self) -> Option<Value> {
        self.pair.public().map(|public| public.jwk(&self.kid, self.alg))
    }

    /// Whether this is the private half of that JWK.
    pub fn matches(&self, public_jwk: &Value) -> bool {
        self.pair.public().is_some_and(|public| public.is_in(public_jwk))
    }

    /// The public half as the PEM file most tools make of it (SubjectPublicKeyInfo).
    pub fn public_key_pem(&self) -> Option<String> {
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        Some(pem::encode_config(&Pem::new("PUBLIC KEY", self.pair.public_der()?), config))
    }

    /// The signature of a JWS (RFC 7518 sections 3.3 to 3.5, RFC 8037 section 3.1).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.pair.sign(&self.random, message).map_err(|_| SignerError::Failed(self.kid.clone()))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// Both halves of a key, parsed and found to belong together.
pub(super) enum Pair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Pair {
    /// `None` for what is no PKCS#8, and for a key of another kind than the algorithm's.
    pub(super) fn from_pkcs8(alg: SigningAlgorithm, pkcs8: &[u8]) -> Option<Self> {
        let rsa = |encoding| Some(Self::Rsa(RsaKeyPair::from_pkcs8(pkcs8).ok()?, encoding));
        match alg {
            SigningAlgorithm::Rs256 => rsa(&RSA_PKCS1_SHA256),
            SigningAlgorithm::Ps256 => rsa(&RSA_PSS_SHA256),
            SigningAlgorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok().map(Self::P256)
            }
            SigningAlgorithm::EdDsa => Ed25519KeyPair::from_pkcs8(pkcs8).ok().map(Self::Ed25519),
        }
    }

    /// Always there, as far as the library keeps its word about the form of points.
    pub(super) fn public(&self) -> Option<PublicHalf> {
        match self {
            Self::Rsa(pair, _) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                Some(PublicHalf::rsa(
                    n.big_endian_without_leading_zero(),
                    e.big_endian_without_leading_zero(),
                ))
            }
            Self::P256(pair) => PublicHalf::p256(pair.public_key().as_ref()),
            Self::Ed25519(pair) => Some(PublicHalf::ed25519(pair.public_key().as_ref())),
        }
    }

    fn public_der(&self) -> Option<Vec<u8>> {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Rsa(pair, _) => pair.public_key().as_der(),
            Self::P256(pair) => pair.public_key().as_der(),
            Self::Ed25519(pair) => pair.public_key().as_der(),
        }
        .ok()?;
        Some(der.as_ref().to_vec())
    }

    fn sign(&self, random: &SystemRandom, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match self {
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, random, message, &mut signature)?;
                Ok(signature)
            }
            Self::P256(pair) => Ok(pair.sign(random, message)?.as_ref().to_vec()),
            Self::Ed25519(pair) => Ok(pair.try_sign(message)?.as_ref().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{GeneratedKey, KeyPlan};

    fn key_factory(alg: SigningAlgorithm) -> GeneratedKey {
        KeyPlan { alg, rsa_bits: 2048 }.make().unwrap()
    }

    fn signer(alg: SigningAlgorithm, key: &GeneratedKey) -> Result<Signer, SignerError> {
        Signer::from_pkcs8(key.kid.clone(), alg, &key.pkcs8)
    }

    #[test]
    fn a_key_signs_with_the_algorithms_of_its_kind_only() {
        use SigningAlgorithm::{EdDsa, Es256, Ps256, Rs256};
        for (made_for, fitting) in
            [(Rs256, &[Rs256, Ps256][..]), (Ps256, &[Rs256, Ps256]), (Es256, &[Es256]), (EdDsa, &[EdDsa])]
        {
            let key = key_factory(made_for);
            for alg in SigningAlgorithm::ALL {
                assert_eq!(signer(alg, &key).is_ok(), fitting.contains(&alg), "{made_for} key, {alg}");
            }
        }
        let error = signer(Es256, &key_factory(EdDsa)).unwrap_err().to_string();
        assert!(error.ends_with("is not a usable PKCS#8 key for ES256"), "{error}");
    }

    #[test]
    fn the_public_half_is_written_as_every_tool_reads_it() {
        use jsonwebtoken::DecodingKey;
        for alg in SigningAlgorithm::ALL {
            let pem = signer(alg, &key_factory(alg)).unwrap().public_key_pem().unwrap();
            let reads = match alg {
                SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 => {
                    DecodingKey::from_rsa_pem(pem.as_bytes())
                }
                SigningAlgorithm::Es256 => DecodingKey::from_ec_pem(pem.as_bytes()),
                SigningAlgorithm::EdDsa => DecodingKey::from_ed_pem(pem.as_bytes()),
            };
            assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n") && reads.is_ok(), "{pem}");
        }
    }

    #[test]
    fn a_private_half_knows_its_own_public_half() {
        for alg in SigningAlgorithm::ALL {
            let (key, other) = (key_factory(alg), key_factory(alg));
            let signer = signer(alg, &key).unwrap();
            assert!(signer.matches(&key.public_jwk));
            assert!(!signer.matches(&other.public_jwk));
            assert!(!signer.matches(&Value::Null));
            let mut renamed = key.public_jwk.clone();
            (renamed["kid"], renamed["alg"]) = ("another".into(), "another".into());
            assert!(signer.matches(&renamed), "a name does not make the key");
            let mut relabelled = key.public_jwk.clone();
            relabelled["kty"] = "oct".into();
            assert!(!signer.matches(&relabelled));
        }
    }
}
