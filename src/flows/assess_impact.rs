use chrono::{DateTime, Utc};

use super::flush_ledger::flush_ledger;
use crate::app::App;
use crate::domain::{Impact, IssuedTokens, Kid};
use crate::store::{StoreError, issued_tokens, sessions};

/// What revoking a key would cost now: from the rows, so tokens that other nodes signed since their last poll are missing.
pub(super) async fn assess_impact(app: &App, kid: &Kid, now: DateTime<Utc>) -> Result<Impact, StoreError> {
    flush_ledger(app).await?;
    let mut conn = app.db.read().await?;
    let live_sessions = sessions::count_live(&mut conn, &app.settings.sessions, now).await?;
    let valid = issued_tokens::valid(&mut conn, kid, now).await?.into_iter().reduce(IssuedTokens::plus);
    Ok(Impact {
        live_sessions,
        valid_tokens: valid.map_or(0, |valid| valid.tokens),
        last_expires_at: valid.map(|valid| valid.last_expires_at),
    })
}
