//! Table `sessions`, and `replay_guard`: the identifiers of JWTs that may be used once.
//!
//! There is no row per refresh token: `advance` moves the session's generation by one conditional UPDATE. Every function that
//! ends a session writes its back-channel logout in the same statement.

pub mod replay_guard;
mod sessions_table;

pub(in crate::store) use sessions_table::granted_access;
pub use sessions_table::*;
