use rsa::pkcs1;
use rsa::pkcs8::der::asn1::{AnyRef, OctetStringRef, SequenceRef};
use rsa::pkcs8::der::{self, Decode, Reader, SliceReader, Tag, TagMode, TagNumber, Tagged};
use rsa::pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfoRef, SubjectPublicKeyInfoRef};

use super::ImportError;
use super::key_pair::KeyPair;

/// `id-ecPublicKey` and `secp256r1` (RFC 5480 section 2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// `id-Ed25519`, and `id-X25519`, `id-X448` and `id-Ed448` beside it (RFC 8410 section 3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const NEAR_ED25519: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.3.101.110"),
    ObjectIdentifier::new_unwrap("1.3.101.111"),
    ObjectIdentifier::new_unwrap("1.3.101.113"),
];

enum Kind {
    Rsa,
    P256,
    Ed25519,
}

/// DER without a label: what it is shows in its outermost members.
pub(super) fn from_der(der: &[u8]) -> Result<KeyPair, ImportError> {
    match members(der).unwrap_or_default()[..] {
        [Tag::Integer, Tag::Sequence, Tag::OctetString, ..] => from_pkcs8(der),
        [Tag::Sequence, Tag::BitString] => from_spki(der),
        // EncryptedPrivateKeyInfo (RFC 5958 section 3).
        [Tag::Sequence, Tag::OctetString] => Err(ImportError::Encrypted),
        // Certificate (RFC 5280 section 4.1).
        [Tag::Sequence, Tag::Sequence, Tag::BitString] => Err(ImportError::Certificate),
        _ => Err(ImportError::Unreadable),
    }
}

/// The tags in a sequence, of which no key has many.
fn members(der: &[u8]) -> der::Result<Vec<Tag>> {
    let mut reader = SliceReader::new(<&SequenceRef>::from_der(der)?.as_bytes())?;
    let mut tags = Vec::new();
    while !reader.is_finished() && tags.len() < 8 {
        tags.push(AnyRef::decode(&mut reader)?.tag());
    }
    Ok(tags)
}

/// PKCS#8, which is RFC 5208's `PrivateKeyInfo` or RFC 5958's `OneAsymmetricKey`.
pub(super) fn from_pkcs8(der: &[u8]) -> Result<KeyPair, ImportError> {
    let info = PrivateKeyInfoRef::from_der(der).map_err(|_| ImportError::Unreadable)?;
    match kind_of(&info.algorithm)? {
        Kind::Rsa => KeyPair::rsa_private(info.private_key.as_bytes()),
        Kind::P256 => KeyPair::p256_private(info.private_key.as_bytes()),
        Kind::Ed25519 => KeyPair::ed25519_private(der),
    }
}

/// `SubjectPublicKeyInfo` (RFC 5280 section 4.1).
pub(super) fn from_spki(der: &[u8]) -> Result<KeyPair, ImportError> {
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| ImportError::Unreadable)?;
    let key = info.subject_public_key.as_bytes().ok_or(ImportError::Unreadable)?;
    match kind_of(&info.algorithm)? {
        Kind::Rsa => KeyPair::rsa_public(key),
        Kind::P256 => KeyPair::p256_public(key),
        Kind::Ed25519 => KeyPair::ed25519_public(key),
    }
}

fn kind_of(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<Kind, ImportError> {
    match algorithm.oid {
        pkcs1::ALGORITHM_OID => Ok(Kind::Rsa),
        ED25519 => Ok(Kind::Ed25519),
        EC if algorithm.parameters_oid().is_ok_and(|curve| curve == P256) => Ok(Kind::P256),
        EC => Err(ImportError::OtherCurve),
        other if NEAR_ED25519.contains(&other) => Err(ImportError::OtherCurve),
        _ => Err(ImportError::OtherKind),
    }
}

/// `ECPrivateKey` (RFC 5915 section 3), which outside of PKCS#8 has to say its curve.
pub(super) fn from_sec1(der: &[u8]) -> Result<KeyPair, ImportError> {
    match names_p256(der) {
        Ok(true) => KeyPair::p256_private(der),
        Ok(false) => Err(ImportError::OtherCurve),
        Err(_) => Err(ImportError::Unreadable),
    }
}

/// Whether the curve is given, by its name and not by its numbers, and is P-256.
fn names_p256(der: &[u8]) -> der::Result<bool> {
    let mut reader = SliceReader::new(<&SequenceRef>::from_der(der)?.as_bytes())?;
    u8::decode(&mut reader)?;
    <&OctetStringRef>::decode(&mut reader)?;
    let curve = reader.context_specific::<ObjectIdentifier>(TagNumber(0), TagMode::Explicit);
    Ok(curve.is_ok_and(|curve| curve == Some(P256)))
}
