//! Table `sessions`.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::sessions::{GrantedAccess, Session, SessionLimits};
use crate::domain::{ClientId, Scopes, SessionId, Thumbprint, UserId};
use crate::store::row::row;
use crate::store::{Backend, Conn, StoreError, Tx, execute, on};

/// The columns of a row, by name: a newer node may have added others.
macro_rules! columns {
    () => {
        "id, user_id, client_id, generation, reuse_count, auth_time, amr, created_at, last_used_at, \
         expires_at, revoked_at, ip, user_agent, parent_id, scope, audience, master_key_id, dpop_jkt"
    };
}

row! {
    struct SessionRow {
        id: Uuid,
        user_id: Uuid,
        client_id: String,
        generation: i64,
        reuse_count: i64,
        auth_time: DateTime<Utc>,
        amr: String,
        created_at: DateTime<Utc>,
        last_used_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
        revoked_at: Option<DateTime<Utc>>,
        ip: Option<String>,
        user_agent: Option<String>,
        parent_id: Option<Uuid>,
        scope: Option<String>,
        audience: Option<String>,
        master_key_id: Option<String>,
        dpop_jkt: Option<String>,
    }
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "sessions", column, row: row.id.to_string() };
        let ip = row.ip.as_deref().map(str::parse::<IpAddr>).transpose().map_err(|_| corrupt("ip"))?;
        Ok(Self {
            id: SessionId(row.id),
            user_id: UserId(row.user_id),
            client_id: ClientId::new_unchecked(row.client_id),
            generation: row.generation,
            reuse_count: row.reuse_count,
            auth_time: row.auth_time,
            amr: row.amr,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            ip,
            user_agent: row.user_agent,
            parent: row.parent_id.map(SessionId),
            granted: row
                .scope
                .map(|scope| granted_access(&scope, row.audience.as_deref().unwrap_or_default())),
            master_key_id: row.master_key_id,
            dpop_jkt: row.dpop_jkt.map(Thumbprint::new_unchecked),
        })
    }
}

/// What was granted, as its columns carry it.
pub(in crate::store) fn granted_access(scope: &str, audience: &str) -> GrantedAccess {
    GrantedAccess {
        scopes: Scopes::from_claim(scope),
        audience: audience.split_ascii_whitespace().map(str::to_owned).collect(),
    }
}

/// More sessions than a person can look through.
const LISTED: i64 = 200;

pub async fn insert(tx: &mut Tx, session: &Session) -> Result<(), StoreError> {
    insert_of_flow(tx, session, None).await.map(|_| ())
}

/// Adds the session that a sign-in makes. `false`, and nothing done, when that sign-in has made one before.
pub async fn insert_of_flow(tx: &mut Tx, session: &Session, flow: Option<Uuid>) -> Result<bool, StoreError> {
    let grant = session.granted.as_ref();
    let inserted = execute!(
        tx,
        sqlx::query(
            "INSERT INTO sessions (id, user_id, client_id, generation, reuse_count, auth_time, amr, created_at,
                                   last_used_at, expires_at, revoked_at, ip, user_agent, master_key_id,
                                   parent_id, scope, audience, flow_id, dpop_jkt)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
             ON CONFLICT (flow_id) WHERE flow_id IS NOT NULL DO NOTHING",
        )
        .bind(session.id.0)
        .bind(session.user_id.0)
        .bind(session.client_id.as_str())
        .bind(session.generation)
        .bind(session.reuse_count)
        .bind(session.auth_time)
        .bind(&session.amr)
        .bind(session.created_at)
        .bind(session.last_used_at)
        .bind(session.expires_at)
        .bind(session.revoked_at)
        .bind(session.ip.map(|ip| ip.to_string()))
        .bind(session.user_agent.as_deref())
        .bind(session.master_key_id.as_deref())
        .bind(session.parent.map(|parent| parent.0))
        .bind(grant.map(|grant| grant.scopes.to_string()))
        .bind(grant.map(|grant| grant.audience.join(" ")))
        .bind(flow)
        .bind(session.dpop_jkt.as_ref().map(Thumbprint::as_str))
    )?;
    Ok(inserted == 1)
}

pub async fn by_id(conn: &mut Conn, id: SessionId) -> Result<Option<Session>, StoreError> {
    let row: Option<SessionRow> = on!(conn, |c| {
        sqlx::query_as(concat!("SELECT ", columns!(), " FROM sessions WHERE id = $1"))
            .bind(id.0)
            .fetch_optional(c)
    })?;
    row.map(Session::try_from).transpose()
}

