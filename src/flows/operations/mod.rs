//! What operators do to the whole server: read the audit log, end all sessions, clean up.
//!
//! URLs: `/admin/audit`. Commands: `chancery revoke-all`. The background task calls `clean_up`. Key changes are in
//! `flows::keys`.

mod clean_up;
mod read_audit;
mod record_refusal;
mod revoke_all;

pub use clean_up::clean_up;
pub use read_audit::{AuditPage, read_audit};
pub use record_refusal::record_refusal;
pub use revoke_all::{RevokeAll, RevokeAllError, revoke_all};
