use chrono::{DateTime, Utc};

use super::assess_impact::{assess_impact, glance_at_impact};
use super::flush_usage::flush_usage;
use super::idempotency::{Idempotency, IdempotencyError};
use super::key_change::{ReadKeysError, finish_key_change, read_set};
use super::new_key::{NewKeyError, generate_key, generate_two, insert_key};
use crate::app::App;
use crate::domain::keys::{KeySet, Kid, Revocation};
use crate::domain::operations::{AuditContext, AuditEvent, Reason};
use crate::keys::GeneratedKey;
use crate::store;
use crate::store::keys::signing_keys;
use crate::store::operations::audit;
use crate::store::{StoreError, Tx};
use crate::views::{ImpactView, RevocationView};

/// A wish to revoke a key: it is stolen, or may be.
pub struct RevokeKey {
    pub kid: Kid,
    pub reason: Reason,
    /// Only tell what it would cost.
    pub dry_run: bool,
    /// The caller's own name for this request, so that repeating it repeats nothing.
    pub idempotency_key: Option<String>,
    pub context: AuditContext,
}

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeKeyError {
    #[error("there is no signing key of this kid")]
    NotFound,
    /// The keys changed while new ones were made.
    #[error("another change of the keys came first")]
    Superseded,
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    #[error(transparent)]
    Read(#[from] ReadKeysError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NewKey(#[from] NewKeyError),
}

/// The keys that come in the place of those that go.
enum Successors {
    CurrentAndNext(GeneratedKey, GeneratedKey),
    Next(GeneratedKey),
    None,
}

/// Takes a key out of the JWK Set at once, in one short transaction. Where it signed, a key that was never published signs
/// on, and the waiting key, which lay in the same place, goes too. Sessions live on: they refresh. Revoking what is revoked
/// changes nothing.
pub async fn revoke_key(app: &App, request: RevokeKey) -> Result<RevocationView, RevokeKeyError> {
    // A rotation in between makes it a revocation of another kind. An emergency does not take no for an answer.
    for _ in 0..3 {
        match try_revoke(app, &request).await {
            Err(RevokeKeyError::Superseded) => {}
            answered => return answered,
        }
    }
    Err(RevokeKeyError::Superseded)
}

async fn try_revoke(app: &App, request: &RevokeKey) -> Result<RevocationView, RevokeKeyError> {
    let options = format!("revoke {} {:?} {}", request.kid, request.reason, request.dry_run);
    let idempotency =
        Idempotency::new(request.context.actor.clone(), request.idempotency_key.as_deref(), &options);
    let seen = {
        let mut conn = app.db.read().await?;
        if let Some(answered) = idempotency.answered(&mut conn).await? {
            return Ok(answered);
        }
        read_set(&mut conn).await?
    };
    let now = app.clock.now();
    let wanted = seen.revocation(&request.kid, now).ok_or(RevokeKeyError::NotFound)?;
    let impact = impact(app, request, now).await?;
    if request.dry_run {
        let policy = &app.settings.key_policy;
        let foreseen = RevocationView::foreseen(&seen, &request.kid, wanted, impact, policy, now);
        return foreseen.ok_or(RevokeKeyError::NotFound);
    }
    let view = |set: &KeySet| {
        RevocationView::of(set, &request.kid, impact, &app.settings.key_policy, app.clock.now())
            .ok_or(RevokeKeyError::NotFound)
    };
    if wanted == Revocation::Done {
        return view(&seen);
    }

    // Primes take their time; no lock is held meanwhile.
    let successors = make_successors(app, wanted).await?;
    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    if let Some(answered) = idempotency.answered(&mut tx).await? {
        successors.return_unused(app);
        return Ok(answered);
    }
    let now = app.clock.now();
    let Some(set) = replace(&mut tx, app, request, wanted, successors, now).await? else {
        return view(&read_set(&mut tx).await?);
    };
    let answer = view(&set)?;
    idempotency.remember(&mut tx, &answer, now).await?;
    signing_keys::announce(&mut tx).await?;
    tx.commit().await?;
    match finish_key_change(app, now).await {
        Some(repaired) => view(&repaired),
        None => Ok(answer),
    }
}

/// What it costs: all that is known for a dry run, what can be told at once for an emergency.
async fn impact(
    app: &App,
    request: &RevokeKey,
    now: DateTime<Utc>,
) -> Result<Option<ImpactView>, StoreError> {
    let impact = if request.dry_run {
        flush_usage(app).await?;
        Some(assess_impact(app, &request.kid, now).await?)
    } else {
        glance_at_impact(app, &request.kid, now).await
    };
    Ok(impact.map(|impact| ImpactView::of(&impact, now)))
}

async fn make_successors(app: &App, wanted: Revocation) -> Result<Successors, NewKeyError> {
    Ok(match wanted {
        Revocation::CurrentAndNext => {
            let (current, next) = generate_two(&app.key_factory).await?;
            Successors::CurrentAndNext(current, next)
        }
        Revocation::Next => Successors::Next(generate_key(&app.key_factory).await?),
        Revocation::Alone | Revocation::Done => Successors::None,
    })
}

impl Successors {
    /// No database has seen them.
    fn return_unused(self, app: &App) {
        match self {
            Self::CurrentAndNext(current, next) => {
                app.key_factory.return_unused(current);
                app.key_factory.return_unused(next);
            }
            Self::Next(next) => app.key_factory.return_unused(next),
            Self::None => {}
        }
    }
}

/// Looks again, now that nobody else can change anything, and does it. Gives the keys as they are afterwards; `None` when
/// another request was faster and all is as wished.
async fn replace(
    tx: &mut Tx,
    app: &App,
    request: &RevokeKey,
    wanted: Revocation,
    successors: Successors,
    now: DateTime<Utc>,
) -> Result<Option<KeySet>, RevokeKeyError> {
    let set = read_set(tx).await?;
    let still_wanted = set.revocation(&request.kid, now);
    if still_wanted != Some(wanted) {
        successors.return_unused(app);
        return if still_wanted == Some(Revocation::Done) {
            Ok(None)
        } else {
            Err(RevokeKeyError::Superseded)
        };
    }
    let mut gone = vec![request.kid.clone()];
    if wanted == Revocation::CurrentAndNext {
        gone.push(set.next().kid.clone());
    }
    for kid in &gone {
        signing_keys::revoke(tx, kid, now).await?;
    }
    match &successors {
        Successors::CurrentAndNext(current, next) => {
            insert_key(tx, app, current, Some(now), now).await?;
            insert_key(tx, app, next, None, now).await?;
        }
        Successors::Next(next) => insert_key(tx, app, next, None, now).await?,
        Successors::None => {}
    }
    let after = read_set(tx).await?;
    let detail = serde_json::json!({
        "reason": request.reason.as_str(),
        "asked_for": request.kid.as_str(),
        "current": after.current().kid.as_str(),
        "next": after.next().kid.as_str(),
    });
    let detail = detail.to_string();
    for kid in &gone {
        audit::append(tx, AuditEvent::KeyRevoked, &request.context, kid.as_str(), Some(&detail), now).await?;
    }
    Ok(Some(after))
}
