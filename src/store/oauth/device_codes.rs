//! Table `device_codes`.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::oauth::DeviceGrant;
use crate::domain::{ClientId, SessionId, UserId};
use crate::store::row::row;
use crate::store::sessions::granted_access;
use crate::store::{Conn, StoreError, Tx, execute, on};

macro_rules! columns {
    () => {
        "digest, user_code, client_id, scope, audience, session_id, browser_id, created_at, expires_at, denied_at, \
         consumed_at"
    };
}

row! {
    struct DeviceRow {
        digest: Vec<u8>,
        user_code: Vec<u8>,
        client_id: String,
        scope: String,
        audience: String,
        session_id: Uuid,
        browser_id: Option<Uuid>,
        created_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
        denied_at: Option<DateTime<Utc>>,
        consumed_at: Option<DateTime<Utc>>,
    }
}

impl From<DeviceRow> for DeviceGrant {
    fn from(row: DeviceRow) -> Self {
        Self {
            digest: row.digest,
            user_code: row.user_code,
            client_id: ClientId::new_unchecked(row.client_id),
            granted: granted_access(&row.scope, &row.audience),
            session: SessionId(row.session_id),
            browser: row.browser_id.map(SessionId),
            created_at: row.created_at,
            expires_at: row.expires_at,
            denied_at: row.denied_at,
            consumed_at: row.consumed_at,
        }
    }
}

/// Remembers a device that begins to wait. `false`, and nothing done, when another one has that user code.
pub async fn insert(conn: &mut Conn, device: &DeviceGrant, interval: TimeDelta) -> Result<bool, StoreError> {
    let inserted = execute!(
        conn,
        sqlx::query(
            "INSERT INTO device_codes (digest, user_code, client_id, scope, audience, session_id, created_at,
                                       expires_at, interval_s, next_poll_us)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0) ON CONFLICT (user_code) DO NOTHING",
        )
        .bind(&device.digest)
        .bind(&device.user_code)
        .bind(device.client_id.as_str())
        .bind(device.granted.scopes.to_string())
        .bind(device.granted.audience.join(" "))
        .bind(device.session.0)
        .bind(device.created_at)
        .bind(device.expires_at)
        .bind(interval.num_seconds())
    )?;
    Ok(inserted == 1)
}

/// The device with this user code, however far it has come.
pub async fn of_user_code(conn: &mut Conn, user_code: &[u8]) -> Result<Option<DeviceGrant>, StoreError> {
    let row: Option<DeviceRow> = on!(conn, |c| {
        sqlx::query_as(concat!("SELECT ", columns!(), " FROM device_codes WHERE user_code = $1"))
            .bind(user_code)
            .fetch_optional(c)
    })?;
    Ok(row.map(DeviceGrant::from))
}

/// Somebody lets a device in that waits. `false` when it does not wait any more.
pub async fn allow(
    tx: &mut Tx,
    digest: &[u8],
    browser: SessionId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let changed = execute!(
        tx,
        sqlx::query(
            "UPDATE device_codes SET browser_id = $1
             WHERE digest = $2 AND browser_id IS NULL AND denied_at IS NULL AND expires_at > $3",
        )
        .bind(browser.0)
        .bind(digest)
        .bind(now)
    )?;
    Ok(changed == 1)
}

/// Somebody turns a device away that waits. `false` when it does not wait any more.
pub async fn deny(tx: &mut Tx, digest: &[u8], now: DateTime<Utc>) -> Result<bool, StoreError> {
    let changed = execute!(
        tx,
        sqlx::query(
            "UPDATE device_codes SET denied_at = $1
             WHERE digest = $2 AND browser_id IS NULL AND denied_at IS NULL AND expires_at > $1",
        )
        .bind(now)
        .bind(digest)
    )?;
    Ok(changed == 1)
}

