//! What Chancery does: one file, one verb, one small error enum, at most one write transaction.
//!
//! A flow takes the [`App`] and domain values, decides by the domain's rules, opens the transaction and
//! commits it last. It knows no HTTP and no SQL text. Called by http, cli and background.

mod clean_up;

pub mod accounts;
pub mod clients;
pub mod keys;
pub mod oauth;
pub mod operations;
pub mod passwords;
pub mod sessions;

use crate::app::App;
use crate::store::StoreError;

/// Removes rows that have no use any more. Returns how many.
pub async fn clean_up(app: &App) -> Result<u64, StoreError> {
    let clean_ups = [
        keys::CLEAN_UPS,
        passwords::CLEAN_UPS,
        sessions::CLEAN_UPS,
        clients::CLEAN_UPS,
        operations::CLEAN_UPS,
        oauth::CLEAN_UPS,
    ];
    clean_up::run(app, clean_ups.into_iter().flatten()).await
}
