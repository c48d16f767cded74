use std::net::IpAddr;

use uuid::Uuid;

tokio::task_local! {
    /// Set by the middleware for every request.
    pub static REQUEST_ID: Uuid;
}

/// The present request's id; nil outside of one.
pub fn request_id() -> Uuid {
    REQUEST_ID.try_with(|id| *id).unwrap_or_default()
}

/// The client's address, found once and kept with the request.
#[derive(Clone, Copy)]
pub struct ClientIp(pub Option<IpAddr>);
