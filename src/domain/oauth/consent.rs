use chrono::{DateTime, Utc};

use crate::domain::{ClientId, DisplayName, Scopes};

/// What a user has agreed to give one client.
#[derive(Debug, PartialEq, Eq)]
pub struct Consent {
    pub client_id: ClientId,
    pub client_name: DisplayName,
    pub scopes: Scopes,
    pub granted_at: DateTime<Utc>,
}
