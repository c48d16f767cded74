//! Making keys. Crate `rsa` makes and encodes them and does nothing else with them; see
//! `docs/decisions/0002-signing-with-aws-lc.md`.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::PrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rsa::traits::PublicKeyParts;
use serde_json::json;
use zeroize::Zeroizing;

use crate::domain::{Kid, SigningAlgorithm};

/// A key that no database has seen yet.
pub struct MintedKey {
    pub kid: Kid,
    pub alg: SigningAlgorithm,
    pub public_jwk: serde_json::Value,
    pub pkcs8: Zeroizing<Vec<u8>>,
}

/// Why no key could be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error("an RSA key could not be made")]
    Rsa,
    #[error("an RSA key could not be encoded")]
    Encoding,
}

/// Keys kept in stock at most.
const KEPT: usize = 4;

/// Makes signing keys, and keeps one ready so that a rotation need not wait for primes.
pub struct Mint {
    rsa_bits: usize,
    ready: Mutex<Vec<MintedKey>>,
}

impl Mint {
    pub fn new(rsa_bits: usize) -> Self {
        Self { rsa_bits, ready: Mutex::default() }
    }

    /// Keys made beforehand are handed out first.
    pub fn with_ready(rsa_bits: usize, ready: Vec<MintedKey>) -> Self {
        Self { rsa_bits, ready: Mutex::new(ready) }
    }

    /// A fresh key, from stock if there is one. Takes up to seconds of computing otherwise: not for an async thread.
    pub fn take(&self) -> Result<MintedKey, MintError> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop();
        ready.map_or_else(|| self.make(), Ok)
    }

    /// Takes back a key that no database has seen, for whoever asks next. A few are kept, the rest forgotten.
    pub fn give_back(&self, key: MintedKey) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.len() < KEPT {
            ready.push(key);
        }
    }

    /// Makes a key for later if none is ready. Same cost as [`Mint::take`].
    pub fn restock(&self) -> Result<(), MintError> {
        let is_empty = || self.ready.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if is_empty() {
            let key = self.make()?;
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(key);
        }
        Ok(())
    }

    fn make(&self) -> Result<MintedKey, MintError> {
        let private = PrivateKey::new(&mut rsa::rand_core::UnwrapErr(SystemRandomness), self.rsa_bits)
            .map_err(|_| MintError::Rsa)?;
        MintedKey::from_private(&private)
    }
}

impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mint").field("rsa_bits", &self.rsa_bits).finish_non_exhaustive()
    }
}

impl MintedKey {
    /// A key made elsewhere, from PKCS#8 DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, MintError> {
        Self::from_private(&PrivateKey::from_pkcs8_der(der).map_err(|_| MintError::Encoding)?)
    }

    fn from_private(private: &PrivateKey) -> Result<Self, MintError> {
        let alg = SigningAlgorithm::Rs256;
        let n = URL_SAFE_NO_PAD.encode(private.n_bytes());
        let e = URL_SAFE_NO_PAD.encode(private.e_bytes());
        let kid = thumbprint(&e, &n);
        let public_jwk =
            json!({ "kty": "RSA", "use": "sig", "alg": alg.as_str(), "kid": kid.as_str(), "n": n, "e": e });
        let pkcs8 = private.to_pkcs8_der().map_err(|_| MintError::Encoding)?;
        Ok(Self { kid, alg, public_jwk, pkcs8: Zeroizing::new(pkcs8.as_bytes().to_vec()) })
    }
}

impl fmt::Debug for MintedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintedKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// RFC 7638 section 3: SHA-256 over the required members in lexicographic order.
fn thumbprint(e: &str, n: &str) -> Kid {
    let members = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, members.as_bytes());
    Kid::new(URL_SAFE_NO_PAD.encode(digest))
}

/// The operating system's randomness by way of aws-lc, in the shape crate `rsa` asks for.
struct SystemRandomness;

impl rsa::rand_core::TryRng for SystemRandomness {
    type Error = RandomnessFailed;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        aws_lc_rs::rand::fill(bytes).map_err(|_| RandomnessFailed)
    }
}

impl rsa::rand_core::TryCryptoRng for SystemRandomness {}

#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no randomness")]
struct RandomnessFailed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_the_rfcs() {
        // RFC 7638 section 3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRX\
                 jBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSq\
                 zs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHa\
                 Q-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        assert_eq!(thumbprint("AQAB", n).as_str(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_minted_key_publishes_its_public_half_only() {
        let key = Mint::new(2048).take().unwrap();
        let members: Vec<&str> = key.public_jwk.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
        assert_eq!(key.public_jwk["e"], "AQAB");
        assert_eq!(URL_SAFE_NO_PAD.decode(key.public_jwk["n"].as_str().unwrap()).unwrap().len(), 256);
        let again = MintedKey::from_pkcs8(&key.pkcs8).unwrap();
        assert_eq!(again.kid, key.kid);
    }

    #[test]
    fn stock_is_used_before_new_keys_are_made() {
        let mint = Mint::new(2048);
        mint.restock().unwrap();
        mint.restock().unwrap();
        assert_eq!(mint.ready.lock().unwrap().len(), 1);
        let kid = mint.ready.lock().unwrap()[0].kid.clone();
        let key = mint.take().unwrap();
        assert_eq!(key.kid, kid);
        assert!(mint.ready.lock().unwrap().is_empty());
        mint.give_back(key);
        assert_eq!(mint.take().unwrap().kid, kid);
    }
}
