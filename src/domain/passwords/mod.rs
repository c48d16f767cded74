//! The rules of passwords: which password may be set, and how failed checks slow down further ones.
//!
//! Owns the password types, none of which can be printed except a hash, and the limits per account and per network. States of
//! an account under attack: attempts before back-off, back-off, locked. Hashing is in `crate::passwords`.

mod password;
mod throttle;

pub use password::{CandidatePassword, NewPassword, PasswordHash, PasswordRejected};
pub use throttle::{NetworkPolicy, ThrottlePolicy};
