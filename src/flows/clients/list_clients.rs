use crate::app::App;
use crate::domain::ClientId;
use crate::domain::clients::Client;
use crate::store::{StoreError, clients};

/// One page of clients by id, and the one it ends with when there are more.
pub struct ClientPage {
    pub clients: Vec<Client>,
    pub next: Option<ClientId>,
}

pub async fn list_clients(app: &App, after: Option<&ClientId>, limit: u16) -> Result<ClientPage, StoreError> {
    let limit = usize::from(limit);
    let wanted = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let mut clients = clients::page(&mut app.db.read().await?, after, wanted).await?;
    let more = clients.len() > limit;
    clients.truncate(limit);
    let next = clients.last().filter(|_| more).map(|client| client.id.clone());
    Ok(ClientPage { clients, next })
}
