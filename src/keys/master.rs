use std::fmt;

use aws_lc_rs::hkdf;
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use zeroize::Zeroizing;

/// A 256-bit secret under which everything else at rest is sealed or derived. It never encrypts by itself: each purpose
/// has a key of its own by HKDF-SHA-256 (RFC 5869).
pub struct MasterKey {
    id: String,
    secret: Zeroizing<[u8; 32]>,
}

/// The use of a derived key, as its HKDF label. Each feature declares its own purpose beside the code that uses it. Two
/// purposes never share a label; `tests/api/architecture.rs` reads every label and compares those of 0.1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose(&'static str);

impl Purpose {
    /// `label` is `chancery/v<version>/<words>`. A label is never changed: what was stored or given to a browser under the
    /// label could not be read again. A new format gets a new version or new words.
    pub const fn new(label: &'static str) -> Self {
        Self(label)
    }
}

impl MasterKey {
    /// A fresh random key with a fresh random id.
    pub fn generate() -> Result<Self, MasterKeyError> {
        let (mut secret, mut id) = (Zeroizing::new([0; 32]), [0; 4]);
        aws_lc_rs::rand::fill(&mut *secret).map_err(|_| MasterKeyError::NoRandomness)?;
        aws_lc_rs::rand::fill(&mut id).map_err(|_| MasterKeyError::NoRandomness)?;
        Ok(Self { id: format!("m-{:08x}", u32::from_be_bytes(id)), secret })
    }

    /// The id stored beside what this key seals.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The `id:base64` line of a key file. The one way out for a master key: into its file.
    pub fn to_line(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}:{}\n", self.id, STANDARD.encode(*self.secret)))
    }

    /// 32 bytes for one purpose, different for every salt.
    pub fn derive(&self, purpose: Purpose, salt: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut derived = Zeroizing::new([0; 32]);
        let label = [purpose.0.as_bytes()];
        let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(&*self.secret)
            .expand(&label, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *derived));
        // HKDF refuses only outputs of more than 255 blocks; this is one.
        debug_assert!(filled.is_ok());
        derived
    }

    fn parse(line: &str) -> Result<Self, MasterKeyError> {
        let (id, encoded) = line.split_once(':').ok_or(MasterKeyError::NoId)?;
        let id_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if id.is_empty() || id.len() > 64 || !id.bytes().all(id_allowed) {
            return Err(MasterKeyError::NoId);
        }
        let bytes = Zeroizing::new(decode(encoded).unwrap_or_default());
        let secret = <[u8; 32]>::try_from(&bytes[..]).map_err(|_| MasterKeyError::NotAKey(id.to_owned()))?;
        Ok(Self { id: id.to_owned(), secret: Zeroizing::new(secret) })
    }
}

/// Base64 in either alphabet, padded or not: people make keys with many tools.
fn decode(encoded: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabets = [alphabet::STANDARD, alphabet::URL_SAFE];
    alphabets.iter().find_map(|alphabet| GeneralPurpose::new(alphabet, lenient).decode(encoded).ok())
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The configured master keys. The first seals; every one opens.
#[derive(Debug)]
pub struct MasterKeys(Vec<MasterKey>);

/// What is wrong with the configured master keys. Never holds a key's bytes.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error("a master key is written `id:base64`, with an id of letters, digits, `-`, `_` and `.`")]
    NoId,
    #[error("master key `{0}` is not 32 bytes of base64")]
    NotAKey(String),
    #[error("master key id `{0}` is used twice")]
    Repeated(String),
    #[error("no master key is configured")]
    None,
    #[error("the operating system gives no randomness")]
    NoRandomness,
}

impl MasterKeys {
    /// Keys from `id:base64` entries; empty ones and `#` comments are passed over.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, MasterKeyError> {
        let lines =
            entries.into_iter().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = lines.map(MasterKey::parse).collect::<Result<Vec<_>, _>>()?;
        for (at, key) in keys.iter().enumerate() {
            if keys[..at].iter().any(|earlier| earlier.id == key.id) {
                return Err(MasterKeyError::Repeated(key.id.clone()));
            }
        }
        if keys.is_empty() { Err(MasterKeyError::None) } else { Ok(Self(keys)) }
    }

    pub fn single(key: MasterKey) -> Self {
        Self(vec![key])
    }

    /// The key that seals and signs from now on.
    pub fn first(&self) -> &MasterKey {
        &self.0[0]
    }

    pub fn by_id(&self, id: &str) -> Option<&MasterKey> {
        self.0.iter().find(|key| key.id == id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &MasterKey> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Purpose = Purpose::new("chancery/v2/one");
    const TWO: Purpose = Purpose::new("chancery/v2/two");

    #[test]
    fn a_key_survives_its_own_line() {
        let key = MasterKey::generate().unwrap();
        let read = MasterKeys::parse(key.to_line().lines()).unwrap();
        assert_eq!(read.first().id(), key.id());
        let derived = |key: &MasterKey| key.derive(ONE, b"salt").to_vec();
        assert_eq!(derived(read.first()), derived(&key));
    }

    #[test]
    fn either_alphabet_and_missing_padding_make_the_same_key() {
        let parse = |text: &str| MasterKeys::parse([text]).unwrap().first().derive(ONE, b"").to_vec();
        let padded = parse("m:+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/8=");
        assert_eq!(padded, parse("m:-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_8"));
    }

    #[test]
    fn purposes_and_salts_give_different_keys() {
        let key = MasterKey::generate().unwrap();
        let one = key.derive(ONE, b"a").to_vec();
        assert_ne!(one, key.derive(ONE, b"b").to_vec());
        assert_ne!(one, key.derive(TWO, b"a").to_vec());
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_told() {
        let good = MasterKey::generate().unwrap().to_line();
        for bad in ["", "# only a comment", "noid", ":AAAA", "id:AAAA", "i d:AAAA", "id:not base64!"] {
            let error = MasterKeys::parse([bad]).unwrap_err().to_string();
            assert!(!error.contains("AAAA") && !error.contains("base64!"), "{error}");
        }
        assert!(matches!(MasterKeys::parse([&**good, &**good]), Err(MasterKeyError::Repeated(_))));
    }

    #[test]
    fn debug_output_shows_the_id_and_no_secret() {
        let key = MasterKey::generate().unwrap();
        let secret = key.to_line().trim().split_once(':').unwrap().1.to_owned();
        let shown = format!("{key:?} {:?}", key.secret.iter().take(0).collect::<Vec<_>>());
        assert!(shown.contains(key.id()) && !shown.contains(&secret));
    }
}
