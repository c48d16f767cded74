//! Tokens: access tokens and ID tokens, issued and verified, logout tokens, what a service must refuse, the refresh-token codec,
//! codes, client secrets and what clients sign instead, proofs that a client has its key, the cookie of a browser that is
//! signed in, and everything that is sealed: secrets in the database, requests in the forms of pages.
//!
//! No SQL and no HTTP: whether a session lives or a key is revoked is read by the flows and handed in. Called by the
//! flows, by the probe and by the benchmarks.

mod access;
mod assertion;
mod browser;
mod dpop;
mod dpop_nonce;
mod forge;
mod id_token;
mod logout_token;
mod opaque;
mod pending_request;
mod private_key;
mod refresh;
mod sealed;
mod sign;
mod user_code;
mod verify;

/// The media type of an access token (RFC 9068 section 2.1). An ID token or any other JWT under our keys has another.
const TYP: &str = "at+jwt";

pub use access::{AccessClaims, AccessToken, Act, Audience, Confirmation, issue};
pub use assertion::{AssertionError, ClientAssertion, UnusedAssertion};
pub use browser::BrowserToken;
pub use dpop::{DpopError, ProofWanted, UnusedProof, verify_proof};
pub use dpop_nonce::DpopNonces;
pub use forge::{Forgery, SigningMaterial, forge};
pub use id_token::{IdClaims, IdToken, at_hash, issue_id_token};
pub use logout_token::{LogoutClaims, LogoutEvents, LogoutToken, issue_logout_token};
pub use opaque::{
    AuthorizationCodeSecret, ClientSecret, DeviceCode, RegistrationToken, RequestUri, challenge_of,
};
pub use pending_request::{
    BrowserBinding, OpenedPage, PageKind, PendingRequest, PendingRequestKind, PresentedConsent, ReturnTarget,
};
pub use private_key::{PRIVATE_KEY, open_private_key, seal_private_key};
pub use refresh::{RefreshKeys, RefreshToken, RefreshTokenText};
pub use sealed::{OpenedSecret, SealError, SealedSecret, SealedState, SecretKind, StateKind};
pub use user_code::UserCode;
pub use verify::{Expected, TokenError, verify, verify_hint};
