//! Password checks: charge the attempt, hash on the hashing threads, finish the charge.
//!
//! No URL of its own: log in, sign in, password change and registration call it. States of an attempt: charged, then
//! finished as right or wrong, or refunded. Every password check in the program goes through `check_password`. This module begins no
//! session and changes no account.

mod charge_network;
mod check_password;
mod clean_ups;
mod hash_new_password;
mod prove_password;

pub(in crate::flows) use charge_network::{charge_network, charge_network_alone};
pub use check_password::TooManyAttempts;
pub(in crate::flows) use check_password::{Attempt, CheckPasswordError, Payers, check_password};
pub(in crate::flows) use clean_ups::CLEAN_UPS;
pub use hash_new_password::NewPasswordError;
pub(in crate::flows) use hash_new_password::hash_new_password;
pub(in crate::flows) use prove_password::{AuthenticatedUser, prove_password};
pub use prove_password::{Device, LogIn, ProvePasswordError};
