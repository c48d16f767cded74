//! Reading a key that another server made, so that tokens it signed go on being accepted. Pure: bytes in, a key out.
//!
//! Every form comes down to two halves that have been found to belong together. What is published is written anew from the
//! numbers of the key, so nothing else that stood in the input gets out.

mod client_keys;
mod der;
mod jwk;
mod key_pair;
mod proof_key;

use std::fmt;

use pem::Pem;
use zeroize::Zeroizing;

pub use self::client_keys::{ClientKeysError, read_client_keys};
use self::key_pair::KeyPair;
pub use self::proof_key::{ProofKey, ProofKeyError, read_proof_key};
use super::public::PublicHalf;
use super::signer::Pair;
use crate::domain::keys::{Kid, SigningAlgorithm};

/// A key made elsewhere, ready to be published, and to sign if its private half came with it.
pub struct ImportedKey {
    pub kid: Kid,
    pub alg: SigningAlgorithm,
    pub public_jwk: serde_json::Value,
    /// PKCS#8 that [`Signer`](super::Signer) reads.
    pub pkcs8: Option<Zeroizing<Vec<u8>>>,
}

/// What to call the key and what to sign with, where the input does not say it or says it differently.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Otherwise the JWK's `kid`, otherwise the thumbprint. Of a JWK Set it also picks the key.
    pub kid: Option<String>,
    /// Otherwise the JWK's `alg`, otherwise the usual one of the key's kind.
    pub alg: Option<SigningAlgorithm>,
}

/// Why the input is no key to import. Holds nothing of the input but kids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    #[error("the input is longer than 64 KiB; give a file that holds one key and nothing else")]
    TooLong,
    #[error("the input holds no key")]
    Empty,
    #[error(
        "the input is no key that can be read; give PEM (PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY, PUBLIC KEY or \
         RSA PUBLIC KEY), DER (PKCS#8 or SubjectPublicKeyInfo) or a JWK"
    )]
    Unreadable,
    #[error(
        "the key is encrypted; decrypt it with `openssl pkcs8 -topk8 -nocrypt -in KEY -out DECRYPTED.pem`"
    )]
    Encrypted,
    #[error(
        "this is a certificate and no key; extract its public key with `openssl x509 -in CERTIFICATE -pubkey -noout`"
    )]
    Certificate,
    #[error("the PEM file holds several keys; give one, the private key if you have it")]
    SeveralPemKeys,
    #[error("the JWK Set holds several keys ({kids}); give one of them as a file of its own or by its kid")]
    SeveralJwks { kids: String },
    #[error("the JWK Set holds no key `{0}`, or more than one")]
    NotInSet(Kid),
    #[error("the key is symmetric, so whoever verifies with it can also sign; make a new key pair instead")]
    Symmetric,
    #[error("the key's `use` or `key_ops` says that it is not for signatures; give the signing key")]
    NotForSigning,
    #[error("the key is neither RSA (rsaEncryption) nor EC nor Ed25519; make a new key instead")]
    OtherKind,
    #[error("the key's curve is neither P-256, by its name, nor Ed25519; make a new key instead")]
    OtherCurve,
    #[error("the RSA key has {0} bits and must have 2048 to 8192; make a new key instead")]
    RsaSize(usize),
    #[error("the RSA key's public exponent must be 65537; make a new key instead")]
    RsaExponent,
    #[error("the RSA key has more than two primes, which JOSE libraries do not read; make a new key instead")]
    MultiPrime,
    #[error("the parts of the key do not belong together; it is damaged or was put together wrongly")]
    Inconsistent,
    #[error(
        "a kid is 1 to 200 printable ASCII characters without space, quotes and backslash; choose another"
    )]
    BadKid,
    #[error("the key's `alg` is none of RS256, PS256, ES256 and EdDSA; say which of them to sign with")]
    UnknownAlgorithm,
    #[error("a key of this kind does not sign with {given}; leave the algorithm out or choose {usual}")]
    WrongAlgorithm { given: SigningAlgorithm, usual: SigningAlgorithm },
}

const LONGEST_INPUT: usize = 64 * 1024;
const LONGEST_KID: usize = 200;

