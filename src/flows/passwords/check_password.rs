use std::net::IpAddr;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::App;
use crate::domain::accounts::User;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::domain::passwords::{CandidatePassword, NetworkPolicy};
use crate::passwords::{Busy, Checked};
use crate::store::operations::audit;
use crate::store::passwords::login_attempts;
use crate::store::passwords::login_attempts::Charge;
use crate::store::passwords::network_attempts;
use crate::store::passwords::network_attempts::NetworkCharge;
use crate::store::{StoreError, Tx};
use crate::throttle::{NetworkBudget, Subject};

/// Wrong passwords.
const PASSWORD_CHECKS: NetworkBudget = NetworkBudget::new("password source");

/// The timer wakes at whole milliseconds, the next one.
const TIMER_GRAIN: Duration = Duration::from_millis(1);

/// Why nothing was found out about a password.
#[derive(Debug, thiserror::Error)]
pub enum CheckPasswordError {
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    TooManyAttempts(#[from] TooManyAttempts),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A source network has used up its budget. It says nothing of any account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts from this network")]
pub struct TooManyAttempts {
    pub retry_after: TimeDelta,
}

impl TooManyAttempts {
    /// For `Retry-After`: a second too late is better than one too soon.
    pub fn wait_s(&self) -> i64 {
        self.retry_after.num_seconds() + 1
    }
}

/// Whose budgets a password check is charged to.
#[derive(Clone, Copy)]
pub(in crate::flows) struct Payers {
    /// The account, or a known device of it. `None` for what is no address at all: it belongs to nobody.
    pub account: Option<Subject>,
    network: Option<(Subject, NetworkPolicy)>,
}

impl Payers {
    /// `ip` is left out where a known device pays for itself: whoever shares its network cannot lock it out.
    pub fn new(app: &App, account: Option<Subject>, ip: Option<IpAddr>) -> Self {
        let network = |(ip, policy)| (Subject::network(&app.master_keys, PASSWORD_CHECKS, ip), policy);
        Self { account, network: ip.zip(app.settings.max_failures_per_network).map(network) }
    }
}

/// A password check as the audit table will know it if it fails.
pub(in crate::flows) struct Attempt<'a> {
    pub payers: Payers,
    pub context: &'a AuditContext,
    pub failure: AuditEvent,
}

/// What a charge came to.
enum Charged {
    Yes,
    /// The account has failed too often.
    No,
    InFlight,
}

/// The one place where a password is checked: charge the attempt, hash, finish the charge. An unknown user, a disabled user, a wrong
/// password and an account that has failed too often are all `Wrong`, after as long.
///
/// `candidate` is `None` for what no password can be: there is nothing to protect and nothing to tell.
pub(in crate::flows) async fn check_password(
    app: &App,
    attempt: Attempt<'_>,
    user: Option<&User>,
    candidate: Option<CandidatePassword>,
) -> Result<Checked, CheckPasswordError> {
    let Some(candidate) = candidate else { return Ok(Checked::Wrong) };
    // Before anything is written, so that a flood is turned away at no cost.
    let slot = app.hasher.reserve()?;
    let started = Instant::now();
    if !charge(app, attempt.payers).await? {
        drop(slot);
        metrics::counter!("chancery_password_checks_throttled_total", "by" => "account").increment(1);
        let already = started.elapsed() + TIMER_GRAIN;
        tokio::time::sleep(app.hasher.typical_wrong().saturating_sub(already)).await;
        return Ok(Checked::Wrong);
    }
    let stored = user.map(|user| user.password_hash.clone());
    let checked = match app.hasher.check(slot, candidate, stored).await {
        Ok(right @ Checked::Right { .. }) if user.is_some_and(User::may_act) => Ok(right),
        Ok(_) => Ok(Checked::Wrong),
        Err(busy) => Err(busy),
    };
    finish(app, &attempt, user, &checked).await?;
    if checked == Ok(Checked::Wrong) {
        app.hasher.record_wrong(started.elapsed());
    }
    Ok(checked?)
}

/// `false` when the account has failed too often. While the rest of a budget is in other checks that are under way, it waits
/// for them: they may be right, and parallel right logins all succeed.
async fn charge(app: &App, payers: Payers) -> Result<bool, CheckPasswordError> {
    let wait = app.settings.passwords.hasher.queue_timeout;
    let given_up = Instant::now() + wait;
    let mut pause = Duration::from_millis(10);
    loop {
        let now = app.clock.now();
        match charge_once(app, payers, now + wait * 2, now).await? {
            Charged::Yes => return Ok(true),
            Charged::No => return Ok(false),
            Charged::InFlight => {}
        }
        if Instant::now() >= given_up {
            return Err(Busy.into());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// Charges all payers or none: a transaction that is not committed did nothing. The source comes first, everywhere.
async fn charge_once(
    app: &App,
    payers: Payers,
    lapses_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Charged, CheckPasswordError> {
    let _turn = app.password_turns.acquire().await;
    let mut tx = app.db.begin().await?;
    if let Some((network, policy)) = payers.network {
        match network_attempts::charge(&mut tx, network.as_bytes(), &policy, lapses_at, now).await? {
            NetworkCharge::Charged => {}
            NetworkCharge::InFlight => return Ok(Charged::InFlight),
            NetworkCharge::Refused { retry_after } => {
                metrics::counter!("chancery_password_checks_throttled_total", "by" => "network").increment(1);
                return Err(TooManyAttempts { retry_after }.into());
            }
        }
    }
    if let Some(account) = payers.account {
        let policy = &app.settings.throttle;
        match login_attempts::charge(&mut tx, account.as_bytes(), policy, lapses_at, now).await? {
            Charge::Charged => {}
            Charge::InFlight => return Ok(Charged::InFlight),
            // It costs the source nothing: nothing is found out, and one device with an old password should not keep out
            // everybody behind the same address.
            Charge::Refused => return Ok(Charged::No),
        }
    }
    tx.commit().await?;
    Ok(Charged::Yes)
}

async fn finish(
    app: &App,
    attempt: &Attempt<'_>,
    user: Option<&User>,
    checked: &Result<Checked, Busy>,
) -> Result<(), StoreError> {
    let (payers, now) = (attempt.payers, app.clock.now());
    let _turn = app.password_turns.acquire().await;
    let mut tx = app.db.begin().await?;
    if let Some((network, policy)) = payers.network {
        let is_wrong = *checked == Ok(Checked::Wrong);
        network_attempts::finish(&mut tx, network.as_bytes(), &policy, is_wrong, now).await?;
    }
    let mut failures = None;
    if let Some(account) = payers.account {
        let (subject, policy) = (account.as_bytes(), &app.settings.throttle);
        match checked {
            Ok(Checked::Right { .. }) => login_attempts::clear(&mut tx, subject).await?,
            Err(Busy) => login_attempts::refund(&mut tx, subject).await?,
            Ok(Checked::Wrong) => {
                failures = Some(login_attempts::finish_failure(&mut tx, subject, policy, now).await?);
            }
        }
    }
    if *checked == Ok(Checked::Wrong) {
        record_failure(app, &mut tx, attempt, user, failures, now).await?;
    }
    tx.commit().await
}

/// Whoever typed a password into the wrong field must not find it in a table, so an unknown name is told by its MAC.
async fn record_failure(
    app: &App,
    tx: &mut Tx,
    attempt: &Attempt<'_>,
    user: Option<&User>,
    failures: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let subject = match (user, attempt.payers.account) {
        (Some(user), _) => user.id.to_string(),
        (None, Some(account)) => format!("unknown:{}", account.label()),
        (None, None) => "unknown".to_owned(),
    };
    let detail = failures.map(|failures| serde_json::json!({ "failures": failures }).to_string());
    audit::append(tx, attempt.failure, attempt.context, &subject, detail.as_deref(), now).await?;
    if failures == Some(app.settings.throttle.lockout_threshold) {
        audit::append(tx, AuditEvent::AccountLocked, attempt.context, &subject, None, now).await?;
    }
    Ok(())
}
