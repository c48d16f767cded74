//! Table `users`.

pub mod users;
