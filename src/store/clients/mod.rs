//! Tables `clients` and `client_secrets`, and the registrations that clients made themselves.

pub mod client_registrations;
mod clients_table;

pub use clients_table::*;
