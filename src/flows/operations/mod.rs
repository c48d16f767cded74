//! What operators do to the whole server: read the audit log, revoke all sessions and keys.
//!
//! URLs: `/admin/audit`. Commands: `chancery revoke-all`. Key changes are in
//! `flows::keys`.

mod clean_ups;
mod read_audit;
mod record_refusal;
mod revoke_all;

pub(in crate::flows) use clean_ups::CLEAN_UPS;
pub use read_audit::{AuditPage, read_audit};
pub use record_refusal::record_refusal;
pub use revoke_all::{RevokeAll, RevokeAllError, revoke_all};
