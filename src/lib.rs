//! Chancery: a standalone auth server. It checks passwords, issues signed access tokens that any service verifies offline,
//! and rotates its signing keys without breaking anyone.
//!
//! # The modules, lowest first. `docs/ARCHITECTURE.md` says which may import which; `tests/api/architecture.rs` checks it.
//!
//! - [`clock`], [`domain`]: time, words and rules. No I/O.
//! - [`store`]: the only module that knows sqlx. One text for Postgres and SQLite.
//! - [`passwords`], [`keys`], [`tokens`], [`throttle`]: hashing; key material; what is signed; whose failures count
//!   together. No SQL, no HTTP.
//! - [`outbound`], [`tls`]: requests to addresses that clients registered; the certificate that this server serves.
//! - [`usage_recorder`]: what a node has seen since it last wrote to the database.
//! - [`settings`], [`views`]: what operators write and what others read.
//! - [`app`]: the one shared state of a node.
//! - [`flows`]: one file, one verb, at most one write transaction.
//! - [`start`], [`telemetry`], [`background`]: from settings to a working node, and what it does unasked.
//! - [`http`], [`server`], [`cli`]: the entrances to the flows, and what runs them.
//!
//! # Two paths
//!
//! *Log in*: `http::auth::login` → [`flows::sessions::log_in`] → find the user → charge, check the hash or the dummy hash → sign → one
//! transaction: the login recorded, the session inserted → commit → token response.
//!
//! *Rotate*: `background` or `http::admin::keys` or `cli::keys` → [`flows::keys::rotate_keys`] → read the keys →
//! [`domain::keys::KeySet::decide`] → make a key outside any transaction → under a lock: read and decide again, demote,
//! promote, insert → commit → this node reads its keyring again, the others follow by NOTIFY or poll.

pub mod app;
pub mod background;
pub mod cli;
pub mod clock;
pub mod domain;
pub mod flows;
pub mod http;
pub mod keys;
pub mod outbound;
pub mod passwords;
pub mod server;
pub mod settings;
pub mod start;
pub mod store;
pub mod telemetry;
pub mod throttle;
pub mod tls;
pub mod tokens;
pub mod usage_recorder;
pub mod views;
