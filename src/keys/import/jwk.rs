use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs1::{EncodeRsaPrivateKey, RsaPrivateKey, UintRef};
use rsa::pkcs8::SecretDocument;
use rsa::{BoxedUint, PrivateKey};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::key_pair::{KeyPair, without_leading_zeros};
use super::{Found, ImportError, valid_kid};
use crate::domain::keys::Kid;

/// Kids of a set that an error tells.
const KIDS_TOLD: usize = 10;

/// A JWK (RFC 7517, RFC 7518 section 6, RFC 8037 section 2) as somebody wrote it.
#[derive(Deserialize)]
pub(super) struct WrittenJwk {
    kty: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<SecretString>,
    p: Option<SecretString>,
    q: Option<SecretString>,
    dp: Option<SecretString>,
    dq: Option<SecretString>,
    qi: Option<SecretString>,
    oth: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct WrittenSet {
    keys: Vec<WrittenJwk>,
}

/// Tells a set from a key.
#[derive(Deserialize)]
struct Probe {
    keys: Option<IgnoredAny>,
}

/// A JWK, or a JWK Set from which `kid`, or there being only one key, picks one.
pub(super) fn from_json(text: &[u8], kid: Option<&Kid>) -> Result<Found, ImportError> {
    let probe: Probe = parse(text)?;
    match probe.keys {
        Some(_) => pick(parse::<WrittenSet>(text)?.keys, kid)?.read(),
        None => parse::<WrittenJwk>(text)?.read(),
    }
}

/// Serde's own error may quote the input.
fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, ImportError> {
    serde_json::from_slice(text).map_err(|_| ImportError::Unreadable)
}

fn pick(keys: Vec<WrittenJwk>, kid: Option<&Kid>) -> Result<WrittenJwk, ImportError> {
    let kids = kids_of(&keys);
    let several = keys.len() > 1;
    let mut eligible = keys.into_iter().filter(|key| !several || kid.is_none_or(|kid| key.is_called(kid)));
    match (eligible.next(), eligible.next(), kid) {
        (Some(key), None, _) => Ok(key),
        (_, _, Some(kid)) if several => Err(ImportError::NotInSet(kid.clone())),
        (None, ..) => Err(ImportError::Empty),
        (Some(_), Some(_), _) => Err(ImportError::SeveralJwks { kids }),
    }
}

/// For an error: those a person can give, and not too many.
fn kids_of(keys: &[WrittenJwk]) -> String {
    let kids: Vec<&str> = keys.iter().filter_map(|key| key.kid.as_deref()).collect();
    let kids: Vec<&str> = kids.into_iter().filter(|kid| valid_kid(kid).is_ok()).take(KIDS_TOLD).collect();
    if kids.is_empty() { "none has a usable kid".to_owned() } else { kids.join(", ") }
}

impl WrittenJwk {
    pub(super) fn from_value(jwk: &serde_json::Value) -> Result<Self, ImportError> {
        Self::deserialize(jwk).map_err(|_| ImportError::Unreadable)
    }

    fn is_called(&self, kid: &Kid) -> bool {
        self.kid.as_deref() == Some(kid.as_str())
    }

    pub(super) fn read(self) -> Result<Found, ImportError> {
        let key_pair = match self.kty.as_deref() {
            Some("oct") => return Err(ImportError::Symmetric),
            _ if !self.is_for_signing() => return Err(ImportError::NotForSigning),
            Some("RSA") => self.rsa()?,
            Some("EC") => self.ec()?,
            Some("OKP") => self.okp()?,
            Some(_) => return Err(ImportError::OtherKind),
            None => return Err(ImportError::Unreadable),
        };
        Ok(Found { key_pair, kid: self.kid, alg: self.alg })
    }

    fn is_for_signing(&self) -> bool {
        let signs =
            |operations: &Vec<String>| operations.iter().any(|name| name == "sign" || name == "verify");
        self.r#use.as_deref().is_none_or(|name| name == "sig") && self.key_ops.as_ref().is_none_or(signs)
    }