/// A user's live sessions, the last used first, at most [`LISTED`].
pub async fn live_of_user(
    conn: &mut Conn,
    user: UserId,
    limits: &SessionLimits,
    now: DateTime<Utc>,
) -> Result<Vec<Session>, StoreError> {
    let rows: Vec<SessionRow> = on!(conn, |c| {
        sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM sessions
             WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND last_used_at > $3
             ORDER BY last_used_at DESC, id DESC LIMIT $4"
        ))
        .bind(user.0)
        .bind(now)
        .bind(limits.idle_since(now))
        .bind(LISTED)
        .fetch_all(c)
    })?;
    rows.into_iter().map(Session::try_from).collect()
}

/// The statement of [`advance`], with how the row is found and what keeps it from being carried out too late.
macro_rules! advance {
    ($found:literal, $in_time:literal) => {
        concat!(
            "UPDATE sessions SET generation = generation + 1, reuse_count = 0, last_used_at = $1, master_key_id = $6,
                                 dpop_jkt = COALESCE(dpop_jkt, $9)
             WHERE id = ",
            $found,
            " AND generation = $3 AND client_id = $4
               AND revoked_at IS NULL AND expires_at > $1 AND last_used_at > $5
               AND (dpop_jkt IS NULL OR dpop_jkt = $8) AND ",
            $in_time,
            " RETURNING ",
            columns!()
        )
    };
}

/// A wish to move a session on.
pub struct Advance<'a> {
    pub id: SessionId,
    /// The generation that must still be its current one.
    pub generation: i64,
    pub client: &'a ClientId,
    /// The key that was shown. A session that is bound to another does not move.
    pub key: Option<&'a Thumbprint>,
    /// Whether a session that is bound to none is bound to that one from now on.
    pub binds: bool,
    /// The next token is made under this one.
    pub master_key_id: &'a str,
    pub now: DateTime<Utc>,
    /// When nobody waits for the answer any more.
    pub deadline: DateTime<Utc>,
}

/// Moves a session to the next generation if `generation` is still its current one, of this client, live. The one
/// gate through which a refresh token is used up: of any number of parallel callers one gets the session back.
///
/// A Postgres that was frozen carries out what it was sent before, long after the caller was told to come back later, and so does
/// one where the row was locked. The grace would be over by then and the caller's next try taken for theft, so what is late
/// changes nothing.
pub async fn advance(
    conn: &mut Conn,
    advance: &Advance<'_>,
    limits: &SessionLimits,
) -> Result<Option<Session>, StoreError> {
    macro_rules! run {
        ($conn:ident, $found:literal, $in_time:literal) => {
            sqlx::query_as::<_, SessionRow>(advance!($found, $in_time))
                .bind(advance.now)
                .bind(advance.id.0)
                .bind(advance.generation)
                .bind(advance.client.as_str())
                .bind(limits.idle_since(advance.now))
                .bind(advance.master_key_id)
                .bind(advance.deadline)
                .bind(advance.key.map(Thumbprint::as_str))
                .bind(advance.key.filter(|_| advance.binds).map(Thumbprint::as_str))
                .fetch_all($conn)
                .await?
        };
    }
    // All rows are fetched although there is at most one: SQLite commits when the statement ends, and only a statement run
    // to its end tells whether that succeeded.
    let rows = match conn.backend() {
        // The lock comes first, so that the clock is looked at when there is nothing more to wait for.
        Backend::Postgres(c) => {
            run!(c, "(SELECT id FROM sessions WHERE id = $2 FOR UPDATE)", "clock_timestamp() < $7")
        }
        // SQLite has no clock but this machine's, and nothing between us and it that could wait.
        Backend::Sqlite(c) => run!(c, "$2", "$7 IS NOT NULL"),
    };
    rows.into_iter().next().map(Session::try_from).transpose()
}

/// Counts one more answer to the parent of `generation`, and binds the session as [`advance`] does. `false` when the session has
/// moved on, ended, was bound to another key, or has answered as many reuses as it may.
pub async fn count_reuse(
    conn: &mut Conn,
    generation: i64,
    advance: &Advance<'_>,
) -> Result<bool, StoreError> {
    let changed = execute!(
        conn,
        sqlx::query(
            "UPDATE sessions SET reuse_count = reuse_count + 1, dpop_jkt = COALESCE(dpop_jkt, $5)
             WHERE id = $1 AND generation = $2 AND reuse_count < $3 AND revoked_at IS NULL
                   AND (dpop_jkt IS NULL OR dpop_jkt = $4)",
        )
        .bind(advance.id.0)
        .bind(generation)
        .bind(SessionLimits::MAX_REUSES)
        .bind(advance.key.map(Thumbprint::as_str))
        .bind(advance.key.filter(|_| advance.binds).map(Thumbprint::as_str))
    )?;
    Ok(changed == 1)
}

