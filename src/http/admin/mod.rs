//! `/admin`: what operators do. Every handler takes a `RequireScope` of the scope it needs.

pub mod audit;
pub mod clients;
pub mod keys;
pub mod users;
