//! The JSON shapes others rely on: what HTTP answers, what `-o json` prints and what an Idempotency-Key remembers.
//!
//! Made from domain values, never from rows. Used by flows, http and cli.

mod audit;
mod clients;
mod key_changes;
mod keys;
mod master_keys;
mod propagation;
mod users;

use chrono::{DateTime, Utc};

pub use audit::AuditView;
pub use clients::{
    AuthMethodView, ClientSecretView, ClientSettingsView, ClientView, RegisteredClientView, json_of,
};
pub use key_changes::{ImpactView, RevocationView, RevokeAllView, RotationView};
pub use keys::{KeyListView, KeyView};
pub use master_keys::{MasterKeyView, RewrapView};
pub use propagation::{ConsumerView, PropagationView, ReachView};
pub use users::{ConsentView, SessionView, UserView};

/// A time as every answer writes it.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
