use std::ops::RangeInclusive;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    ParsedPublicKey,
};
use rsa::pkcs1::{self, RsaPrivateKeyRef, RsaPublicKeyRef};
use rsa::pkcs8::der::Decode;
use rsa::pkcs8::der::asn1::OctetStringRef;
use rsa::pkcs8::{PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use super::ImportError;
use crate::keys::public::PublicHalf;

/// Smaller is not safe (RFC 7518 section 3.3); larger is refused by aws-lc.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];
/// Of seeds and points of Ed25519 (RFC 8032 section 5.1).
const ED25519_LENGTH: usize = 32;

/// The two halves of a key, of which the private may be missing.
pub(super) struct KeyPair {
    pub(super) public: PublicHalf,
    pub(super) pkcs8: Option<Zeroizing<Vec<u8>>>,
}

impl KeyPair {
    /// From an `RSAPublicKey` (RFC 8017 appendix A.1.1).
    pub(super) fn rsa_public(der: &[u8]) -> Result<Self, ImportError> {
        let key = RsaPublicKeyRef::from_der(der).map_err(|_| ImportError::Unreadable)?;
        Self::rsa_numbers(key.modulus.as_bytes(), key.public_exponent.as_bytes())
    }

    /// From big-endian numbers.
    pub(super) fn rsa_numbers(n: &[u8], e: &[u8]) -> Result<Self, ImportError> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(ImportError::RsaSize(bits));
        }
        if e != RSA_EXPONENT {
            return Err(ImportError::RsaExponent);
        }
        // The product of two odd primes is odd.
        if n.last().is_none_or(|last| last % 2 == 0) {
            return Err(ImportError::Inconsistent);
        }
        Ok(Self { public: PublicHalf::rsa(n, e), pkcs8: None })
    }

    /// From an `RSAPrivateKey` (RFC 8017 appendix A.1.2). Whether its parts belong together is seen when it is parsed to
    /// sign.
    pub(super) fn rsa_private(der: &[u8]) -> Result<Self, ImportError> {
        let key = RsaPrivateKeyRef::from_der(der).map_err(|_| ImportError::Unreadable)?;
        if key.other_prime_infos.is_some() {
            return Err(ImportError::MultiPrime);
        }
        let Self { public, .. } = Self::rsa_numbers(key.modulus.as_bytes(), key.public_exponent.as_bytes())?;
        let wrapped = OctetStringRef::new(der)
            .map_err(pkcs1::Error::from)
            .map(|inner| PrivateKeyInfoRef::new(pkcs1::ALGORITHM_ID, inner));
        let wrapped = wrapped.map_err(|_| ImportError::Unreadable)?;
        let document = SecretDocument::try_from(wrapped).map_err(|_| ImportError::Unreadable)?;
        Ok(Self { public, pkcs8: Some(Zeroizing::new(document.as_bytes().to_vec())) })
    }

    /// From an uncompressed point, which must lie on the curve.
    pub(super) fn p256_public(point: &[u8]) -> Result<Self, ImportError> {
        let public = PublicHalf::p256(point).ok_or(ImportError::Inconsistent)?;
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| ImportError::Inconsistent)?;
        Ok(Self { public, pkcs8: None })
    }

    /// From an `ECPrivateKey` (RFC 5915 section 3) on P-256. If it brings its point, that must be its own.
    pub(super) fn p256_private(der: &[u8]) -> Result<Self, ImportError> {
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
        Self::p256_pair(&pair.map_err(|_| ImportError::Inconsistent)?)
    }

    pub(super) fn p256_numbers(d: &[u8], point: &[u8]) -> Result<Self, ImportError> {
        let alg = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(alg, d, point);
        Self::p256_pair(&pair.map_err(|_| ImportError::Inconsistent)?)
    }

    fn p256_pair(pair: &EcdsaKeyPair) -> Result<Self, ImportError> {
        let public = PublicHalf::p256(pair.public_key().as_ref()).ok_or(ImportError::Inconsistent)?;
        let encoded = pair.to_pkcs8v1().map_err(|_| ImportError::Inconsistent)?;
        Ok(Self { public, pkcs8: Some(Zeroizing::new(encoded.as_ref().to_vec())) })
    }

    pub(super) fn ed25519_public(x: &[u8]) -> Result<Self, ImportError> {
        match x.len() {
            ED25519_LENGTH => Ok(Self { public: PublicHalf::ed25519(x), pkcs8: None }),
            _ => Err(ImportError::Inconsistent),
        }
    }

    /// From PKCS#8 (RFC 8410 section 7). If it brings its point, that must be its own.
    pub(super) fn ed25519_private(pkcs8: &[u8]) -> Result<Self, ImportError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8);
        Self::ed25519_pair(&pair.map_err(|_| ImportError::Inconsistent)?)
    }

    pub(super) fn ed25519_numbers(seed: &[u8], x: &[u8]) -> Result<Self, ImportError> {
        // The library reads a longer seed up to its length.
        if seed.len() != ED25519_LENGTH {
            return Err(ImportError::Inconsistent);
        }
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, x);
        Self::ed25519_pair(&pair.map_err(|_| ImportError::Inconsistent)?)
    }

    fn ed25519_pair(pair: &Ed25519KeyPair) -> Result<Self, ImportError> {
        let public = PublicHalf::ed25519(pair.public_key().as_ref());
        let encoded = pair.to_pkcs8v1().map_err(|_| ImportError::Inconsistent)?;
        Ok(Self { public, pkcs8: Some(Zeroizing::new(encoded.as_ref().to_vec())) })
    }
}

pub(super) fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
