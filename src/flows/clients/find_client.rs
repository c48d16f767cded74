use crate::app::App;
use crate::domain::ClientId;
use crate::domain::accounts::BeyondAuthority;
use crate::domain::clients::Client;
use crate::store::{StoreError, clients};

/// Why nothing was done with a client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("there is no such client")]
    NotFound,
    #[error(transparent)]
    Authority(#[from] BeyondAuthority),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The client of this id.
pub async fn get_client(app: &App, id: &ClientId) -> Result<Client, ClientError> {
    clients::by_id(&mut app.db.read().await?, id).await?.ok_or(ClientError::NotFound)
}
