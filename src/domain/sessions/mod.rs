//! Sessions: how a refresh token is judged, and what a client was granted.

mod grant;
mod session;

pub use grant::Grant;
pub use session::{Session, SessionLimits, Verdict};
