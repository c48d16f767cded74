//! Tables of failed attempts: per account or device, and per network.

pub mod login_attempts;
pub mod network_attempts;
