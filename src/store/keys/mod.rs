//! Tables of signing keys, of tokens counted per key, of consumers of the key set, and of remembered answers.

pub mod idempotency_keys;
pub mod issued_tokens;
pub mod jwks_consumers;
pub mod signing_keys;
