//! Signing keys: their states, when each may sign, and who has fetched the key set.

mod consumer;
mod impact;
mod signing_key;

pub use consumer::{Consumer, JwksFetch, KnownConsumer};
pub use impact::{Impact, IssuedTokens};
pub use signing_key::{
    Eligibility, KeyPolicy, KeySet, KeySetBroken, KeyStatus, Kid, Revocation, Rotation, SigningAlgorithm,
    SigningKey, Trigger,
};
