//! Tables `login_attempts` and `network_attempts`: failed attempts per account or device, and per network.
//!
//! Subjects are MACs: no row says which address or network it counts. States of an attempt: charged, then finished or refunded;
//! a charge that is never finished lapses.

pub mod login_attempts;
pub mod network_attempts;