    fn rsa(&self) -> Result<KeyPair, ImportError> {
        if self.oth.is_some() {
            return Err(ImportError::MultiPrime);
        }
        let (n, e) = (public(self.n.as_ref())?, public(self.e.as_ref())?);
        // Looked at first: what follows computes with them.
        let public_only = KeyPair::rsa_numbers(&n, &e)?;
        let others = [&self.p, &self.q, &self.dp, &self.dq, &self.qi];
        let given: Vec<&SecretString> = others.into_iter().flatten().collect();
        match (&self.d, given.len()) {
            (None, 0) => Ok(public_only),
            (Some(d), 0) => KeyPair::rsa_private(recover(&n, &e, &private(d)?)?.as_bytes()),
            (Some(d), 5) => KeyPair::rsa_private(assemble(&n, &e, d, &given)?.as_bytes()),
            _ => Err(ImportError::Inconsistent),
        }
    }

    fn ec(&self) -> Result<KeyPair, ImportError> {
        if self.crv.as_deref() != Some("P-256") {
            return Err(ImportError::OtherCurve);
        }
        let (x, y) = (public(self.x.as_ref())?, public(self.y.as_ref())?);
        // Joined, two wrong lengths could make a right one.
        if x.len() != y.len() {
            return Err(ImportError::Inconsistent);
        }
        let point = [&[4], &x[..], &y].concat();
        match &self.d {
            Some(d) => KeyPair::p256_numbers(&private(d)?, &point),
            None => KeyPair::p256_public(&point),
        }
    }

    fn okp(&self) -> Result<KeyPair, ImportError> {
        if self.crv.as_deref() != Some("Ed25519") {
            return Err(ImportError::OtherCurve);
        }
        let x = public(self.x.as_ref())?;
        match &self.d {
            Some(d) => KeyPair::ed25519_numbers(&private(d)?, &x),
            None => KeyPair::ed25519_public(&x),
        }
    }
}

fn public(encoded: Option<&String>) -> Result<Vec<u8>, ImportError> {
    URL_SAFE_NO_PAD.decode(encoded.ok_or(ImportError::Unreadable)?).map_err(|_| ImportError::Unreadable)
}

fn private(encoded: &SecretString) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    let decoded = URL_SAFE_NO_PAD.decode(encoded.expose_secret());
    decoded.map(Zeroizing::new).map_err(|_| ImportError::Unreadable)
}

/// The PKCS#1 form of a key of which everything is given.
fn assemble(
    n: &[u8],
    e: &[u8],
    d: &SecretString,
    others: &[&SecretString],
) -> Result<SecretDocument, ImportError> {
    let mut decoded = vec![private(d)?];
    for other in others {
        decoded.push(private(other)?);
    }
    let numbers = [n, e].into_iter().chain(decoded.iter().map(|secret| secret.as_slice()));
    let numbers: Result<Vec<UintRef<'_>>, _> = numbers.map(UintRef::new).collect();
    match numbers.map_err(|_| ImportError::Unreadable)?[..] {
        [modulus, public_exponent, private_exponent, prime1, prime2, exponent1, exponent2, coefficient] => {
            let key = RsaPrivateKey {
                modulus,
                public_exponent,
                private_exponent,
                prime1,
                prime2,
                exponent1,
                exponent2,
                coefficient,
                other_prime_infos: None,
            };
            key.to_pkcs1_der().map_err(|_| ImportError::Inconsistent)
        }
        _ => Err(ImportError::Inconsistent),
    }
}

/// The PKCS#1 form of a key whose primes are left out, as RFC 7518 section 6.3.2 allows: they follow from the rest.
fn recover(n: &[u8], e: &[u8], d: &[u8]) -> Result<SecretDocument, ImportError> {
    let (n, d) = (without_leading_zeros(n), without_leading_zeros(d));
    // Crate rsa subtracts from d unseen.
    if d.is_empty() {
        return Err(ImportError::Inconsistent);
    }
    let bits = u32::try_from(n.len() * 8).map_err(|_| ImportError::Inconsistent)?;
    let number = |bytes| BoxedUint::from_be_slice(bytes, bits).map_err(|_| ImportError::Inconsistent);
    let key = PrivateKey::from_components(number(n)?, number(e)?, number(d)?, Vec::new());
    key.and_then(|key| Ok(key.to_pkcs1_der()?)).map_err(|_| ImportError::Inconsistent)
}
