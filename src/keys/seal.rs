//! Private keys at rest: AES-256-GCM under a key derived from the master key, with the kid, the algorithm and the
//! master key's id as associated data, so a sealed key cannot be moved to another row or relabelled.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use super::master::{MasterKey, MasterKeys, Purpose};
use crate::domain::keys::{Kid, SigningAlgorithm};

/// The key that seals private signing keys.
const SIGNING_KEYS: Purpose = Purpose::new("chancery/v1/seal-signing-keys");

/// A sealed private key: the master key's id, and nonce and ciphertext together.
pub struct SealedBytes {
    pub master_key_id: String,
    pub ciphertext: Vec<u8>,
}

/// Why a private key cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("signing key {kid} is sealed under master key `{master_key_id}`, which is not configured")]
    MasterKeyMissing { kid: Kid, master_key_id: String },
    #[error(
        "signing key {kid} cannot be opened with master key `{master_key_id}`: the key is wrong or the row damaged"
    )]
    CannotOpen { kid: Kid, master_key_id: String },
    #[error("signing key {kid} cannot be sealed")]
    CannotSeal { kid: Kid },
}

/// Seals PKCS#8 bytes under the first master key.
pub fn seal_private_key(
    master_keys: &MasterKeys,
    kid: &Kid,
    alg: SigningAlgorithm,
    pkcs8: &[u8],
) -> Result<SealedBytes, SealError> {
    let master = master_keys.first();
    let failed = |_| SealError::CannotSeal { kid: kid.clone() };
    let mut sealed = Vec::with_capacity(NONCE_LEN + pkcs8.len() + AES_256_GCM.tag_len());
    sealed.extend_from_slice(pkcs8);
    let nonce = aead_key(master)
        .and_then(|key| key.seal_in_place_append_tag(Aad::from(label(kid, alg, master.id())), &mut sealed))
        .map_err(failed)?;
    sealed.splice(0..0, *nonce.as_ref());
    Ok(SealedBytes { master_key_id: master.id().to_owned(), ciphertext: sealed })
}

/// Opens a sealed private key and gives back its PKCS#8 bytes.
pub fn open_private_key(
    master_keys: &MasterKeys,
    kid: &Kid,
    alg: SigningAlgorithm,
    master_key_id: &str,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let master = master_keys.by_id(master_key_id).ok_or_else(|| SealError::MasterKeyMissing {
        kid: kid.clone(),
        master_key_id: master_key_id.to_owned(),
    })?;
    let failed = || SealError::CannotOpen { kid: kid.clone(), master_key_id: master_key_id.to_owned() };
    let (nonce, sealed) = ciphertext.split_at_checked(NONCE_LEN).ok_or_else(failed)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed())?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let length = aead_key(master)
        .and_then(|key| {
            key.open_in_place(nonce, Aad::from(label(kid, alg, master_key_id)), &mut buffer).map(|o| o.len())
        })
        .map_err(|_| failed())?;
    buffer.truncate(length);
    Ok(buffer)
}

fn aead_key(master: &MasterKey) -> Result<RandomizedNonceKey, aws_lc_rs::error::Unspecified> {
    RandomizedNonceKey::new(&AES_256_GCM, &*master.derive(SIGNING_KEYS, b""))
}

fn label(kid: &Kid, alg: SigningAlgorithm, master_key_id: &str) -> Vec<u8> {
    // The separator occurs in none of the parts.
    [kid.as_str(), alg.as_str(), master_key_id].join("\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALG: SigningAlgorithm = SigningAlgorithm::Rs256;

    fn kid(name: &str) -> Kid {
        Kid::new(name.to_owned())
    }

    #[test]
    fn what_is_sealed_opens_only_as_itself() {
        let master_keys = MasterKeys::single(MasterKey::generate().unwrap());
        let sealed = seal_private_key(&master_keys, &kid("a"), ALG, b"private").unwrap();
        let open = |kid: &Kid, id: &str, bytes: &[u8]| open_private_key(&master_keys, kid, ALG, id, bytes);
        assert_eq!(**open(&kid("a"), &sealed.master_key_id, &sealed.ciphertext).unwrap(), *b"private");
        assert!(matches!(
            open(&kid("b"), &sealed.master_key_id, &sealed.ciphertext),
            Err(SealError::CannotOpen { .. })
        ));
        assert!(matches!(
            open(&kid("a"), "other", &sealed.ciphertext),
            Err(SealError::MasterKeyMissing { .. })
        ));
        for at in 0..sealed.ciphertext.len() {
            let mut damaged = sealed.ciphertext.clone();
            damaged[at] ^= 1;
            assert!(open(&kid("a"), &sealed.master_key_id, &damaged).is_err(), "byte {at}");
        }
        assert!(open(&kid("a"), &sealed.master_key_id, b"short").is_err());
    }

    #[test]
    fn another_master_key_with_the_same_id_does_not_open() {
        let line = MasterKey::generate().unwrap().to_line();
        let id = line.split_once(':').unwrap().0;
        let other = MasterKey::generate().unwrap().to_line();
        let other = format!("{id}:{}", other.split_once(':').unwrap().1);
        let sealed = seal_private_key(&MasterKeys::parse([&**line]).unwrap(), &kid("a"), ALG, b"x").unwrap();
        let wrong = MasterKeys::parse([&*other]).unwrap();
        let opened = open_private_key(&wrong, &kid("a"), ALG, &sealed.master_key_id, &sealed.ciphertext);
        assert!(matches!(opened, Err(SealError::CannotOpen { .. })));
    }
}