/// Reads one key, in PEM, DER or as a JWK.
pub fn import_key(bytes: &[u8], options: &ImportOptions) -> Result<ImportedKey, ImportError> {
    let kid = options.kid.as_deref().map(valid_kid).transpose()?;
    let Found { key_pair, kid: own_kid, alg: own_alg } = find(bytes, kid.as_ref())?;
    let KeyPair { public, pkcs8 } = key_pair;
    let alg = choose_algorithm(&public, options.alg, own_alg.as_deref())?;
    // The last word on the private half is that of the library which will sign with it.
    if let Some(pkcs8) = &pkcs8 {
        let pair = Pair::from_pkcs8(alg, pkcs8).ok_or(ImportError::Inconsistent)?;
        if pair.public().as_ref() != Some(&public) {
            return Err(ImportError::Inconsistent);
        }
    }
    let own_kid = || own_kid.as_deref().map(valid_kid).transpose();
    let kid = match kid {
        Some(kid) => kid,
        None => own_kid()?.unwrap_or_else(|| public.thumbprint()),
    };
    Ok(ImportedKey { public_jwk: public.jwk(&kid, alg), kid, alg, pkcs8 })
}

impl fmt::Debug for ImportedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportedKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

fn valid_kid(kid: &str) -> Result<Kid, ImportError> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"'`\\".contains(&byte);
    if (1..=LONGEST_KID).contains(&kid.len()) && kid.bytes().all(allowed) {
        Ok(Kid::new(kid.to_owned()))
    } else {
        Err(ImportError::BadKid)
    }
}

fn choose_algorithm(
    public: &PublicHalf,
    wanted: Option<SigningAlgorithm>,
    own: Option<&str>,
) -> Result<SigningAlgorithm, ImportError> {
    let own = || own.map(|name| SigningAlgorithm::parse(name).ok_or(ImportError::UnknownAlgorithm));
    let usual = public.usual_algorithm();
    match wanted.map(Ok).or_else(own).transpose()? {
        Some(given) if !public.fits(given) => Err(ImportError::WrongAlgorithm { given, usual }),
        given => Ok(given.unwrap_or(usual)),
    }
}

/// A key and what the input says about it.
struct Found {
    key_pair: KeyPair,
    kid: Option<String>,
    alg: Option<String>,
}

fn find(bytes: &[u8], kid: Option<&Kid>) -> Result<Found, ImportError> {
    if bytes.len() > LONGEST_INPUT {
        return Err(ImportError::TooLong);
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    let unnamed = |key_pair| Found { key_pair, kid: None, alg: None };
    match text {
        [] => Err(ImportError::Empty),
        [b'{', ..] => jwk::from_json(text, kid),
        text if contains(text, "-----BEGIN ") => from_pem(text).map(unnamed),
        // Trimming might cut a key short.
        _ => der::from_der(bytes).map(unnamed),
    }
}

fn contains(text: &[u8], wanted: &str) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

fn from_pem(text: &[u8]) -> Result<KeyPair, ImportError> {
    // PKCS#8 says so in its label (RFC 7468 section 11), older forms in a header (RFC 1421 section 4.6.1.1).
    if contains(text, "-----BEGIN ENCRYPTED PRIVATE KEY") || contains(text, "Proc-Type: 4,ENCRYPTED") {
        return Err(ImportError::Encrypted);
    }
    let blocks = pem::parse_many(text).map_err(|_| ImportError::Unreadable)?;
    let is_certificate = blocks.iter().any(|block| block.tag().ends_with("CERTIFICATE"));
    // Beside the key there may be its curve's name or its certificate.
    let mut keys = blocks.into_iter().filter_map(|block| Some((reader_of(block.tag())?, block)));
    match (keys.next(), keys.next()) {
        (Some((read, block)), None) => read(&Zeroizing::new(Pem::into_contents(block))),
        (Some(_), Some(_)) => Err(ImportError::SeveralPemKeys),
        (None, _) if is_certificate => Err(ImportError::Certificate),
        (None, _) => Err(ImportError::Unreadable),
    }
}

type DerReader = fn(&[u8]) -> Result<KeyPair, ImportError>;

/// What reads a PEM block of that label, if it is a key's.
fn reader_of(label: &str) -> Option<DerReader> {
    Some(match label {
        "PRIVATE KEY" => der::from_pkcs8,
        "PUBLIC KEY" => der::from_spki,
        "EC PRIVATE KEY" => der::from_sec1,
        "RSA PRIVATE KEY" => KeyPair::rsa_private,
        "RSA PUBLIC KEY" => KeyPair::rsa_public,
        _ => return None,
    })
}
