use chrono::{DateTime, TimeDelta, Utc};

use super::idempotency::{Idempotency, IdempotencyError};
use super::key_change::{ReadKeysError, finish_key_change, read_set};
use super::new_key::{NewKeyError, generate_key, insert_key};
use super::open_key::{OpenKeyError, open_key};
use super::read_propagation::read_propagation;
use crate::app::App;
use crate::domain::keys::{KeySet, Kid, Rotation, SigningKey, Trigger};
use crate::domain::operations::{AuditContext, AuditEvent, Reason};
use crate::keys::GeneratedKey;
use crate::store;
use crate::store::keys::signing_keys;
use crate::store::operations::audit;
use crate::store::{StoreError, Tx};
use crate::views::RotationView;

/// A wish to rotate.
pub struct RotateKeys {
    pub trigger: Trigger,
    /// Required to force; audited.
    pub reason: Option<Reason>,
    /// Only tell what would happen.
    pub dry_run: bool,
    /// The caller's own name for this request, so that repeating it repeats nothing.
    pub idempotency_key: Option<String>,
    pub context: AuditContext,
}

/// Why nothing was rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateKeysError {
    /// Some verifier may not have the next key yet.
    #[error("the next key may not sign before {eligible_at}")]
    NotEligible { eligible_at: DateTime<Utc>, wait_s: i64 },
    /// The schedule asked too early.
    #[error("the next rotation is due at {0}")]
    NotDue(DateTime<Utc>),
    /// Another rotation was faster; what this one was asked to promote is current already.
    #[error("another rotation came first")]
    Superseded,
    #[error("forcing a rotation needs a reason")]
    ReasonMissing,
    /// What waits cannot sign; it is being replaced.
    #[error("the next key is in quarantine: {0}")]
    NextUnusable(#[source] OpenKeyError),
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    #[error(transparent)]
    Read(#[from] ReadKeysError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NewKey(#[from] NewKeyError),
}

impl RotateKeys {
    fn idempotency(&self) -> Idempotency<'_> {
        let options = format!("rotate {:?} {:?} {}", self.trigger, self.reason, self.dry_run);
        Idempotency::new(self.context.actor.clone(), self.idempotency_key.as_deref(), &options)
    }
}

/// Lets the next key sign, demotes the current one and publishes a new next: one short transaction, under a lock. Asked
/// on any number of nodes at once, one request wins and the others hear why not.
pub async fn rotate_keys(app: &App, request: RotateKeys) -> Result<RotationView, RotateKeysError> {
    if request.trigger == Trigger::Forced && request.reason.is_none() {
        return Err(RotateKeysError::ReasonMissing);
    }
    let policy = &app.settings.key_policy;
    let idempotency = request.idempotency();
    let seen = {
        let mut conn = app.db.read().await?;
        if let Some(answered) = idempotency.answered(&mut conn).await? {
            return Ok(answered);
        }
        read_set(&mut conn).await?
    };
    let now = app.clock.now();
    permit(&seen, app, request.trigger, now)?;
    if request.dry_run {
        let known = read_propagation(app).await?;
        return Ok(RotationView::foreseen(&seen, &known, policy, now));
    }

    // Primes take their time; no lock is held meanwhile.
    let generated = generate_key(&app.key_factory).await?;

    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    if let Some(answered) = idempotency.answered(&mut tx).await? {
        app.key_factory.return_unused(generated);
        return Ok(answered);
    }
    let now = app.clock.now();
    let promoted = promote_next(&mut tx, app, &request, &generated, &seen.next().kid, now).await;
    // Whoever lost the race leaves the key for the next one: no database has seen it.
    let mut answer = promoted.inspect_err(|_| app.key_factory.return_unused(generated))?;
    idempotency.remember(&mut tx, &answer, now).await?;
    signing_keys::announce(&mut tx).await?;
    tx.commit().await?;
    if let Some(repaired) = finish_key_change(app, now).await {
        answer = RotationView::of(&repaired, policy, app.clock.now());
    }
    Ok(answer)
}

/// The pure decision as a result.
fn permit(set: &KeySet, app: &App, trigger: Trigger, now: DateTime<Utc>) -> Result<bool, RotateKeysError> {
    match set.decide(&app.settings.key_policy, trigger, now) {
        Rotation::Proceed { early } => Ok(early),
        Rotation::NotEligible(eligible_at) => {
            let wait_s = (eligible_at - now).num_seconds() + 1;
            Err(RotateKeysError::NotEligible { eligible_at, wait_s })
        }
        Rotation::NotDue(due_at) => Err(RotateKeysError::NotDue(due_at)),
    }
}

/// Decides again, now that nobody else can, and does it.
async fn promote_next(
    tx: &mut Tx,
    app: &App,
    request: &RotateKeys,
    generated: &GeneratedKey,
    expected_next: &Kid,
    now: DateTime<Utc>,
) -> Result<RotationView, RotateKeysError> {
    let policy = &app.settings.key_policy;
    let stored = signing_keys::all(tx).await?;
    let set =
        KeySet::new(stored.iter().map(|stored| stored.key.clone()).collect()).map_err(ReadKeysError::from)?;
    let early = permit(&set, app, request.trigger, now)?;
    let (demoted, promoted) = (set.current(), set.next());
    if promoted.kid != *expected_next {
        return Err(RotateKeysError::Superseded);
    }
    if let Some(row) = stored.iter().find(|stored| stored.key.kid == promoted.kid) {
        open_key(&app.master_keys, row).map_err(RotateKeysError::NextUnusable)?;
    }
    let retires_at = policy.retires_at(now, longest_life(app, demoted));
    let swapped = signing_keys::demote(tx, &demoted.kid, now, retires_at).await?
        && signing_keys::promote(tx, &promoted.kid, now, app.settings.tokens.access_token_ttl).await?;
    if !swapped {
        return Err(RotateKeysError::Superseded);
    }
    insert_key(tx, app, generated, None, now).await?;

    let event = if early { AuditEvent::KeysRotationForced } else { AuditEvent::KeysRotated };
    let detail = serde_json::json!({
        "demoted": demoted.kid.as_str(),
        "next": generated.kid.as_str(),
        "reason": request.reason.as_ref().map(Reason::as_str),
    });
    audit::append(tx, event, &request.context, promoted.kid.as_str(), Some(&detail.to_string()), now).await?;
    Ok(RotationView::of(&read_set(tx).await?, policy, now))
}

/// What its row says, what this node signs, and what this node remembers: the longest counts, should the row be damaged.
fn longest_life(app: &App, demoted: &SigningKey) -> TimeDelta {
    let held = app.keyring.load_full();
    let remembered = held.as_ref().and_then(|held| held.set().find(&demoted.kid)).map(|key| key.longest_life);
    demoted.longest_life.max(app.settings.tokens.access_token_ttl).max(remembered.unwrap_or_default())
}
