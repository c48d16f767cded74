//! Tables `clients` and `client_secrets`.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::clients::{
    Client, ClientAuthMethod, ClientKeys, GrantType, LoginUri, LogoutUri, RedirectUri,
};
use crate::domain::{ClientId, DisplayName, Scopes};
use crate::store::row::row;
use crate::store::{Conn, StoreError, Tx, execute, on};

/// The columns of a row, by name: a newer node may have added others.
macro_rules! columns {
    () => {
        "id, name, auth_method, grant_types, redirect_uris, post_logout_redirect_uris, scopes, audiences, \
         access_token_ttl_s, refresh_grace_s, require_pkce, require_consent, created_at, jwks, backchannel_logout_uri, \
         backchannel_logout_session_required, exchange_audiences, require_pushed, dpop_bound_access_tokens, \
         initiate_login_uri"
    };
}

row! {
    struct ClientRow {
        id: String,
        name: String,
        auth_method: String,
        grant_types: String,
        redirect_uris: String,
        post_logout_redirect_uris: String,
        scopes: String,
        audiences: String,
        access_token_ttl_s: Option<i64>,
        refresh_grace_s: Option<i64>,
        require_pkce: bool,
        require_consent: bool,
        created_at: DateTime<Utc>,
        jwks: Option<String>,
        backchannel_logout_uri: Option<String>,
        backchannel_logout_session_required: bool,
        exchange_audiences: String,
        require_pushed: bool,
        dpop_bound_access_tokens: bool,
        initiate_login_uri: Option<String>,
    }
}

row! {
    struct SecretRow {
        digest: Vec<u8>,
    }
}

impl TryFrom<ClientRow> for Client {
    type Error = StoreError;

    fn try_from(row: ClientRow) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "clients", column, row: row.id.clone() };
        let grant_types: Option<BTreeSet<GrantType>> =
            row.grant_types.split_ascii_whitespace().map(GrantType::parse).collect();
        let uris = |list: &str| {
            list.split_ascii_whitespace().map(|uri| RedirectUri::new_unchecked(uri.to_owned())).collect()
        };
        let keys =
            row.jwks.as_deref().map(|set| ClientKeys::parse_stored(set).ok_or_else(|| corrupt("jwks")));
        Ok(Self {
            keys: keys.transpose()?,
            auth_method: ClientAuthMethod::parse(&row.auth_method).ok_or_else(|| corrupt("auth_method"))?,
            grant_types: grant_types.ok_or_else(|| corrupt("grant_types"))?,
            redirect_uris: uris(&row.redirect_uris),
            post_logout_redirect_uris: uris(&row.post_logout_redirect_uris),
            scopes: Scopes::from_claim(&row.scopes),
            audiences: row.audiences.split_ascii_whitespace().map(str::to_owned).collect(),
            access_token_ttl: row.access_token_ttl_s.map(TimeDelta::seconds),
            refresh_grace: row.refresh_grace_s.map(TimeDelta::seconds),
            require_pkce: row.require_pkce,
            require_consent: row.require_consent,
            backchannel_logout_uri: row.backchannel_logout_uri.map(LogoutUri::new_unchecked),
            backchannel_logout_session_required: row.backchannel_logout_session_required,
            exchange_audiences: row.exchange_audiences.split_ascii_whitespace().map(str::to_owned).collect(),
            require_pushed: row.require_pushed,
            dpop_bound_access_tokens: row.dpop_bound_access_tokens,
            initiate_login_uri: row.initiate_login_uri.map(LoginUri::new_unchecked),
            created_at: row.created_at,
            id: ClientId::new_unchecked(row.id),
            name: DisplayName::new_unchecked(row.name),
        })
    }
}

fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

/// A statement with the columns of a client bound to it, in the order of `columns!`. Only a new client's age is written.
macro_rules! written {
    ($statement:expr, $client:ident $(, $created_at:ident)?) => {
        sqlx::query($statement)
            .bind($client.id.as_str())
            .bind($client.name.as_str())
            .bind($client.auth_method.as_str())
            .bind(joined($client.grant_types.iter().map(|grant| grant.as_str())))
            .bind(joined($client.redirect_uris.iter().map(RedirectUri::as_str)))
            .bind(joined($client.post_logout_redirect_uris.iter().map(RedirectUri::as_str)))
            .bind($client.scopes.to_string())
            .bind($client.audiences.join(" "))
            .bind($client.access_token_ttl.map(|life| life.num_seconds()))
            .bind($client.refresh_grace.map(|grace| grace.num_seconds()))
            .bind($client.require_pkce)
            .bind($client.require_consent)
            $(.bind($client.$created_at))?
            .bind($client.keys.as_ref().map(|keys| keys.to_json().to_string()))
            .bind($client.backchannel_logout_uri.as_ref().map(LogoutUri::as_str))
            .bind($client.backchannel_logout_session_required)
            .bind($client.exchange_audiences.join(" "))
            .bind($client.require_pushed)
            .bind($client.dpop_bound_access_tokens)
            .bind($client.initiate_login_uri.as_ref().map(LoginUri::as_str))
    };
}

