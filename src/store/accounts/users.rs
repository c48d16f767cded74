//! Table `users`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::accounts::{Roles, User, UserStatus};
use crate::domain::passwords::PasswordHash;
use crate::domain::{DisplayName, Email, SessionId, UserId};
use crate::store::row::row;
use crate::store::{Conn, StoreError, Tx, execute, on};

/// The columns of a row, by name: a newer node may have added others.
macro_rules! columns {
    () => {
        "id, email, email_verified, name, password_hash, password_changed_at, roles, \
         status, created_at, last_login_at"
    };
}

row! {
    struct UserRow {
        id: Uuid,
        email: String,
        email_verified: bool,
        name: Option<String>,
        password_hash: String,
        password_changed_at: DateTime<Utc>,
        roles: String,
        status: String,
        created_at: DateTime<Utc>,
        last_login_at: Option<DateTime<Utc>>,
    }
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "users", column, row: row.id.to_string() };
        Ok(Self {
            id: UserId(row.id),
            roles: Roles::parse_stored(&row.roles).map_err(|_| corrupt("roles"))?,
            status: UserStatus::parse(&row.status).ok_or_else(|| corrupt("status"))?,
            email: Email::new_unchecked(row.email),
            email_verified: row.email_verified,
            name: row.name.map(DisplayName::new_unchecked),
            password_hash: PasswordHash::from_phc(row.password_hash),
            password_changed_at: row.password_changed_at,
            created_at: row.created_at,
            last_login_at: row.last_login_at,
        })
    }
}

/// Adds a user. `false`, and nothing done, when the address has an account.
pub async fn insert(conn: &mut Conn, user: &User) -> Result<bool, StoreError> {
    let inserted = execute!(
        conn,
        sqlx::query(
            "INSERT INTO users (id, email, email_verified, name, password_hash, password_changed_at, roles, status,
                                created_at, last_login_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (email) DO NOTHING",
        )
        .bind(user.id.0)
        .bind(user.email.as_str())
        .bind(user.email_verified)
        .bind(user.name.as_ref().map(DisplayName::as_str))
        .bind(user.password_hash.as_phc())
        .bind(user.password_changed_at)
        .bind(user.roles.to_string())
        .bind(user.status.as_str())
        .bind(user.created_at)
        .bind(user.last_login_at)
    )?;
    Ok(inserted == 1)
}

pub async fn by_email(conn: &mut Conn, email: &Email) -> Result<Option<User>, StoreError> {
    let row: Option<UserRow> = on!(conn, |c| {
        sqlx::query_as(concat!("SELECT ", columns!(), " FROM users WHERE email = $1"))
            .bind(email.as_str())
            .fetch_optional(c)
    })?;
    row.map(User::try_from).transpose()
}

pub async fn by_id(conn: &mut Conn, id: UserId) -> Result<Option<User>, StoreError> {
    let row: Option<UserRow> = on!(conn, |c| {
        sqlx::query_as(concat!("SELECT ", columns!(), " FROM users WHERE id = $1"))
            .bind(id.0)
            .fetch_optional(c)
    })?;
    row.map(User::try_from).transpose()
}

/// Reads a user, and holds the row until the transaction ends: whatever ends sessions holds it, too, so of the two who come at
/// once the second sees what the first has done.
pub async fn lock_for_update(tx: &mut Tx, id: UserId) -> Result<Option<User>, StoreError> {
    let rows: Vec<UserRow> = on!(tx, |c| {
        sqlx::query_as(concat!("UPDATE users SET id = id WHERE id = $1 RETURNING ", columns!()))
            .bind(id.0)
            .fetch_all(c)
    })?;
    rows.into_iter().next().map(User::try_from).transpose()
}

/// The same, for the user whose session this is.
pub async fn lock_user_of_session(tx: &mut Tx, session: SessionId) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query("UPDATE users SET id = id WHERE id = (SELECT user_id FROM sessions WHERE id = $1)")
            .bind(session.0)
    )?;
    Ok(())
}

/// One page, oldest first, after the user the last page ended with.
pub async fn page(
    conn: &mut Conn,
    after: Option<(DateTime<Utc>, UserId)>,
    limit: i64,
) -> Result<Vec<User>, StoreError> {
    let (created_at, id) = after.unwrap_or((DateTime::UNIX_EPOCH, UserId(Uuid::nil())));
    let rows: Vec<UserRow> = on!(conn, |c| {
        sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            " FROM users WHERE created_at > $1 OR (created_at = $1 AND id > $2)
             ORDER BY created_at, id LIMIT $3"
        ))
        .bind(created_at)
        .bind(id.0)
        .bind(limit)
        .fetch_all(c)
    })?;
    rows.into_iter().map(User::try_from).collect()
}

/// Notes a login, and holds the row until the transaction ends. `false` when the account is no longer the one the
/// password was checked against: disabled, deleted, or its password changed meanwhile.
pub async fn record_login(
    tx: &mut Tx,
    user: &User,
    rehashed: Option<&PasswordHash>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let changed = execute!(
        tx,
        sqlx::query(
            "UPDATE users SET last_login_at = $1, password_hash = COALESCE($2, password_hash)
             WHERE id = $3 AND status = 'active' AND password_changed_at = $4",
        )
        .bind(now)
        .bind(rehashed.map(PasswordHash::as_phc))
        .bind(user.id.0)
        .bind(user.password_changed_at)
    )?;
    Ok(changed == 1)
}

/// Sets a password. With `unless_changed_since`, only if it is still the one set at that time. `false` when not.
pub async fn set_password(
    tx: &mut Tx,
    id: UserId,
    hash: &PasswordHash,
    unless_changed_since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let changed = execute!(
        tx,
        sqlx::query(
            "UPDATE users SET password_hash = $1, password_changed_at = $2
             WHERE id = $3 AND password_changed_at = COALESCE($4, password_changed_at)",
        )
        .bind(hash.as_phc())
        .bind(now)
        .bind(id.0)
        .bind(unless_changed_since)
    )?;
    Ok(changed == 1)
}

/// Writes what is given and leaves the rest, in one statement, so that two changes at once do not undo each other. `name` is
/// `Some(None)` to remove it. Holds the row until the transaction ends. `None` when there is no such user.
pub async fn update(
    tx: &mut Tx,
    id: UserId,
    name: Option<Option<&DisplayName>>,
    roles: Option<&Roles>,
    status: Option<UserStatus>,
) -> Result<Option<User>, StoreError> {
    let row: Option<UserRow> = on!(tx, |c| {
        sqlx::query_as(concat!(
            "UPDATE users SET name = CASE WHEN $1 THEN $2 ELSE name END, roles = COALESCE($3, roles),
                              status = COALESCE($4, status)
             WHERE id = $5 RETURNING ",
            columns!()
        ))
        .bind(name.is_some())
        .bind(name.flatten().map(DisplayName::as_str))
        .bind(roles.map(Roles::to_string))
        .bind(status.map(UserStatus::as_str))
        .bind(id.0)
        .fetch_optional(c)
    })?;
    row.map(User::try_from).transpose()
}

/// Removes a user and, with them, their sessions. `false` when there is no such user.
pub async fn delete(tx: &mut Tx, id: UserId) -> Result<bool, StoreError> {
    let deleted = execute!(tx, sqlx::query("DELETE FROM users WHERE id = $1").bind(id.0))?;
    Ok(deleted == 1)
}
