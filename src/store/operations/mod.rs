//! Table `audit`: security events, append only.
//!
//! `append` runs in the transaction of the change that it records; the log line follows the commit. The database refuses every
//! UPDATE of a row.

pub mod audit;
