//! Table `network_attempts`.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::passwords::NetworkPolicy;
use crate::store::row::row;
use crate::store::{Conn, StoreError, Tx, execute, on};

row! {
    struct NetworkAttemptsRow {
        spent_until_us: i64,
    }
}

/// What became of the wish to make an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkCharge {
    /// The attempt is charged: make it, then finish the charge.
    Charged,
    /// The budget is spent; the next attempt is free after so long.
    Refused { retry_after: TimeDelta },
    /// The rest of the budget is all in attempts that are under way: ask again soon.
    InFlight,
}

/// Charges one attempt before it is made: one atomic upsert. An unfinished charge lapses at `lapses_at`.
pub async fn charge(
    tx: &mut Tx,
    subject: &[u8],
    policy: &NetworkPolicy,
    lapses_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<NetworkCharge, StoreError> {
    let now_us = now.timestamp_micros();
    let interval_us = policy.interval_us();
    // Whoever owes no more than this may try once more.
    let bound_us = now_us.saturating_add(interval_us.saturating_mul(policy.attempts - 1));
    let charged = execute!(
        tx,
        sqlx::query(
            "INSERT INTO network_attempts (subject, spent_until_us, in_flight, in_flight_until_us)
             VALUES ($1, $2, 1, $3)
             ON CONFLICT (subject) DO UPDATE SET
                 in_flight = CASE WHEN network_attempts.in_flight_until_us <= $2 THEN 1
                                  ELSE network_attempts.in_flight + 1 END,
                 in_flight_until_us = $3
             WHERE (CASE WHEN network_attempts.spent_until_us > $2 THEN network_attempts.spent_until_us ELSE $2 END)
                 + (CASE WHEN network_attempts.in_flight_until_us <= $2 THEN 0
                         ELSE network_attempts.in_flight * $4 END) <= $5",
        )
        .bind(subject)
        .bind(now_us)
        .bind(lapses_at.timestamp_micros())
        .bind(interval_us)
        .bind(bound_us)
    )?;
    if charged == 1 {
        return Ok(NetworkCharge::Charged);
    }
    let row: Option<NetworkAttemptsRow> = on!(tx, |c| {
        sqlx::query_as("SELECT spent_until_us FROM network_attempts WHERE subject = $1")
            .bind(subject)
            .fetch_optional(c)
    })?;
    Ok(match row {
        Some(row) if row.spent_until_us > bound_us => {
            NetworkCharge::Refused { retry_after: TimeDelta::microseconds(row.spent_until_us - bound_us) }
        }
        _ => NetworkCharge::InFlight,
    })
}

/// Takes a charge off; with `spend`, what it was for counts against the budget.
pub async fn finish(
    conn: &mut Conn,
    subject: &[u8],
    policy: &NetworkPolicy,
    spend: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let now_us = now.timestamp_micros();
    let cost_us = if spend { policy.interval_us() } else { 0 };
    execute!(
        conn,
        sqlx::query(
            "UPDATE network_attempts SET
                 in_flight = CASE WHEN in_flight > 0 THEN in_flight - 1 ELSE 0 END,
                 spent_until_us = CASE WHEN spent_until_us > $2 THEN spent_until_us ELSE $2 END + $3
             WHERE subject = $1",
        )
        .bind(subject)
        .bind(now_us)
        .bind(cost_us)
    )?;
    Ok(())
}

/// Forgets up to `limit` sources that owed nothing at `before`. Returns how many.
pub async fn delete_finished(conn: &mut Conn, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    Ok(execute!(
        conn,
        sqlx::query(
            "DELETE FROM network_attempts WHERE subject IN (
                 SELECT subject FROM network_attempts WHERE spent_until_us < $1 AND in_flight_until_us < $1
                 ORDER BY spent_until_us LIMIT $2)",
        )
        .bind(before.timestamp_micros())
        .bind(limit)
    )?)
}
