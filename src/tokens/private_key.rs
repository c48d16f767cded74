//! The private half of a signing key at rest. It is bound to kid, algorithm and master key id, so
//! it cannot be moved to another row or relabelled.

use super::sealed::{OpenedSecret, SealError, SealedSecret, SecretKind};
use crate::domain::keys::{Kid, SigningAlgorithm};
use crate::keys::{MasterKeys, Purpose};

/// Sealed as by 0.1.0, whose keys open.
pub const PRIVATE_KEY: SecretKind =
    SecretKind::new("signing key", Purpose::new("chancery/v1/seal-signing-keys"));

/// Seals PKCS#8 bytes under the first master key.
pub fn seal_private_key(
    master_keys: &MasterKeys,
    kid: &Kid,
    alg: SigningAlgorithm,
    pkcs8: &[u8],
) -> Result<SealedSecret, SealError> {
    PRIVATE_KEY.seal(master_keys, &[kid.as_str(), alg.as_str()], pkcs8)
}

/// Opens a sealed private key and returns its PKCS#8 bytes.
pub fn open_private_key(
    master_keys: &MasterKeys,
    kid: &Kid,
    alg: SigningAlgorithm,
    master_key_id: &str,
    ciphertext: &[u8],
) -> Result<OpenedSecret, SealError> {
    PRIVATE_KEY.open(master_keys, &[kid.as_str(), alg.as_str()], master_key_id, ciphertext)
}
