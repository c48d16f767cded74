//! Tables `signing_keys` and `signing_keys_version`, `issued_tokens`, `jwks_consumers`, `idempotency_keys`; and the sealed
//! columns of all tables.
//!
//! A private key is a ciphertext here, with the id of its master key. Two partial unique indexes hold "one current, one next".
//! Changes of keys run under `lock_signing_keys`, which the flows take.

pub mod idempotency_keys;
pub mod issued_tokens;
pub mod jwks_consumers;
pub mod sealed_columns;
pub mod signing_keys;
