//! What operators do to the whole server: read the audit log, end all sessions, clean up.
//!
//! URLs: `/admin/audit`. Commands: `chancery revoke-all`. The background task calls `clean_up`. Key changes are in
//! `flows::keys`.

mod clean_up;
mod fence;
mod read_audit;
mod record_refusal;

pub use clean_up::clean_up;
pub use fence::{Fence, FenceError, fence};
pub use read_audit::{AuditPage, read_audit};
pub use record_refusal::record_refusal;
