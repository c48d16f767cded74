//! Table `issued_tokens`.

use chrono::{DateTime, Utc};

use crate::domain::keys::{IssuedTokens, Kid};
use crate::store::row::row;
use crate::store::{Conn, StoreError, execute, on};

row! {
    struct IssuedRow {
        tokens: i64,
        last_expires_at: DateTime<Utc>,
    }
}

/// Adds tokens to those of one key that expire in one minute.
pub async fn add(
    conn: &mut Conn,
    kid: &Kid,
    minute: DateTime<Utc>,
    issued: IssuedTokens,
) -> Result<(), StoreError> {
    execute!(
        conn,
        sqlx::query(
            "INSERT INTO issued_tokens (kid, expires_minute, tokens, last_expires_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (kid, expires_minute) DO UPDATE SET
               tokens = issued_tokens.tokens + excluded.tokens,
               last_expires_at = CASE WHEN excluded.last_expires_at > issued_tokens.last_expires_at
                                      THEN excluded.last_expires_at ELSE issued_tokens.last_expires_at END",
        )
        .bind(kid.as_str())
        .bind(minute)
        .bind(issued.tokens)
        .bind(issued.last_expires_at)
    )?;
    Ok(())
}

/// The tokens of a key that are not expired, by the minute.
pub async fn valid(conn: &mut Conn, kid: &Kid, now: DateTime<Utc>) -> Result<Vec<IssuedTokens>, StoreError> {
    let rows: Vec<IssuedRow> = on!(conn, |c| {
        sqlx::query_as(
            "SELECT tokens, last_expires_at FROM issued_tokens WHERE kid = $1 AND last_expires_at > $2",
        )
        .bind(kid.as_str())
        .bind(now)
        .fetch_all(c)
    })?;
    let tokens = |row: IssuedRow| IssuedTokens { tokens: row.tokens, last_expires_at: row.last_expires_at };
    Ok(rows.into_iter().map(tokens).collect())
}

/// Forgets what expired before `before`. Returns how many rows that was.
pub async fn delete_expired(conn: &mut Conn, before: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(execute!(conn, sqlx::query("DELETE FROM issued_tokens WHERE expires_minute < $1").bind(before))?)
}
