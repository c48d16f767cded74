use std::time::{Duration, Instant};

use crate::app::App;
use crate::domain::{CandidatePassword, User};
use crate::passwords::{Busy, Checked};
use crate::store::StoreError;
use crate::store::login_attempts::{self, Charge};
use crate::throttle::Subject;

/// The timer wakes at whole milliseconds, the next one.
const TIMER_GRAIN: Duration = Duration::from_millis(1);

/// Why nothing was found out about a password.
#[derive(Debug, thiserror::Error)]
pub enum CheckPasswordError {
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The one place where a password is checked: charge the attempt, hash, settle. An unknown user, a disabled user, a wrong
/// password and a subject that has failed too often are all `Wrong`, after as long.
///
/// `subject` is `None` for what is no address at all, and `candidate` for what no password can be; neither belongs to
/// anybody, so there is nothing to protect and nothing to tell.
pub(super) async fn check_password(
    app: &App,
    subject: Option<Subject>,
    user: Option<&User>,
    candidate: Option<CandidatePassword>,
) -> Result<Checked, CheckPasswordError> {
    let Some(candidate) = candidate else { return Ok(Checked::Wrong) };
    // Before anything is written, so that a flood is turned away at no cost.
    let slot = app.hasher.reserve()?;
    let started = Instant::now();
    if let Some(subject) = subject
        && !charge(app, subject).await?
    {
        drop(slot);
        metrics::counter!("chancery_password_checks_throttled_total").increment(1);
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
    if let Some(subject) = subject {
        settle(app, subject, &checked).await?;
    }
    if checked == Ok(Checked::Wrong) {
        app.hasher.note_wrong(started.elapsed());
    }
    Ok(checked?)
}

/// `false` when the subject has failed too often. While the whole budget is in other checks that are under way, it waits
/// for them: they may be right, and parallel right logins all succeed.
async fn charge(app: &App, subject: Subject) -> Result<bool, CheckPasswordError> {
    let wait = app.settings.passwords.hasher.wait;
    let given_up = Instant::now() + wait;
    let mut pause = Duration::from_millis(10);
    loop {
        let now = app.clock.now();
        let lapses_at = now + wait * 2;
        let mut conn = app.db.write().await?;
        let policy = &app.settings.throttle;
        match login_attempts::charge(&mut conn, subject.as_bytes(), policy, lapses_at, now).await? {
            Charge::Charged => return Ok(true),
            Charge::Refused => return Ok(false),
            Charge::InFlight => {}
        }
        drop(conn);
        if Instant::now() >= given_up {
            return Err(Busy.into());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

async fn settle(app: &App, subject: Subject, checked: &Result<Checked, Busy>) -> Result<(), StoreError> {
    let subject = subject.as_bytes();
    match checked {
        Ok(Checked::Right { .. }) => login_attempts::clear(&mut app.db.write().await?, subject).await,
        Err(Busy) => login_attempts::give_back(&mut app.db.write().await?, subject).await,
        Ok(Checked::Wrong) => {
            let mut tx = app.db.begin().await?;
            let failures =
                login_attempts::settle_failure(&mut tx, subject, &app.settings.throttle, app.clock.now())
                    .await?;
            tx.commit().await?;
            if failures >= app.settings.throttle.hard_stop {
                tracing::warn!(event = "login_stopped", failures);
            }
            Ok(())
        }
    }
}
