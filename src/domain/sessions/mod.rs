//! The rules of sessions: how long a session lives, and how a refresh token is judged.
//!
//! Owns `Session` and `GrantedAccess`. States of a session: live, expired, revoked. Verdicts on a refresh token: current,
//! reuse within the grace, reuse, ahead of the database, wrong client, over. Token formats are in `crate::tokens`.

mod granted_access;
mod session;

pub use granted_access::GrantedAccess;
pub use session::{Session, SessionLimits, Verdict};
