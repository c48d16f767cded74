//! Table `users`.
//!
//! `lock_for_update` locks a row for a change that depends on authority. Password hashes are Argon2id strings; no plain password
//! comes here.

pub mod users;
