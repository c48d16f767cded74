//! Table `authorization_codes`.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::clients::RedirectUri;
use crate::domain::oauth::{AuthorizationCode, CodeChallenge, UserClaim};
use crate::domain::{ClientId, SessionId, Thumbprint, UserId};
use crate::store::row::row;
use crate::store::sessions::granted_access;
use crate::store::{Conn, StoreError, Tx, execute, on};

row! {
    struct CodeRow {
        digest: Vec<u8>,
        flow_id: Option<Uuid>,
        client_id: String,
        browser_id: Uuid,
        scope: String,
        audience: String,
        redirect_uri: String,
        redirect_uri_was_sent: bool,
        nonce: Option<String>,
        code_challenge: Option<String>,
        id_claims: Option<String>,
        dpop_jkt: Option<String>,
        session_id: Uuid,
        created_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    }
}

row! {
    struct UserRow {
        user_id: Uuid,
    }
}

row! {
    struct UsedRow {
        session_id: Uuid,
    }
}

impl From<CodeRow> for AuthorizationCode {
    fn from(row: CodeRow) -> Self {
        Self {
            digest: row.digest,
            flow_id: row.flow_id,
            client_id: ClientId::new_unchecked(row.client_id),
            browser: SessionId(row.browser_id),
            granted: granted_access(&row.scope, &row.audience),
            redirect_uri: RedirectUri::new_unchecked(row.redirect_uri),
            redirect_uri_was_sent: row.redirect_uri_was_sent,
            nonce: row.nonce,
            id_claims: row.id_claims.as_deref().map(claims).unwrap_or_default(),
            challenge: row.code_challenge.map(CodeChallenge::new_unchecked),
            dpop_jkt: row.dpop_jkt.map(Thumbprint::new_unchecked),
            session: SessionId(row.session_id),
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}

fn claims(names: &str) -> BTreeSet<UserClaim> {
    names.split(' ').filter_map(UserClaim::parse).collect()
}

fn names(claims: &BTreeSet<UserClaim>) -> Option<String> {
    let names: Vec<&str> = claims.iter().map(|claim| claim.as_str()).collect();
    (!names.is_empty()).then(|| names.join(" "))
}

/// Remembers a code. `false`, and nothing done, when the same sign-in or consent has given one before.
pub async fn insert(tx: &mut Tx, code: &AuthorizationCode) -> Result<bool, StoreError> {
    let inserted = execute!(
        tx,
        sqlx::query(
            "INSERT INTO authorization_codes (digest, flow_id, client_id, browser_id, scope, audience, redirect_uri,
                 redirect_uri_was_sent, nonce, code_challenge, session_id, created_at, expires_at, id_claims,
                 dpop_jkt)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (flow_id) DO NOTHING",
        )
        .bind(&code.digest)
        .bind(code.flow_id)
        .bind(code.client_id.as_str())
        .bind(code.browser.0)
        .bind(code.granted.scopes.to_string())
        .bind(code.granted.audience.join(" "))
        .bind(code.redirect_uri.as_str())
        .bind(code.redirect_uri_was_sent)
        .bind(code.nonce.as_deref())
        .bind(code.challenge.as_ref().map(CodeChallenge::as_str))
        .bind(code.session.0)
        .bind(code.created_at)
        .bind(code.expires_at)
        .bind(names(&code.id_claims))
        .bind(code.dpop_jkt.as_ref().map(Thumbprint::as_str))
    )?;
    Ok(inserted == 1)
}

/// Uses up a code of this client that is still good. The one gate: of any number of parallel callers one gets it.
pub async fn consume(
    tx: &mut Tx,
    digest: &[u8],
    client: &ClientId,
    now: DateTime<Utc>,
) -> Result<Option<AuthorizationCode>, StoreError> {
    let rows: Vec<CodeRow> = on!(tx, |c| {
        sqlx::query_as(
            "UPDATE authorization_codes SET consumed_at = $1
             WHERE digest = $2 AND client_id = $3 AND consumed_at IS NULL AND expires_at > $1
             RETURNING digest, flow_id, client_id, browser_id, scope, audience, redirect_uri, redirect_uri_was_sent,
                       nonce, code_challenge, id_claims, session_id, created_at, expires_at, dpop_jkt",
        )
        .bind(now)
        .bind(digest)
        .bind(client.as_str())
        .fetch_all(c)
    })?;
    Ok(rows.into_iter().next().map(AuthorizationCode::from))
}

/// Whose code of this client's it is.
pub async fn user_of(
    conn: &mut Conn,
    digest: &[u8],
    client: &ClientId,
) -> Result<Option<UserId>, StoreError> {
    let row: Option<UserRow> = on!(conn, |c| {
        sqlx::query_as(
            "SELECT sessions.user_id FROM authorization_codes JOIN sessions ON sessions.id = browser_id
             WHERE digest = $1 AND authorization_codes.client_id = $2",
        )
        .bind(digest)
        .bind(client.as_str())
        .fetch_optional(c)
    })?;
    Ok(row.map(|row| UserId(row.user_id)))
}

/// Hands the codes of one browser session that have not been used to the one that takes its place.
pub async fn transfer_children(tx: &mut Tx, from: SessionId, to: SessionId) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query(
            "UPDATE authorization_codes SET browser_id = $1 WHERE browser_id = $2 AND consumed_at IS NULL"
        )
        .bind(to.0)
        .bind(from.0)
    )?;
    Ok(())
}

/// Forgets a user's codes of a client.
pub async fn delete_of(tx: &mut Tx, user: UserId, client: &ClientId) -> Result<u64, StoreError> {
    Ok(execute!(
        tx,
        sqlx::query(
            "DELETE FROM authorization_codes
             WHERE client_id = $1 AND browser_id IN (SELECT id FROM sessions WHERE user_id = $2)",
        )
        .bind(client.as_str())
        .bind(user.0)
    )?)
}

/// The session that a code of this client has become.
pub async fn session_of_used(
    conn: &mut Conn,
    digest: &[u8],
    client: &ClientId,
) -> Result<Option<SessionId>, StoreError> {
    let row: Option<UsedRow> = on!(conn, |c| {
        sqlx::query_as(
            "SELECT session_id FROM authorization_codes
             WHERE digest = $1 AND client_id = $2 AND consumed_at IS NOT NULL",
        )
        .bind(digest)
        .bind(client.as_str())
        .fetch_optional(c)
    })?;
    Ok(row.map(|row| SessionId(row.session_id)))
}

/// Forgets up to `limit` codes that expired before `unused`, or that were used and expired before `used`. Returns how many.
pub async fn delete_expired(
    conn: &mut Conn,
    unused: DateTime<Utc>,
    used: DateTime<Utc>,
    limit: i64,
) -> Result<u64, StoreError> {
    Ok(execute!(
        conn,
        sqlx::query(
            "DELETE FROM authorization_codes WHERE digest IN (
                 SELECT digest FROM authorization_codes
                 WHERE expires_at < $1 AND (consumed_at IS NULL OR expires_at < $2) ORDER BY expires_at LIMIT $3)",
        )
        .bind(unused)
        .bind(used)
        .bind(limit)
    )?)
}
