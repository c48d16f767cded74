//! What operators do to the whole server: read the audit log, end all sessions, clean up.
//!
//! URLs: `/admin/audit`. Commands: `chancery revoke-all`. The background task calls `clean_up`. Key changes are in
//! `flows::keys`.

mod clean_up;
mod fence;
mod note_refusal;
mod read_audit;

pub use clean_up::clean_up;
pub use fence::{Fence, FenceError, fence};
pub use note_refusal::note_refusal;
pub use read_audit::{AuditPage, read_audit};
