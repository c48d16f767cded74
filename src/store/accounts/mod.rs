//! Table `users`.
//!
//! `lock_for_update` locks a row until the transaction ends. Password hashes are Argon2id strings; no plain password
//! comes here.

pub mod users;
