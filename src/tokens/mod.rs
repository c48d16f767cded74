//! Tokens: the claims of an access token, issuing and verifying one, and the refresh-token codec.
//!
//! No SQL and no HTTP: whether a session lives or a key is revoked is read by the flows and handed in. Called by the
//! flows and the benchmarks.

mod access;
mod refresh;
mod verify;

/// The media type of an access token (RFC 9068 section 2.1). An ID token or any other JWT under our keys has another.
const TYP: &str = "at+jwt";

pub use access::{AccessClaims, AccessToken, Audience, issue};
pub use refresh::{RefreshKeys, RefreshToken, RefreshTokenText};
pub use verify::{Expected, TokenError, verify};
