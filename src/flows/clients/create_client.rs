use super::client_authority::may_manage;
use crate::app::App;
use crate::domain::ClientId;
use crate::domain::accounts::{Authority, BeyondAuthority};
use crate::domain::clients::{Client, ClientAuthMethod, ClientChange, GrantType, InvalidClient};
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::store::operations::audit;
use crate::store::{StoreError, clients};
use crate::tokens::ClientSecret;

/// The client that an operator creates.
pub struct CreateClient {
    /// Random when absent.
    pub id: Option<ClientId>,
    pub auth_method: ClientAuthMethod,
    /// The settings that differ from their defaults.
    pub change: ClientChange,
    pub authority: Authority,
    pub context: AuditContext,
}

/// Why no client was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateClientError {
    #[error("there is a client of this id already")]
    IdTaken,
    #[error("{}: {_0}", .0.member())]
    Invalid(InvalidClient),
    #[error(transparent)]
    Authority(#[from] BeyondAuthority),
    #[error("the operating system gives no randomness")]
    NoRandomness,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Registers a client. Its secret, if it keeps one, is given here and never again: only a digest stays.
pub async fn create_client(
    app: &App,
    request: CreateClient,
) -> Result<(Client, Option<ClientSecret>), CreateClientError> {
    let CreateClient { id, auth_method, change, authority, context } = request;
    let now = app.clock.now();
    let id = id.unwrap_or_else(ClientId::random);
    let client = Client::with_defaults(id, auth_method, now).with(change);
    client.check(app.settings.tokens.access_token_ttl).map_err(CreateClientError::Invalid)?;
    may_manage(app, &authority, &client)?;
    let secret = match client.has_secret() {
        true => Some(ClientSecret::random().ok_or(CreateClientError::NoRandomness)?),
        false => None,
    };
    let mut tx = app.db.begin().await?;
    if !clients::insert(&mut tx, &client).await? {
        return Err(CreateClientError::IdTaken);
    }
    if let Some(secret) = &secret {
        clients::add_secret(&mut tx, &client.id, &secret.digest(), now).await?;
    }
    let detail = detail(&client, None);
    audit::append(&mut tx, AuditEvent::ClientCreated, &context, client.id.as_str(), Some(&detail), now)
        .await?;
    tx.commit().await?;
    Ok((client, secret))
}

/// What the audit table keeps of a client: what it may do.
pub(super) fn detail(client: &Client, changed: Option<&[&str]>) -> String {
    let grants: Vec<&str> = client.grant_types.iter().copied().map(GrantType::as_str).collect();
    let mut detail = serde_json::json!({
        "token_endpoint_auth_method": client.auth_method.as_str(),
        "grant_types": grants,
        "scope": client.scopes.to_string(),
    });
    if let Some(changed) = changed {
        detail["changed"] = changed.into();
    }
    detail.to_string()
}
