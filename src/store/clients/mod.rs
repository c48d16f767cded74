//! Tables `clients`, `client_secrets` and `client_registrations`.
//!
//! A secret is a SHA-256 digest here and is live until its `expires_at`. A registration is a client that registered itself
//! (RFC 7591), with the digest of the token that manages it.

pub mod client_registrations;
mod client_row;
mod clients_table;

pub use clients_table::*;
