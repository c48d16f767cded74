//! Sessions: how a refresh token is judged, and what a client was granted.

mod granted_access;
mod session;

pub use granted_access::GrantedAccess;
pub use session::{Session, SessionLimits, Verdict};
