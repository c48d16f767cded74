use super::client_authority::may_manage;
use super::create_client::detail;
use crate::app::App;
use crate::domain::ClientId;
use crate::domain::accounts::{Authority, BeyondAuthority};
use crate::domain::clients::{Client, ClientChange, InvalidClient};
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::store::operations::audit;
use crate::store::{StoreError, clients};

/// Why a client was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateClientError {
    #[error("there is no such client")]
    NotFound,
    #[error("{}: {_0}", .0.member())]
    Invalid(InvalidClient),
    #[error(transparent)]
    Authority(#[from] BeyondAuthority),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Changes what a client is and may do. Its sessions go on, and follow at their next refresh.
pub async fn update_client(
    app: &App,
    id: &ClientId,
    change: ClientChange,
    authority: &Authority,
    context: &AuditContext,
) -> Result<Client, UpdateClientError> {
    let now = app.clock.now();
    let changed = change.names();
    let mut tx = app.db.begin().await?;
    let before = clients::lock_for_update(&mut tx, id).await?.ok_or(UpdateClientError::NotFound)?;
    may_manage(app, authority, &before)?;
    let client = before.with(change);
    client.check(app.settings.tokens.access_token_ttl).map_err(UpdateClientError::Invalid)?;
    may_manage(app, authority, &client)?;
    clients::update(&mut tx, &client).await?;
    let detail = detail(&client, Some(&changed));
    audit::append(&mut tx, AuditEvent::ClientUpdated, context, id.as_str(), Some(&detail), now).await?;
    tx.commit().await?;
    Ok(client)
}
