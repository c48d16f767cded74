//! Tokens: the claims of an access token, issuing and verifying one, and the refresh-token codec.
//!
//! No SQL and no HTTP: whether a session lives or a key is revoked is read by the flows and handed in. Called by the
//! flows and the benchmarks.

mod access;
mod refresh;
mod verify;

pub use access::{AccessClaims, AccessToken, Audience, issue};
pub use refresh::{RefreshKeys, RefreshToken, RefreshTokenText};
pub use verify::{Expected, TokenError, verify};