/// Uses up what somebody has allowed a device of this client. The one gate: of any number of parallel callers one gets it.
pub async fn consume(
    tx: &mut Tx,
    digest: &[u8],
    client: &ClientId,
    now: DateTime<Utc>,
) -> Result<Option<DeviceGrant>, StoreError> {
    let rows: Vec<DeviceRow> = on!(tx, |c| {
        sqlx::query_as(concat!(
            "UPDATE device_codes SET consumed_at = $1
             WHERE digest = $2 AND client_id = $3 AND browser_id IS NOT NULL AND denied_at IS NULL
                   AND consumed_at IS NULL AND expires_at > $1 RETURNING ",
            columns!()
        ))
        .bind(now)
        .bind(digest)
        .bind(client.as_str())
        .fetch_all(c)
    })?;
    Ok(rows.into_iter().next().map(DeviceGrant::from))
}

/// A device of this client, by its code.
pub async fn of_client(
    conn: &mut Conn,
    digest: &[u8],
    client: &ClientId,
) -> Result<Option<DeviceGrant>, StoreError> {
    let row: Option<DeviceRow> = on!(conn, |c| {
        sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM device_codes WHERE digest = $1 AND client_id = $2"
        ))
        .bind(digest)
        .bind(client.as_str())
        .fetch_optional(c)
    })?;
    Ok(row.map(DeviceGrant::from))
}

/// Notes that a device has asked. `false` when it came too soon: from then on it must wait longer each time, by `longer`.
pub async fn record_poll(
    conn: &mut Conn,
    digest: &[u8],
    tolerance: TimeDelta,
    longer: TimeDelta,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let now_us = now.timestamp_micros();
    let in_time = execute!(
        conn,
        sqlx::query(
            "UPDATE device_codes SET next_poll_us = $1 + interval_s * 1000000
             WHERE digest = $2 AND next_poll_us <= $1 + $3",
        )
        .bind(now_us)
        .bind(digest)
        .bind(tolerance.num_microseconds())
    )?;
    if in_time == 1 {
        return Ok(true);
    }
    execute!(
        conn,
        sqlx::query(
            "UPDATE device_codes SET interval_s = interval_s + $1, next_poll_us = $2 + (interval_s + $1) * 1000000
             WHERE digest = $3",
        )
        .bind(longer.num_seconds())
        .bind(now_us)
        .bind(digest)
    )?;
    Ok(false)
}

/// Hands what one browser session has let in, and has no tokens yet, to the one that takes its place.
pub async fn transfer_children(tx: &mut Tx, from: SessionId, to: SessionId) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query("UPDATE device_codes SET browser_id = $1 WHERE browser_id = $2 AND consumed_at IS NULL")
            .bind(to.0)
            .bind(from.0)
    )?;
    Ok(())
}

/// Forgets the devices of a client that a user has let in and that have no tokens yet.
pub async fn delete_of(tx: &mut Tx, user: UserId, client: &ClientId) -> Result<u64, StoreError> {
    Ok(execute!(
        tx,
        sqlx::query(
            "DELETE FROM device_codes
             WHERE client_id = $1 AND consumed_at IS NULL
                   AND browser_id IN (SELECT id FROM sessions WHERE user_id = $2)",
        )
        .bind(client.as_str())
        .bind(user.0)
    )?)
}

/// Forgets up to `limit` devices whose time was over before `unused`, or which have got tokens and it was before `used`. Returns how
/// many.
pub async fn delete_expired(
    conn: &mut Conn,
    unused: DateTime<Utc>,
    used: DateTime<Utc>,
    limit: i64,
) -> Result<u64, StoreError> {
    Ok(execute!(
        conn,
        sqlx::query(
            "DELETE FROM device_codes WHERE digest IN (
                 SELECT digest FROM device_codes
                 WHERE expires_at < $1 AND (consumed_at IS NULL OR expires_at < $2) ORDER BY expires_at LIMIT $3)",
        )
        .bind(unused)
        .bind(used)
        .bind(limit)
    )?)
}
