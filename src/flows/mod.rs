//! What Chancery does: one file, one verb, one small error enum, at most one write transaction.
//!
//! A flow takes the [`App`](crate::app::App) and domain values, decides by the domain's rules, opens the transaction and
//! commits it last. It knows no HTTP and no SQL text. Called by http, cli and background.

pub mod accounts;
pub mod clients;
pub mod keys;
pub mod oauth;
pub mod operations;
pub mod passwords;
pub mod sessions;