/// Writes down, of the sessions found, those whose client wants to be told that they have ended.
macro_rules! notify_clients {
    ($found:expr) => {
        concat!(
            "INSERT INTO backchannel_logouts (session_id, user_id, client_id, attempts, created_at, due_at)
             SELECT id, user_id, client_id, 0, $1, $1 FROM ",
            $found,
            " AND client_id IN (SELECT id FROM clients WHERE backchannel_logout_uri IS NOT NULL)
             ON CONFLICT (session_id) DO NOTHING"
        )
    };
}

/// Ends the sessions for which a condition holds, and has their clients told. Returns how many.
macro_rules! end {
    ($tx:expr, $now:expr, $condition:literal $(, $bound:expr)*) => {
        match $tx.backend() {
            Backend::Postgres(c) => {
                let ended: i64 = sqlx::query_scalar(concat!(
                    "WITH ended AS (UPDATE sessions SET revoked_at = $1 WHERE ",
                    $condition,
                    " RETURNING id, user_id, client_id), told AS (",
                    notify_clients!("ended WHERE TRUE"),
                    ") SELECT count(*) FROM ended"
                ))
                .bind($now)
                $(.bind($bound))*
                .fetch_one(c)
                .await?;
                ended.unsigned_abs()
            }
            // SQLite takes no UPDATE within a statement, and has nobody who could write between two.
            Backend::Sqlite(c) => {
                sqlx::query(notify_clients!(concat!("sessions WHERE ", $condition)))
                    .bind($now)
                    $(.bind($bound))*
                    .execute(&mut *c)
                    .await?;
                sqlx::query(concat!("UPDATE sessions SET revoked_at = $1 WHERE ", $condition))
                    .bind($now)
                    $(.bind($bound))*
                    .execute(c)
                    .await?
                    .rows_affected()
            }
        }
    };
}

/// Ends one session. `false` when it had ended before.
pub async fn revoke(tx: &mut Tx, id: SessionId, now: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(end!(tx, now, "id = $2 AND revoked_at IS NULL", id.0) == 1)
}

/// The same where the client itself ends it, and need not be told.
pub async fn revoke_one(conn: &mut Conn, id: SessionId, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let changed = execute!(
        conn,
        sqlx::query("UPDATE sessions SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL")
            .bind(now)
            .bind(id.0)
    )?;
    Ok(changed == 1)
}

/// Notes that a browser session is in use. The refresh of a client's session notes its own.
pub async fn mark_used(conn: &mut Conn, id: SessionId, now: DateTime<Utc>) -> Result<(), StoreError> {
    execute!(
        conn,
        sqlx::query("UPDATE sessions SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1")
            .bind(now)
            .bind(id.0)
    )?;
    Ok(())
}

/// Ends the clients' sessions that came from a browser session, but for those that were promised to go on. Returns how many.
pub async fn revoke_children(tx: &mut Tx, parent: SessionId, now: DateTime<Utc>) -> Result<u64, StoreError> {
    // Not by LIKE: `_` stands for any character there, and SQLite does not tell large letters from small ones.
    let ended = end!(
        tx,
        now,
        "parent_id = $2 AND revoked_at IS NULL
         AND replace(' ' || scope || ' ', ' offline_access ', '') = ' ' || scope || ' '",
        parent.0
    );
    // What goes on is access without the user, who has left all the same.
    execute!(
        tx,
        sqlx::query(notify_clients!("sessions WHERE parent_id = $2 AND revoked_at IS NULL"))
            .bind(now)
            .bind(parent.0)
    )?;
    Ok(ended)
}

/// A browser may have so many sessions of one client, for tabs and for applications that sign in again and again.
const MOST_OF_ONE_CLIENT: i64 = 20;

/// Ends the oldest sessions that a client has from one browser beyond [`MOST_OF_ONE_CLIENT`].
pub async fn revoke_surplus(
    tx: &mut Tx,
    parent: SessionId,
    client: &ClientId,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    Ok(end!(
        tx,
        now,
        "id IN (SELECT id FROM sessions WHERE parent_id = $2 AND client_id = $3 AND revoked_at IS NULL
                ORDER BY id DESC LIMIT 1000 OFFSET $4)",
        parent.0,
        client.as_str(),
        MOST_OF_ONE_CLIENT
    ))
}

