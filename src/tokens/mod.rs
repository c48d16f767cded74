//! Tokens: the claims of an access token, issuing and verifying one, what a service must refuse, and the refresh-token
//! codec.
//!
//! No SQL and no HTTP: whether a session lives or a key is revoked is read by the flows and handed in. Called by the
//! flows, by the probe and by the benchmarks.

mod access;
mod forge;
mod refresh;
mod verify;

/// The media type of an access token (RFC 9068 section 2.1). An ID token or any other JWT under our keys has another.
const TYP: &str = "at+jwt";

pub use access::{AccessClaims, AccessToken, Audience, issue};
pub use forge::{Forgery, Halves, forge};
pub use refresh::{RefreshKeys, RefreshToken, RefreshTokenText};
pub use verify::{Expected, TokenError, verify};
