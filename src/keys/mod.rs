//! Key material: making and reading keys, master keys and what is derived from them, signing, and the JWK Set.
//!
//! Owns the bytes of keys and never the rows: no SQL and no HTTP here. The keyring is one snapshot of all keys, replaced
//! whole when the database has changed. Called by the flows; tokens sign and verify with what the keyring holds.

mod import;
mod jwks;
mod key_factory;
mod keyring;
mod last_good;
mod master;
mod public;
mod signer;

pub use import::{
    ClientKeysError, ImportError, ImportOptions, ImportedKey, ProofKey, ProofKeyError, import_key,
    read_client_keys, read_proof_key,
};
pub use jwks::JwksDocument;
pub use key_factory::{GeneratedKey, KeyFactory, KeyFactoryError, KeyPlan};
pub use keyring::{KeyFault, Keyring, Opened, OpenedPrivateKeys, Reading};
pub use last_good::{keep, recall};
pub use master::{MasterKey, MasterKeyError, MasterKeys, Purpose};
pub use signer::{Signer, SignerError};
