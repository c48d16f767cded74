//! The rules of OAuth clients: settings, redirect URIs, keys, and dynamic registration (RFC 7591).
//!
//! `client.rs` is the client as it is registered, `check.rs` says which settings go together, `change.rs` is a partial
//! change. The other files are the types of single settings. A client has no states. Client secrets are digests in the store
//! and are not part of `Client`.

mod change;
mod check;
mod client;
mod client_keys;
mod login_uri;
mod logout_uri;
mod methods;
mod redirect_uri;
mod registration;

pub use change::ClientChange;
pub use check::InvalidClient;
pub use client::Client;
pub use client_keys::{ClientKey, ClientKeys};
pub use login_uri::LoginUri;
pub use logout_uri::LogoutUri;
pub use methods::{ClientAuthMethod, GrantType};
pub use redirect_uri::{InvalidRedirectUri, RedirectUri};
pub use registration::{ClientMetadata, RegistrationLimits};
