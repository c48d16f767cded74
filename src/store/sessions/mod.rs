//! Table `sessions`, and the identifiers of JWTs that may be used once.

pub mod replay_guard;
mod sessions_table;

pub(in crate::store) use sessions_table::granted_access;
pub use sessions_table::*;
