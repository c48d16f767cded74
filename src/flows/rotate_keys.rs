use chrono::{DateTime, TimeDelta, Utc};

use super::load_keyring::load_keyring;
use super::new_key::{NewKeyError, insert_key, mint_key};
use crate::app::App;
use crate::domain::{AuditEvent, KeySet, KeySetBroken, Kid, Origin, Reason, Rotation, Trigger};
use crate::keys::MintedKey;
use crate::store::{self, Conn, StoreError, Tx, audit, idempotency_keys, signing_keys};
use crate::views::RotationView;

/// The bounds have seconds to spare for a commit that takes less.
const SLOW_COMMIT: TimeDelta = TimeDelta::seconds(1);

/// A wish to rotate.
pub struct RotateKeys {
    pub trigger: Trigger,
    /// Required to force; audited.
    pub reason: Option<Reason>,
    /// Only tell what would happen.
    pub dry_run: bool,
    /// The caller's own name for this request, so that repeating it repeats nothing.
    pub idempotency_key: Option<String>,
    pub origin: Origin,
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
    #[error("this Idempotency-Key was used for another request")]
    IdempotencyKeyReused,
    #[error(transparent)]
    Set(#[from] KeySetBroken),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NewKey(#[from] NewKeyError),
}

impl RotateKeys {
    /// What tells this request from another under the same Idempotency-Key.
    fn digest(&self) -> Vec<u8> {
        let wish = format!("{:?} {:?} {}", self.trigger, self.reason, self.dry_run);
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, wish.as_bytes()).as_ref().to_vec()
    }
}

/// Lets the next key sign, demotes the current one and publishes a new next: one short transaction, under a lock. Asked
/// on any number of nodes at once, one request wins and the others hear why not.
pub async fn rotate_keys(app: &App, request: RotateKeys) -> Result<RotationView, RotateKeysError> {
    if request.trigger == Trigger::Forced && request.reason.is_none() {
        return Err(RotateKeysError::ReasonMissing);
    }
    let policy = &app.settings.key_policy;
    let seen = {
        let mut conn = app.db.read().await?;
        if let Some(answered) = remembered(&mut conn, &request).await? {
            return Ok(answered);
        }
        read_set(&mut conn).await?
    };
    let now = app.clock.now();
    permit(&seen, app, request.trigger, now)?;
    if request.dry_run {
        return Ok(RotationView::foreseen(&seen, policy, now));
    }

    // Primes take their time; no lock is held meanwhile.
    let minted = mint_key(&app.mint).await?;

    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    if let Some(answered) = remembered(&mut tx, &request).await? {
        app.mint.give_back(minted);
        return Ok(answered);
    }
    let promoted = promote_next(&mut tx, app, &request, &minted, &seen.next().kid).await;
    // Whoever lost the race leaves the key for the next one: no database has seen it.
    let mut answer = promoted.inspect_err(|_| app.mint.give_back(minted))?;
    tx.commit().await?;
    // From here on the rotation is a fact; what fails now is an alarm and not the caller's failure.
    match mend_after_slow_commit(app, &answer).await {
        Ok(None) => {}
        Ok(Some(mended)) => answer = mended,
        Err(error) => tracing::error!(event = "slow_commit_not_mended", %error),
    }
    tracing::info!(
        event = "keys_rotated",
        trigger = ?request.trigger,
        kid = answer.current.kid,
        actor = %request.origin.actor,
        reason = request.reason.as_ref().map(Reason::as_str),
    );

    if let Err(error) = load_keyring(app).await {
        // The poll will read it.
        tracing::warn!(event = "keyring_not_loaded", %error);
    }
    Ok(answer)
}

/// Both bounds of a key's life count from the moment other nodes can see the rotation, and the rows say the moment before
/// the commit. Where the commit took long, the new next key's lead and the old key's retirement are moved by as much.
async fn mend_after_slow_commit(
    app: &App,
    answer: &RotationView,
) -> Result<Option<RotationView>, RotateKeysError> {
    let (policy, now) = (&app.settings.key_policy, app.clock.now());
    let stamped_at = answer.current.activated_at.unwrap_or(now);
    if now - stamped_at <= SLOW_COMMIT {
        return Ok(None);
    }
    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    if let Some(next) = &answer.next {
        signing_keys::postpone_publication(&mut tx, &Kid::new(next.kid.clone()), now).await?;
    }
    for demoted in answer.previous.iter().filter(|key| key.demoted_at == Some(stamped_at)) {
        let retires_at = demoted.retires_at.unwrap_or(now) + (now - stamped_at);
        signing_keys::postpone_retirement(&mut tx, &Kid::new(demoted.kid.clone()), retires_at).await?;
    }
    let mended = RotationView::of(&read_set(&mut tx).await?, policy, now);
    tx.commit().await?;
    tracing::warn!(event = "slow_commit", ms = (now - stamped_at).num_milliseconds());
    Ok(Some(mended))
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
    minted: &MintedKey,
    expected_next: &Kid,
) -> Result<RotationView, RotateKeysError> {
    let policy = &app.settings.key_policy;
    let set = read_set(tx).await?;
    let now = app.clock.now();
    let early = permit(&set, app, request.trigger, now)?;
    let (demoted, promoted) = (set.current(), set.next());
    if promoted.kid != *expected_next {
        return Err(RotateKeysError::Superseded);
    }
    let retires_at = policy.retires_at(now, demoted.longest_life);
    let swapped = signing_keys::demote(tx, &demoted.kid, now, retires_at).await?
        && signing_keys::promote(tx, &promoted.kid, now, app.settings.tokens.access_life).await?;
    if !swapped {
        return Err(RotateKeysError::Superseded);
    }
    insert_key(tx, &app.masters, minted, app, None, now).await?;

    let event = if early { AuditEvent::KeysRotationForced } else { AuditEvent::KeysRotated };
    let detail = serde_json::json!({
        "demoted": demoted.kid.as_str(),
        "next": minted.kid.as_str(),
        "reason": request.reason.as_ref().map(Reason::as_str),
    });
    audit::append(tx, event, &request.origin, promoted.kid.as_str(), Some(&detail.to_string()), now).await?;
    let answer = RotationView::of(&read_set(tx).await?, policy, now);
    if let Some(key) = &request.idempotency_key {
        let response = serde_json::to_string(&answer).unwrap_or_default();
        idempotency_keys::insert(tx, request.origin.actor, key, &request.digest(), &response, now).await?;
    }
    store::announce_keys(tx).await?;
    Ok(answer)
}

/// The answer this Idempotency-Key got before, if it came with the same request.
async fn remembered(conn: &mut Conn, request: &RotateKeys) -> Result<Option<RotationView>, RotateKeysError> {
    let Some(key) = &request.idempotency_key else { return Ok(None) };
    let found = idempotency_keys::find(conn, request.origin.actor, key).await?;
    let Some(found) = found else { return Ok(None) };
    if found.request_digest != request.digest() {
        return Err(RotateKeysError::IdempotencyKeyReused);
    }
    let corrupt = |_| StoreError::Corrupt { table: "idempotency_keys", column: "response", row: key.clone() };
    Ok(Some(serde_json::from_str(&found.response).map_err(corrupt)?))
}

async fn read_set(conn: &mut Conn) -> Result<KeySet, RotateKeysError> {
    Ok(KeySet::new(signing_keys::all(conn).await?.into_iter().map(|stored| stored.key).collect())?)
}
