//! Making keys. Crate `rsa` makes and encodes RSA keys and does nothing else with them; see
//! `docs/decisions/0002-signing-with-aws-lc.md`. The others are made by aws-lc.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use rsa::PrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use zeroize::Zeroizing;

use super::signer::Pair;
use crate::domain::keys::{Kid, SigningAlgorithm};

/// What new keys are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPlan {
    pub alg: SigningAlgorithm,
    /// The size of RSA keys; the others have one size only.
    pub rsa_bits: usize,
}

/// A key that no database has seen yet.
pub struct GeneratedKey {
    pub kid: Kid,
    pub alg: SigningAlgorithm,
    pub public_jwk: serde_json::Value,
    pub pkcs8: Zeroizing<Vec<u8>>,
}

/// Why no key could be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyFactoryError {
    #[error("a key for {0} could not be made")]
    NotMade(SigningAlgorithm),
    #[error("a key for {0} is not PKCS#8 or of another kind")]
    NotAKey(SigningAlgorithm),
}

/// Keys kept in stock. An emergency takes two at once, and a rotation may follow right after.
const STOCK: usize = 3;

/// Makes signing keys, and keeps some ready so that a rotation need not wait for primes.
pub struct KeyFactory {
    plan: KeyPlan,
    ready: Mutex<Vec<GeneratedKey>>,
}

impl KeyFactory {
    pub fn new(plan: KeyPlan) -> Self {
        Self::with_ready(plan, Vec::new())
    }

    /// Keys made beforehand are handed out first, those that are not as planned left out.
    pub fn with_ready(plan: KeyPlan, mut ready: Vec<GeneratedKey>) -> Self {
        ready.retain(|key| plan.is_met_by(key));
        Self { plan, ready: Mutex::new(ready) }
    }

    /// A fresh key, from stock if there is one. Takes up to seconds of computing otherwise: not for an async thread.
    pub fn take_key(&self) -> Result<GeneratedKey, KeyFactoryError> {
        let ready = self.ready().pop();
        ready.map_or_else(|| self.plan.make(), Ok)
    }

    /// Takes back a key that no database has seen, for whoever asks next. When the stock is full it is forgotten.
    pub fn return_unused(&self, key: GeneratedKey) {
        let mut ready = self.ready();
        if ready.len() < STOCK && self.plan.is_met_by(&key) {
            ready.push(key);
        }
    }

    /// Makes one key for later unless the stock is full, and says whether it is now. Same cost as [`KeyFactory::take_key`].
    pub fn restock(&self) -> Result<bool, KeyFactoryError> {
        if self.ready().len() < STOCK {
            // Made outside the lock: whoever takes a key meanwhile does not wait for this one.
            let key = self.plan.make()?;
            self.ready().push(key);
        }
        Ok(self.ready().len() >= STOCK)
    }

    fn ready(&self) -> MutexGuard<'_, Vec<GeneratedKey>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KeyFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFactory").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl KeyPlan {
    pub(super) fn make(self) -> Result<GeneratedKey, KeyFactoryError> {
        let pkcs8 = match self.alg {
            SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 => rsa_pkcs8(self.rsa_bits),
            SigningAlgorithm::Es256 => p256_pkcs8(),
            SigningAlgorithm::EdDsa => ed25519_pkcs8(),
        };
        GeneratedKey::from_pkcs8(self.alg, &pkcs8.ok_or(KeyFactoryError::NotMade(self.alg))?)
    }

    fn is_met_by(self, key: &GeneratedKey) -> bool {
        // Base64 makes four characters of three bytes; other keys have no modulus.
        let has_bits = |n: &str| n.len() * 3 / 4 * 8 == self.rsa_bits;
        key.alg == self.alg && key.public_jwk["n"].as_str().is_none_or(has_bits)
    }
}

fn rsa_pkcs8(bits: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut randomness = rsa::rand_core::UnwrapErr(SystemRandomness);
    let encoded = PrivateKey::new(&mut randomness, bits).ok()?.to_pkcs8_der().ok()?;
    Some(Zeroizing::new(encoded.as_bytes().to_vec()))
}

fn p256_pkcs8() -> Option<Zeroizing<Vec<u8>>> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
    Some(Zeroizing::new(pair.to_pkcs8v1().ok()?.as_ref().to_vec()))
}

