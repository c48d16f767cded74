use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::clients::{Client, ClientAuthMethod, ClientSetting, PlainValue};

/// How a client authenticates (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ClientAuthMethod)]
pub enum AuthMethodView {
    /// A public client: it has no secret.
    None,
    ClientSecretBasic,
    ClientSecretPost,
    /// A JWT signed with the client's own key (RFC 7523).
    PrivateKeyJwt,
}

impl From<ClientAuthMethod> for AuthMethodView {
    fn from(method: ClientAuthMethod) -> Self {
        match method {
            ClientAuthMethod::None => Self::None,
            ClientAuthMethod::SecretBasic => Self::ClientSecretBasic,
            ClientAuthMethod::SecretPost => Self::ClientSecretPost,
            ClientAuthMethod::PrivateKeyJwt => Self::PrivateKeyJwt,
        }
    }
}

/// The settings of a client as members of a JSON object. The schemas are in `http/client_schemas.rs`.
#[derive(Clone, Debug)]
pub struct ClientSettingsView(Vec<(&'static str, Value)>);

impl ClientSettingsView {
    /// The settings that operators see.
    pub fn of_operators(client: &Client) -> Self {
        let members = ClientSetting::of_operators()
            .map(|setting| (setting, (setting.get)(client)))
            .filter(|(setting, plain)| setting.is_nullable() || *plain != PlainValue::Null);
        Self(members.map(|(setting, plain)| (setting.name, json_of(plain))).collect())
    }

    /// The settings that a client sees that registered itself. A setting without a value is left out.
    pub fn of_registration(client: &Client) -> Self {
        let members = ClientSetting::of_registration()
            .map(|setting| (setting, (setting.get)(client)))
            .filter(|(_, plain)| *plain != PlainValue::Null);
        Self(members.map(|(setting, plain)| (setting.name, json_of(plain))).collect())
    }
}

impl Serialize for ClientSettingsView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A setting's value as JSON.
pub fn json_of(plain: PlainValue) -> Value {
    match plain {
        PlainValue::Flag(flag) => flag.into(),
        PlainValue::Seconds(seconds) => seconds.into(),
        PlainValue::Text(text) => text.into(),
        PlainValue::List(list) => list.into(),
        PlainValue::Keys(keys) => keys.to_json(),
        PlainValue::Null => Value::Null,
    }
}

/// An OAuth client, without its secrets. Members are named as in RFC 7591 where the RFC has them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClientView {
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$", example = "grafana")]
    pub client_id: String,
    pub token_endpoint_auth_method: AuthMethodView,
    #[serde(flatten)]
    #[schema(ignore)]
    pub settings: ClientSettingsView,
    pub created_at: DateTime<Utc>,
}

impl From<&Client> for ClientView {
    fn from(client: &Client) -> Self {
        Self {
            client_id: client.id.to_string(),
            token_endpoint_auth_method: client.auth_method.into(),
            settings: ClientSettingsView::of_operators(client),
            created_at: client.created_at,
        }
    }
}

/// A new client and its secret.
// No Debug: it holds a secret.
#[derive(Serialize, ToSchema)]
#[schema(as = RegisteredClient)]
pub struct RegisteredClientView {
    #[serde(flatten)]
    pub client: ClientView,
    /// Shown once. Absent when the client has no secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, pattern = "^ccs_[A-Za-z0-9_-]{43}$")]
    pub client_secret: Option<String>,
}

/// A client's new secret.
// No Debug: it holds a secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ClientSecret)]
pub struct ClientSecretView {
    pub client_id: String,
    /// Shown once.
    #[schema(pattern = "^ccs_[A-Za-z0-9_-]{43}$")]
    pub client_secret: String,
    /// When earlier secrets expire at the latest.
    pub old_until: DateTime<Utc>,
}
