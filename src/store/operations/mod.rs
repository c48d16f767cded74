//! Table `audit`.

pub mod audit;
