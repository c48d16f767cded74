use crate::keys::{MasterKeys, Opened, SealError, Signer, SignerError, open_private_key};
use crate::store::signing_keys::StoredKey;

/// Why a stored private key is of no use here.
#[derive(Debug, thiserror::Error)]
pub enum OpenKeyError {
    #[error("signing key {0} has no private half")]
    NoPrivateHalf(String),
    #[error("signing key {kid}: column {column} cannot be read")]
    Damaged { kid: String, column: &'static str },
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Signer(#[from] SignerError),
    #[error("the private half of signing key {0} does not belong to its public half")]
    NotItsPublicHalf(String),
}

impl OpenKeyError {
    /// Whether the row is at fault, and not the master keys this node was given.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::Seal(SealError::MasterKeyMissing { .. }))
    }
}

/// Opens and parses a private key, and sees that it is the one the published key belongs to.
pub(super) fn open_key(masters: &MasterKeys, stored: &StoredKey) -> Result<Opened, OpenKeyError> {
    let key = &stored.key;
    if let Some(column) = key.damage {
        return Err(OpenKeyError::Damaged { kid: key.kid.to_string(), column });
    }
    let sealed = stored.sealed.as_ref().ok_or_else(|| OpenKeyError::NoPrivateHalf(key.kid.to_string()))?;
    let pkcs8 = open_private_key(masters, &key.kid, key.alg, &sealed.master_key_id, &sealed.ciphertext)?;
    let signer = Signer::from_pkcs8(key.kid.clone(), key.alg, &pkcs8)?;
    if !signer.matches(&key.public_jwk) {
        return Err(OpenKeyError::NotItsPublicHalf(key.kid.to_string()));
    }
    Ok(Opened { signer, ciphertext: sealed.ciphertext.clone() })
}
