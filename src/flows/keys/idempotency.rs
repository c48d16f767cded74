use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::operations::Actor;
use crate::store::keys::idempotency_keys;
use crate::store::{Conn, StoreError, Tx};
use chrono::{DateTime, Utc};

/// The caller's own name for a request, and what tells this request from another under the same name.
pub(super) struct Idempotency<'a> {
    actor: Actor,
    key: Option<&'a str>,
    digest: Vec<u8>,
}

/// Why a remembered answer cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    #[error("this Idempotency-Key was used for another request")]
    Reused,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<'a> Idempotency<'a> {
    pub(super) fn new(actor: Actor, key: Option<&'a str>, options: &str) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, options.as_bytes());
        Self { actor, key, digest: digest.as_ref().to_vec() }
    }

    /// The answer this name got before, if it came with the same request.
    pub(super) async fn answered<T: DeserializeOwned>(
        &self,
        conn: &mut Conn,
    ) -> Result<Option<T>, IdempotencyError> {
        let Some(key) = self.key else { return Ok(None) };
        let Some(found) = idempotency_keys::find(conn, &self.actor, key).await? else { return Ok(None) };
        if found.request_digest != self.digest {
            return Err(IdempotencyError::Reused);
        }
        let row = key.to_owned();
        let corrupt = |_| StoreError::Corrupt { table: "idempotency_keys", column: "response", row };
        Ok(Some(serde_json::from_str(&found.response).map_err(corrupt)?))
    }

    /// Remembers the answer, in the transaction that it tells of.
    pub(super) async fn remember(
        &self,
        tx: &mut Tx,
        answer: &impl Serialize,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let Some(key) = self.key else { return Ok(()) };
        let response = serde_json::to_string(answer).unwrap_or_default();
        idempotency_keys::insert(tx, &self.actor, key, &self.digest, &response, now).await
    }
}