fn ed25519_pkcs8() -> Option<Zeroizing<Vec<u8>>> {
    // Version 1, which every program reads.
    let encoded = Ed25519KeyPair::generate().ok()?.to_pkcs8v1().ok()?;
    Some(Zeroizing::new(encoded.as_ref().to_vec()))
}

impl GeneratedKey {
    /// A key made beforehand, from PKCS#8 DER.
    pub fn from_pkcs8(alg: SigningAlgorithm, der: &[u8]) -> Result<Self, KeyFactoryError> {
        let public = Pair::from_pkcs8(alg, der).and_then(|pair| pair.public());
        let public = public.ok_or(KeyFactoryError::NotAKey(alg))?;
        let kid = public.thumbprint();
        Ok(Self { public_jwk: public.jwk(&kid, alg), kid, alg, pkcs8: Zeroizing::new(der.to_vec()) })
    }
}

impl fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeneratedKey").field("kid", &self.kid).finish_non_exhaustive()
    }
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
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn plan(alg: SigningAlgorithm) -> KeyPlan {
        KeyPlan { alg, rsa_bits: 2048 }
    }

    #[test]
    fn a_generated_key_publishes_its_public_half_only() {
        for (alg, kty, crv, names) in [
            (SigningAlgorithm::Rs256, "RSA", None, &["alg", "e", "kid", "kty", "n", "use"][..]),
            (SigningAlgorithm::Ps256, "RSA", None, &["alg", "e", "kid", "kty", "n", "use"]),
            (SigningAlgorithm::Es256, "EC", Some("P-256"), &["alg", "crv", "kid", "kty", "use", "x", "y"]),
            (SigningAlgorithm::EdDsa, "OKP", Some("Ed25519"), &["alg", "crv", "kid", "kty", "use", "x"]),
        ] {
            let key = KeyFactory::new(plan(alg)).take_key().unwrap();
            let jwk = &key.public_jwk;
            let members: Vec<&str> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(members, names);
            let said = [&jwk["kty"], &jwk["alg"], &jwk["use"], &jwk["kid"]];
            assert_eq!(said, [kty, alg.as_str(), "sig", key.kid.as_str()]);
            assert_eq!(jwk["crv"].as_str(), crv);
            let again = GeneratedKey::from_pkcs8(alg, &key.pkcs8).unwrap();
            assert_eq!(again.kid, key.kid);
        }
    }

    #[test]
    fn an_rsa_key_is_as_long_as_planned() {
        let key = KeyPlan { alg: SigningAlgorithm::Ps256, rsa_bits: 3072 }.make().unwrap();
        assert_eq!(key.public_jwk["e"], "AQAB");
        assert_eq!(URL_SAFE_NO_PAD.decode(key.public_jwk["n"].as_str().unwrap()).unwrap().len(), 384);
    }

    #[test]
    fn stock_is_used_before_new_keys_are_made() {
        let key_factory = KeyFactory::new(plan(SigningAlgorithm::Es256));
        assert_eq!([key_factory.restock().unwrap(), key_factory.restock().unwrap()], [false, false]);
        assert!(key_factory.restock().unwrap() && key_factory.restock().unwrap());
        assert_eq!(key_factory.ready().len(), STOCK);
        let kid = key_factory.ready()[STOCK - 1].kid.clone();
        let key = key_factory.take_key().unwrap();
        assert_eq!(key.kid, kid);
        assert_eq!(key_factory.ready().len(), STOCK - 1);
        key_factory.return_unused(key);
        key_factory.return_unused(plan(SigningAlgorithm::Es256).make().unwrap());
        assert_eq!(key_factory.ready().len(), STOCK);
        assert_eq!(key_factory.take_key().unwrap().kid, kid);
    }

    #[test]
    fn stock_never_holds_keys_of_another_plan() {
        let planned = KeyPlan { alg: SigningAlgorithm::Rs256, rsa_bits: 3072 };
        let others = [
            plan(SigningAlgorithm::Rs256),
            KeyPlan { alg: SigningAlgorithm::Ps256, ..planned },
            plan(SigningAlgorithm::EdDsa),
        ];
        let made = || others.iter().map(|other| other.make().unwrap());
        let key_factory = KeyFactory::with_ready(planned, made().chain([planned.make().unwrap()]).collect());
        assert_eq!(key_factory.ready().len(), 1);
        made().for_each(|key| key_factory.return_unused(key));
        assert_eq!(key_factory.ready().len(), 1);
    }
}