/// Gives the clients' sessions of one browser session to the one that takes its place.
pub async fn transfer_children(tx: &mut Tx, from: SessionId, to: SessionId) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query("UPDATE sessions SET parent_id = $1 WHERE parent_id = $2").bind(to.0).bind(from.0)
    )?;
    Ok(())
}

/// Ends the sessions of a client, of one user or of all. Returns how many.
pub async fn revoke_of_client(
    tx: &mut Tx,
    client: &ClientId,
    user: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    Ok(end!(
        tx,
        now,
        "client_id = $2 AND scope IS NOT NULL AND revoked_at IS NULL AND user_id = COALESCE($3, user_id)",
        client.as_str(),
        user.map(|user| user.0)
    ))
}

/// Ends a user's sessions, all or all but one. Returns how many.
pub async fn revoke_of_user(
    tx: &mut Tx,
    user: UserId,
    but: Option<SessionId>,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    // No session has the nil id, so without an exception every session differs from it.
    let kept = but.map_or(Uuid::nil(), |session| session.0);
    Ok(end!(tx, now, "user_id = $2 AND id <> $3 AND revoked_at IS NULL", user.0, kept))
}

/// Ends up to `limit` sessions of whoever signed in at `begun` or before, what their clients got since included. Returns how many.
pub async fn revoke_begun_by(tx: &mut Tx, begun: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    Ok(end!(
        tx,
        begun,
        "id IN (SELECT id FROM sessions WHERE revoked_at IS NULL AND auth_time <= $1 ORDER BY id LIMIT $2)",
        limit
    ))
}

/// How many sessions go on.
pub async fn count_live(
    conn: &mut Conn,
    limits: &SessionLimits,
    now: DateTime<Utc>,
) -> Result<i64, StoreError> {
    Ok(on!(conn, |c| {
        sqlx::query_scalar(
            "SELECT count(*) FROM sessions WHERE revoked_at IS NULL AND expires_at > $1 AND last_used_at > $2",
        )
        .bind(now)
        .bind(limits.idle_since(now))
        .fetch_one(c)
    })?)
}

row! {
    struct MasterKeyUseRow {
        master_key_id: Option<String>,
        sessions: i64,
        last_expires_at: DateTime<Utc>,
    }
}

/// Live sessions whose refresh token was made under one master key.
#[derive(Debug, PartialEq, Eq)]
pub struct MasterKeyUse {
    /// `None` for sessions from before this was recorded.
    pub master_key_id: Option<String>,
    pub sessions: i64,
    /// When the last of them ends at the latest.
    pub last_expires_at: DateTime<Utc>,
}

/// How many live sessions depend on each master key.
pub async fn live_by_master_key(
    conn: &mut Conn,
    limits: &SessionLimits,
    now: DateTime<Utc>,
) -> Result<Vec<MasterKeyUse>, StoreError> {
    let rows: Vec<MasterKeyUseRow> = on!(conn, |c| {
        sqlx::query_as(
            "SELECT master_key_id, count(*) AS sessions, max(expires_at) AS last_expires_at FROM sessions
             WHERE revoked_at IS NULL AND expires_at > $1 AND last_used_at > $2
             GROUP BY master_key_id ORDER BY master_key_id",
        )
        .bind(now)
        .bind(limits.idle_since(now))
        .fetch_all(c)
    })?;
    let used = |row: MasterKeyUseRow| MasterKeyUse {
        master_key_id: row.master_key_id,
        sessions: row.sessions,
        last_expires_at: row.last_expires_at,
    };
    Ok(rows.into_iter().map(used).collect())
}

/// Removes up to `limit` sessions that were ended before `before`. A token of a session that is not there is refused like
/// one of a session that was ended. Returns how many.
pub async fn delete_revoked(conn: &mut Conn, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    Ok(execute!(
        conn,
        sqlx::query(
            "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE revoked_at < $1 ORDER BY revoked_at LIMIT $2)",
        )
        .bind(before)
        .bind(limit)
    )?)
}

/// Removes up to `limit` sessions that ended by age before `before`. Returns how many.
pub async fn delete_expired(conn: &mut Conn, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    Ok(execute!(
        conn,
        sqlx::query(
            "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
        )
        .bind(before)
        .bind(limit)
    )?)
}
