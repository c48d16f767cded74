//! Types and rules: what an e-mail address, a password, a session, a signing key is, and what may happen to it when.
//!
//! Owns no I/O, no async, no database row and no HTTP; every rule takes `now`. Called by every module above. The files at the
//! root are the types that several sub-modules share.

mod client_id;
mod display_name;
mod email;
mod ids;
mod oauth_error;
mod parameters;
mod scopes;
mod thumbprint;

pub mod accounts;
pub mod clients;
pub mod keys;
pub mod oauth;
pub mod operations;
pub mod passwords;
pub mod sessions;

pub use client_id::{ClientId, InvalidClientId};
pub use display_name::{DisplayName, InvalidName};
pub use email::{Email, InvalidEmail};
pub use ids::{SessionId, UserId, time_ordered_id};
pub use oauth_error::{OAuthCode, OAuthError};
pub use parameters::Parameters;
pub use scopes::{InvalidScope, Scope, Scopes, scope};
pub use thumbprint::Thumbprint;
