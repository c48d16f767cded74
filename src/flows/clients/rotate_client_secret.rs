use chrono::{DateTime, TimeDelta, Utc};

use super::client_authority::may_manage;
use crate::app::App;
use crate::domain::ClientId;
use crate::domain::accounts::{Authority, BeyondAuthority};
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::store::operations::audit;
use crate::store::{StoreError, clients};
use crate::tokens::ClientSecret;

/// A client's new secret, given once.
#[derive(Debug)]
pub struct RotatedSecret {
    pub secret: ClientSecret,
    /// Until when earlier ones are good, if they do not end before.
    pub old_until: DateTime<Utc>,
}

/// Why a client got no new secret.
#[derive(Debug, thiserror::Error)]
pub enum RotateClientSecretError {
    #[error("there is no such client")]
    NotFound,
    #[error("a public client has no secret, nor has one with keys of its own")]
    NoSecret,
    #[error("the overlap must be between 0 s and 30 d")]
    Overlap,
    #[error(transparent)]
    Authority(#[from] BeyondAuthority),
    #[error("the operating system gives no randomness")]
    NoRandomness,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RotatedSecret {
    pub const DEFAULT_OVERLAP: TimeDelta = TimeDelta::hours(24);
    pub const LONGEST_OVERLAP: TimeDelta = TimeDelta::days(30);
}

/// Gives a client a new secret. Earlier ones go on for `overlap`, so that it need not change everywhere at once.
pub async fn rotate_client_secret(
    app: &App,
    id: &ClientId,
    overlap: TimeDelta,
    authority: &Authority,
    context: &AuditContext,
) -> Result<RotatedSecret, RotateClientSecretError> {
    if overlap < TimeDelta::zero() || overlap > RotatedSecret::LONGEST_OVERLAP {
        return Err(RotateClientSecretError::Overlap);
    }
    let secret = ClientSecret::random().ok_or(RotateClientSecretError::NoRandomness)?;
    let now = app.clock.now();
    let old_until = now + overlap;
    let mut tx = app.db.begin().await?;
    let client = clients::lock_for_update(&mut tx, id).await?.ok_or(RotateClientSecretError::NotFound)?;
    may_manage(app, authority, &client)?;
    if !client.has_secret() {
        return Err(RotateClientSecretError::NoSecret);
    }
    clients::expire_secrets(&mut tx, id, old_until).await?;
    clients::add_secret(&mut tx, id, &secret.digest(), now).await?;
    let detail = serde_json::json!({ "old_until": old_until }).to_string();
    audit::append(&mut tx, AuditEvent::ClientSecretRotated, context, id.as_str(), Some(&detail), now).await?;
    tx.commit().await?;
    Ok(RotatedSecret { secret, old_until })
}
