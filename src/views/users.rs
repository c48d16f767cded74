use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::accounts::User;
use crate::domain::sessions::Session;
use crate::domain::{DisplayName, SessionId};

/// An account, without anything secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserView {
    pub id: Uuid,
    pub email: String,
    pub email_verified: bool,
    pub name: Option<String>,
    pub roles: Vec<String>,
    #[schema(example = "active", pattern = "^(active|disabled)$")]
    pub status: String,
    pub created_at: DateTime<Utc>,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.0,
            email: user.email.to_string(),
            email_verified: user.email_verified,
            name: user.name.as_ref().map(DisplayName::as_str).map(str::to_owned),
            roles: user.roles.names(),
            status: user.status.as_str().to_owned(),
            created_at: user.created_at,
        }
    }
}

/// One login that goes on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionView {
    pub id: Uuid,
    pub created_at: DateTime<Utc>,
    /// The last login or refresh.
    pub last_used_at: DateTime<Utc>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    /// Whether it is the one asking.
    pub current: bool,
    /// Who holds its tokens: `chancery` after a login at `/auth`, `chancery:browser` for the hosted pages, or a client.
    #[schema(example = "chancery")]
    pub client_id: String,
}

impl SessionView {
    pub fn of(session: &Session, asking: SessionId) -> Self {
        Self {
            id: session.id.0,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            ip: session.ip.map(|ip| ip.to_string()),
            user_agent: session.user_agent.clone(),
            current: session.id == asking,
            client_id: session.client_id.to_string(),
        }
    }
}

/// What a user has let an application have.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConsentView {
    pub client_id: String,
    pub client_name: String,
    /// Space separated.
    pub scope: String,
    pub granted_at: DateTime<Utc>,
}
