//! Signing keys and master keys: load, create, import, rotate, revoke, repair, rewrap, and measure who has fetched them.
//!
//! URLs: `/.well-known/jwks.json` (through the keyring), `/admin/keys` and below. States of a key: next, current, previous,
//! retired, revoked (`domain::keys::KeySet` decides). Every change takes the signing-key lock, reads the keys again under
//! the lock, and commits last. This module issues no tokens and knows no users.

mod assess_impact;
mod check_master_keys;
mod clean_ups;
mod create_first_keys;
mod flush_usage;
mod idempotency;
mod import_key;
mod keep_last_good;
mod key_change;
mod list_keys;
mod load_keyring;
mod new_key;
mod open_key;
mod publish_probe_key;
mod read_propagation;
mod record_retirements;
mod repair_keys;
mod retire_probe_key;
mod revoke_key;
mod rewrap_keys;
mod rotate_keys;
mod stored_secrets;
mod sync_clock;
mod warn_of_lost_sessions;

pub use check_master_keys::{CheckMasterKeysError, check_master_keys};
pub(in crate::flows) use clean_ups::CLEAN_UPS;
pub use create_first_keys::create_first_keys;
pub use flush_usage::flush_usage;
pub use idempotency::IdempotencyError;
pub use import_key::{ImportKey, ImportKeyError, Placement, import_key};
pub use keep_last_good::{keep_last_good, recall_last_good};
pub use key_change::ReadKeysError;
pub(in crate::flows) use key_change::{finish_key_change, read_set};
pub use list_keys::{list_keys, propagation_of};
pub use load_keyring::{LoadKeyringError, fresh_keyring, load_keyring};
pub use new_key::NewKeyError;
pub(in crate::flows) use new_key::{generate_two, insert_key};
pub use open_key::OpenKeyError;
pub use publish_probe_key::publish_probe_key;
pub use read_propagation::{measure_propagation, read_propagation};
pub use record_retirements::record_retirements;
pub use repair_keys::{RepairKeysError, repair_keys};
pub use retire_probe_key::retire_probe_key;
pub use revoke_key::{RevokeKey, RevokeKeyError, revoke_key};
pub use rewrap_keys::{Progress, RewrapKeysError, rewrap_keys};
pub use rotate_keys::{RotateKeys, RotateKeysError, rotate_keys};
pub use stored_secrets::{STORED_SECRETS, StoredSecrets, UnopenedSecrets};
pub use sync_clock::sync_clock;
pub use warn_of_lost_sessions::warn_of_lost_sessions;