/// Adds a client. `false`, and nothing done, when its id is taken.
pub async fn insert(tx: &mut Tx, client: &Client) -> Result<bool, StoreError> {
    let statement = concat!(
        "INSERT INTO clients (",
        columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
         ON CONFLICT (id) DO NOTHING",
    );
    let inserted = execute!(tx, written!(statement, client, created_at))?;
    Ok(inserted == 1)
}

/// Writes a client anew, all but its id and age. `false` when there is no such client.
pub async fn update(tx: &mut Tx, client: &Client) -> Result<bool, StoreError> {
    let changed = execute!(
        tx,
        written!(
            "UPDATE clients SET name = $2, auth_method = $3, grant_types = $4, redirect_uris = $5,
                                post_logout_redirect_uris = $6, scopes = $7, audiences = $8, access_token_ttl_s = $9,
                                refresh_grace_s = $10, require_pkce = $11, require_consent = $12, jwks = $13,
                                backchannel_logout_uri = $14, backchannel_logout_session_required = $15,
                                exchange_audiences = $16, require_pushed = $17, dpop_bound_access_tokens = $18,
                                initiate_login_uri = $19
             WHERE id = $1",
            client
        )
    )?;
    Ok(changed == 1)
}

pub async fn by_id(conn: &mut Conn, id: &ClientId) -> Result<Option<Client>, StoreError> {
    let row: Option<ClientRow> = on!(conn, |c| {
        sqlx::query_as(concat!("SELECT ", columns!(), " FROM clients WHERE id = $1"))
            .bind(id.as_str())
            .fetch_optional(c)
    })?;
    row.map(Client::try_from).transpose()
}

/// The same, for a change: until the transaction ends nobody else changes the client.
pub async fn lock_for_update(tx: &mut Tx, id: &ClientId) -> Result<Option<Client>, StoreError> {
    // The tongue both databases share has no other lock of a row.
    let rows: Vec<ClientRow> = on!(tx, |c| {
        sqlx::query_as(concat!("UPDATE clients SET name = name WHERE id = $1 RETURNING ", columns!()))
            .bind(id.as_str())
            .fetch_all(c)
    })?;
    rows.into_iter().next().map(Client::try_from).transpose()
}

/// One page by id, after the client the last page ended with.
pub async fn page(conn: &mut Conn, after: Option<&ClientId>, limit: i64) -> Result<Vec<Client>, StoreError> {
    let rows: Vec<ClientRow> = on!(conn, |c| {
        sqlx::query_as(concat!("SELECT ", columns!(), " FROM clients WHERE id > $1 ORDER BY id LIMIT $2"))
            .bind(after.map_or("", ClientId::as_str))
            .bind(limit)
            .fetch_all(c)
    })?;
    rows.into_iter().map(Client::try_from).collect()
}

/// Removes a client, and with it its secrets, codes and consents. `false` when there is no such client.
pub async fn delete(tx: &mut Tx, id: &ClientId) -> Result<bool, StoreError> {
    let deleted = execute!(tx, sqlx::query("DELETE FROM clients WHERE id = $1").bind(id.as_str()))?;
    Ok(deleted == 1)
}

/// The digests of the secrets that a client may show now.
pub async fn live_secrets(
    conn: &mut Conn,
    id: &ClientId,
    now: DateTime<Utc>,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows: Vec<SecretRow> = on!(conn, |c| {
        sqlx::query_as(
            "SELECT digest FROM client_secrets WHERE client_id = $1 AND (expires_at IS NULL OR expires_at > $2)",
        )
        .bind(id.as_str())
        .bind(now)
        .fetch_all(c)
    })?;
    Ok(rows.into_iter().map(|row| row.digest).collect())
}

pub async fn add_secret(
    tx: &mut Tx,
    id: &ClientId,
    digest: &[u8],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query("INSERT INTO client_secrets (digest, client_id, created_at) VALUES ($1, $2, $3)")
            .bind(digest)
            .bind(id.as_str())
            .bind(now)
    )?;
    Ok(())
}

/// The secrets a client has end at `at`, unless they end earlier.
pub async fn expire_secrets(tx: &mut Tx, id: &ClientId, at: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(execute!(
        tx,
        sqlx::query(
            "UPDATE client_secrets SET expires_at = $1
             WHERE client_id = $2 AND (expires_at IS NULL OR expires_at > $1)",
        )
        .bind(at)
        .bind(id.as_str())
    )?)
}

/// Removes up to `limit` secrets that ended before `before`. Returns how many.
pub async fn delete_expired_secrets(
    conn: &mut Conn,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, StoreError> {
    Ok(execute!(
        conn,
        sqlx::query(
            "DELETE FROM client_secrets WHERE digest IN (
                 SELECT digest FROM client_secrets WHERE expires_at < $1 LIMIT $2)",
        )
        .bind(before)
        .bind(limit)
    )?)
}
