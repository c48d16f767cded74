use crate::keys::{MasterKeys, Opened, Signer, SignerError};
use crate::store::keys::signing_keys::StoredKey;
use crate::tokens::{SealError, open_private_key};

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
    /// Whether the row is at fault beyond doubt, and not this node: a master key it was not given, or an algorithm that a later
    /// version knows.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::Seal(SealError::MasterKeyMissing { .. }) | Self::Damaged { column: "alg", .. })
    }
}

/// Opens and parses a private key, and sees that it is the one the published key belongs to.
pub(super) fn open_key(master_keys: &MasterKeys, stored: &StoredKey) -> Result<Opened, OpenKeyError> {
    let key = &stored.key;
    if let Some(column) = key.damage {
        return Err(OpenKeyError::Damaged { kid: key.kid.to_string(), column });
    }
    let opened = open_private_half(master_keys, stored)?;
    match opened.fits(key) {
        true => Ok(opened),
        false => Err(OpenKeyError::NotItsPublicHalf(key.kid.to_string())),
    }
}

/// Opens and parses a private key, whatever the row says of its public half. That it opens proves kid and algorithm.
pub(super) fn open_private_half(
    master_keys: &MasterKeys,
    stored: &StoredKey,
) -> Result<Opened, OpenKeyError> {
    let key = &stored.key;
    let sealed = stored.sealed.as_ref().ok_or_else(|| OpenKeyError::NoPrivateHalf(key.kid.to_string()))?;
    let pkcs8 = open_private_key(master_keys, &key.kid, key.alg, &sealed.master_key_id, &sealed.ciphertext)?;
    let signer = Signer::from_pkcs8(key.kid.clone(), key.alg, pkcs8.expose())?;
    Ok(Opened { signer, ciphertext: sealed.ciphertext.clone() })
}
