//! Passwords and the limits on guessing them.

mod password;
mod throttle;

pub use password::{CandidatePassword, NewPassword, PasswordHash, PasswordRejected};
pub use throttle::{NetworkPolicy, ThrottlePolicy};
