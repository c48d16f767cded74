//! The rules of accounts: users, roles, and how far the authority of an administrator reaches.
//!
//! Owns `User`, `RolePolicy` and `Authority`. States of an account: active, disabled. Passwords are in `domain::passwords`;
//! e-mail addresses and display names, which other capabilities share, are at the root of `domain`.

mod roles;
mod user;

pub use roles::{Authority, BeyondAuthority, InvalidRole, Role, RolePolicy, Roles};
pub use user::{User, UserStatus};
