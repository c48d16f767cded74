//! Table `sessions`, and the identifiers of JWTs that may be used once.

mod sessions_table;
pub mod used_tokens;

pub(in crate::store) use sessions_table::granted_access;
pub use sessions_table::*;
