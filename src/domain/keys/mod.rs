//! The rules of signing keys: which key signs, when the next one may, when a previous one leaves the JWK Set.
//!
//! Owns `SigningKey`, `KeySet` and its decisions (rotate, revoke), who has fetched the key set, and what a revocation costs.
//! States of a key: next, current, previous, retired, revoked; each follows from the key's timestamps. Key bytes are in
//! `crate::keys`.

mod consumer;
mod impact;
mod signing_key;

pub use consumer::{Consumer, JwksFetch, KnownConsumer};
pub use impact::{Impact, IssuedTokens};
pub use signing_key::{
    Eligibility, KeyPolicy, KeySet, KeySetBroken, KeyStatus, Kid, Revocation, Rotation, SigningAlgorithm,
    SigningKey, Trigger,
};
