//! `/admin`: what operators do. Every handler takes a `Permit` of the scope it needs.

pub mod audit;
pub mod clients;
pub mod keys;
pub mod users;
