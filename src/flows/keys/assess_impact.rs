use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::domain::keys::{Impact, IssuedTokens, Kid};
use crate::store::keys::issued_tokens;
use crate::store::{StoreError, sessions};

/// How long a revocation waits to be told what it costs. It is an emergency; the figures are for the report.
const PATIENCE: Duration = Duration::from_secs(1);

/// What revoking a key would cost now: from the rows, so tokens that other nodes signed since their last poll are missing.
pub(super) async fn assess_impact(app: &App, kid: &Kid, now: DateTime<Utc>) -> Result<Impact, StoreError> {
    let mut conn = app.db.read().await?;
    let live_sessions = sessions::count_live(&mut conn, &app.settings.sessions, now).await?;
    let valid = issued_tokens::valid(&mut conn, kid, now).await?.into_iter().reduce(IssuedTokens::plus);
    Ok(Impact {
        live_sessions,
        valid_tokens: valid.map_or(0, |valid| valid.tokens),
        last_expires_at: valid.map(|valid| valid.last_expires_at),
    })
}

/// The same for a revocation that will not wait: what cannot be told soon is not told.
pub(super) async fn glance_at_impact(app: &App, kid: &Kid, now: DateTime<Utc>) -> Option<Impact> {
    tokio::time::timeout(PATIENCE, assess_impact(app, kid, now)).await.ok()?.ok()
}
