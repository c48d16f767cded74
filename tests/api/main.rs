//! HTTP tests through one `TestApp`, laid out like the URL tree; each runs on SQLite and on Postgres.
//!
//! `make test` gives them a Postgres server. Time is advanced, never slept, except where a real process is watched.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

mod admin;
mod architecture;
mod auth;
mod bodies;
mod cli;
mod conformance;
mod damage;
mod key_import;
mod master_keys;
mod migration;
mod nodes;
mod oauth2;
mod openapi;
mod operations;
mod outage;
mod probe;
mod processes;
mod revoke_all;
mod stalls;
mod store;
mod stored_secrets;
mod tls;
mod upgrade;
mod well_known;
