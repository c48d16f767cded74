use chrono::{DateTime, Utc};

use crate::app::App;
use crate::domain::keys::{IssuedTokens, KeySet, KeyStatus, Kid};
use crate::domain::operations::{AuditContext, AuditEvent, Reason};
use crate::flows::keys::flush_usage;
use crate::flows::keys::{NewKeyError, generate_two, insert_key};
use crate::flows::keys::{ReadKeysError, finish_key_change, read_set};
use crate::store;
use crate::store::keys::{idempotency_keys, issued_tokens, signing_keys};
use crate::store::operations::audit;
use crate::store::{StoreError, sessions};
use crate::views::{KeyView, RevokeAllView};

/// Sessions ended by one statement: short enough that nobody waits for it.
const BATCH: i64 = 5000;

/// A request to revoke every session and every published key.
pub struct RevokeAll {
    pub reason: Reason,
    /// Only count what would be revoked.
    pub dry_run: bool,
    pub context: AuditContext,
}

/// Why not everything was revoked. Sessions that were revoked stay revoked; a second call continues.
#[derive(Debug, thiserror::Error)]
pub enum RevokeAllError {
    #[error(transparent)]
    Read(#[from] ReadKeysError),
    #[error(transparent)]
    NewKey(#[from] NewKeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Revokes all sessions and all published keys, and signs with keys that were never published. For a database that was
/// restored from a backup, in which ended sessions and revoked keys are valid again, or for a theft of unknown extent.
///
/// Sessions first, in batches, so that none of them can refresh into a token under the new keys; then the keys, in one
/// transaction.
pub async fn revoke_all(app: &App, request: RevokeAll) -> Result<RevokeAllView, RevokeAllError> {
    let begun = app.clock.now();
    if request.dry_run {
        return foresee(app, begun).await;
    }
    let set = read_set(&mut app.db.read().await?).await?;
    let (tokens, last_expires_at) = valid_tokens(app, &set, begun).await?;
    let ended = end_sessions(app, begun).await?;

    // Primes take their time; no lock is held meanwhile.
    let (current, next) = generate_two(&app.key_factory).await?;
    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    let now = app.clock.now();
    let gone = published(&read_set(&mut tx).await?, now);
    for kid in &gone {
        signing_keys::revoke(&mut tx, kid, now).await?;
    }
    insert_key(&mut tx, app, &current, Some(now), now).await?;
    insert_key(&mut tx, app, &next, None, now).await?;
    // Answers given before name keys that are gone.
    idempotency_keys::delete_older(&mut tx, now).await?;
    let revoked: Vec<&str> = gone.iter().map(Kid::as_str).collect();
    let detail = serde_json::json!({
        "reason": request.reason.as_str(), "sessions": ended, "revoked": revoked, "current": current.kid.as_str(),
    });
    let (event, detail) = (AuditEvent::AllSessionsRevoked, detail.to_string());
    audit::append(&mut tx, event, &request.context, current.kid.as_str(), Some(&detail), now).await?;
    signing_keys::announce(&mut tx).await?;
    let set = read_set(&mut tx).await?;
    tx.commit().await?;
    // What a client was given meanwhile, by a browser whose turn had not come.
    end_sessions(app, begun).await?;
    let set = finish_key_change(app, now).await.unwrap_or(set);
    let (policy, now) = (&app.settings.key_policy, app.clock.now());
    Ok(RevokeAllView {
        dry_run: false,
        sessions: ended,
        valid_tokens: tokens,
        last_expires_at,
        revoked: gone.iter().map(Kid::to_string).collect(),
        current: Some(KeyView::of(set.current(), policy, now)),
        next: Some(KeyView::of(set.next(), policy, now)),
    })
}

async fn foresee(app: &App, now: DateTime<Utc>) -> Result<RevokeAllView, RevokeAllError> {
    flush_usage(app).await?;
    let set = read_set(&mut app.db.read().await?).await?;
    let sessions = sessions::count_live(&mut app.db.read().await?, &app.settings.sessions, now).await?;
    let (tokens, last_expires_at) = valid_tokens(app, &set, now).await?;
    Ok(RevokeAllView {
        dry_run: true,
        sessions,
        valid_tokens: tokens,
        last_expires_at,
        revoked: published(&set, now).iter().map(Kid::to_string).collect(),
        current: None,
        next: None,
    })
}

fn published(set: &KeySet, now: DateTime<Utc>) -> Vec<Kid> {
    let is_gone = |status| matches!(status, KeyStatus::Retired | KeyStatus::Revoked);
    set.all().iter().filter(|key| !is_gone(key.status(now))).map(|key| key.kid.clone()).collect()
}

/// Access tokens that are not expired, under all keys together, and when the last of them does.
async fn valid_tokens(
    app: &App,
    set: &KeySet,
    now: DateTime<Utc>,
) -> Result<(i64, Option<DateTime<Utc>>), StoreError> {
    let mut conn = app.db.read().await?;
    let mut all = Vec::new();
    for kid in published(set, now) {
        all.extend(issued_tokens::valid(&mut conn, &kid, now).await?);
    }
    let all = all.into_iter().reduce(IssuedTokens::plus);
    Ok((all.map_or(0, |all| all.tokens), all.map(|all| all.last_expires_at)))
}

/// Ends every session begun until now. The connection goes back between batches, so others get their turn.
async fn end_sessions(app: &App, begun: DateTime<Utc>) -> Result<i64, StoreError> {
    let mut ended = 0;
    loop {
        let mut tx = app.db.begin().await?;
        let batch = sessions::revoke_begun_by(&mut tx, begun, BATCH).await?;
        tx.commit().await?;
        ended += i64::try_from(batch).unwrap_or(BATCH);
        if batch < BATCH.unsigned_abs() {
            return Ok(ended);
        }
    }
}
