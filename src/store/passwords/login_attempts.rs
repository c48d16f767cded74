//! Table `login_attempts`.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::passwords::ThrottlePolicy;
use crate::store::row::row;
use crate::store::{Conn, StoreError, Tx, execute, on};

row! {
    struct LoginAttemptsRow {
        failures: i64,
        blocked_until: DateTime<Utc>,
    }
}

/// Not simply "until now": parallel requests look at the clock a moment apart, and the one that looked first is not blocked
/// by the one that wrote first.
const NOT_BLOCKED: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// What became of the wish to check a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// The attempt is charged: check the password, then finish the charge.
    Charged,
    /// Too many failures; not now, or not at all.
    Refused,
    /// The budget is all in checks that are under way: ask again soon.
    InFlight,
}

/// Charges one attempt before anything is checked: one atomic upsert, so that of any number of parallel guesses no more
/// than the budget are ever checked. An unfinished charge lapses at `lapses_at`.
pub async fn charge(
    conn: &mut Conn,
    subject: &[u8],
    policy: &ThrottlePolicy,
    lapses_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Charge, StoreError> {
    let charged = execute!(
        conn,
        sqlx::query(
            "INSERT INTO login_attempts (subject, failures, in_flight, in_flight_until, blocked_until, updated_at)
             VALUES ($1, 0, 1, $2, $6, $3)
             ON CONFLICT (subject) DO UPDATE SET
                 in_flight = CASE WHEN login_attempts.in_flight_until <= $3 THEN 1
                                  ELSE login_attempts.in_flight + 1 END,
                 in_flight_until = $2, updated_at = $3
             WHERE login_attempts.failures < $4 AND login_attempts.blocked_until <= $3
               AND (login_attempts.in_flight = 0 OR login_attempts.in_flight_until <= $3
                    OR login_attempts.failures + login_attempts.in_flight < $5)",
        )
        .bind(subject)
        .bind(lapses_at)
        .bind(now)
        .bind(policy.lockout_threshold)
        .bind(policy.attempts_before_backoff)
        .bind(NOT_BLOCKED)
    )?;
    if charged == 1 {
        return Ok(Charge::Charged);
    }
    let row: Option<LoginAttemptsRow> = on!(conn, |c| {
        sqlx::query_as("SELECT failures, blocked_until FROM login_attempts WHERE subject = $1")
            .bind(subject)
            .fetch_optional(c)
    })?;
    Ok(match row {
        Some(row) if row.failures >= policy.lockout_threshold || row.blocked_until > now => Charge::Refused,
        _ => Charge::InFlight,
    })
}

/// Counts a failed check, and blocks the subject for as long as the policy says. Returns the failures in a row.
pub async fn finish_failure(
    tx: &mut Tx,
    subject: &[u8],
    policy: &ThrottlePolicy,
    now: DateTime<Utc>,
) -> Result<i64, StoreError> {
    // The row may be gone: another attempt was right meanwhile. This one was wrong all the same.
    let failures: i64 = on!(tx, |c| {
        sqlx::query_scalar(
            "INSERT INTO login_attempts (subject, failures, in_flight, in_flight_until, blocked_until, updated_at)
             VALUES ($1, 1, 0, $2, $3, $2)
             ON CONFLICT (subject) DO UPDATE SET
                 failures = login_attempts.failures + 1, updated_at = $2,
                 in_flight = CASE WHEN login_attempts.in_flight > 0 THEN login_attempts.in_flight - 1 ELSE 0 END
             RETURNING failures",
        )
        .bind(subject)
        .bind(now)
        .bind(NOT_BLOCKED)
        .fetch_one(c)
    })?;
    let backoff = policy.backoff(failures);
    if backoff > TimeDelta::zero() {
        execute!(
            tx,
            sqlx::query("UPDATE login_attempts SET blocked_until = $1 WHERE subject = $2")
                .bind(now + backoff)
                .bind(subject)
        )?;
    }
    Ok(failures)
}

/// Gives a charge back whose check was never made, and leaves no row where there was nothing else to tell.
pub async fn refund(conn: &mut Conn, subject: &[u8]) -> Result<(), StoreError> {
    execute!(
        conn,
        sqlx::query(
            "UPDATE login_attempts SET in_flight = in_flight - 1 WHERE subject = $1 AND in_flight > 0"
        )
        .bind(subject)
    )?;
    execute!(
        conn,
        sqlx::query("DELETE FROM login_attempts WHERE subject = $1 AND failures = 0 AND in_flight = 0")
            .bind(subject)
    )?;
    Ok(())
}

/// Forgets a subject's failures: it got the password right.
pub async fn clear(conn: &mut Conn, subject: &[u8]) -> Result<(), StoreError> {
    execute!(conn, sqlx::query("DELETE FROM login_attempts WHERE subject = $1").bind(subject))?;
    Ok(())
}

/// Forgets up to `limit` subjects not tried since `before` that are not stopped for good. Returns how many.
pub async fn delete_older(
    conn: &mut Conn,
    before: DateTime<Utc>,
    lockout_threshold: i64,
    limit: i64,
) -> Result<u64, StoreError> {
    Ok(execute!(
        conn,
        sqlx::query(
            "DELETE FROM login_attempts WHERE subject IN (
                 SELECT subject FROM login_attempts WHERE updated_at < $1 AND failures < $2
                 ORDER BY updated_at LIMIT $3)",
        )
        .bind(before)
        .bind(lockout_threshold)
        .bind(limit)
    )?)
}
