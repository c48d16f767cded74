//! Accounts: users, roles, and how far an administrator's authority reaches.

mod roles;
mod user;

pub use roles::{Authority, BeyondAuthority, InvalidRole, Role, RolePolicy, Roles};
pub use user::{User, UserStatus};
