use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::clients::{Client, ClientAuthMethod, ClientKeys, GrantType, LogoutUri, RedirectUri};

/// How a client proves who it is (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ClientAuthMethod)]
pub enum AuthMethodView {
    /// A public client: it has no secret.
    None,
    ClientSecretBasic,
    ClientSecretPost,
    /// By a JWT under a key of its own.
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

/// By what a client gets tokens (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GrantType)]
pub enum GrantTypeView {
    AuthorizationCode,
    ClientCredentials,
    RefreshToken,
    #[serde(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
}

impl From<GrantType> for GrantTypeView {
    fn from(grant: GrantType) -> Self {
        match grant {
            GrantType::AuthorizationCode => Self::AuthorizationCode,
            GrantType::ClientCredentials => Self::ClientCredentials,
            GrantType::RefreshToken => Self::RefreshToken,
            GrantType::TokenExchange => Self::TokenExchange,
            GrantType::DeviceCode => Self::DeviceCode,
        }
    }
}

/// An OAuth client, without its secrets. Members are named as in RFC 7591 where it has them.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "independent settings, as RFC 7591 and others name them")]
pub struct ClientView {
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$", example = "grafana")]
    pub client_id: String,
    #[schema(min_length = 1, max_length = 200)]
    pub client_name: String,
    pub token_endpoint_auth_method: AuthMethodView,
    /// The public keys of a client that proves who it is by `private_key_jwt`: a JWK Set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub jwks: Option<serde_json::Value>,
    #[schema(min_items = 1, max_items = 4)]
    pub grant_types: Vec<GrantTypeView>,
    #[schema(max_items = 50)]
    pub redirect_uris: Vec<String>,
    #[schema(max_items = 50)]
    pub post_logout_redirect_uris: Vec<String>,
    /// All it may ask for, separated by spaces.
    #[schema(pattern = r"^[ !#-\[\]-~]*$", example = "openid profile email offline_access")]
    pub scope: String,
    /// Whom its tokens may be for. Empty: the server's `tokens.audience`.
    #[schema(max_items = 50)]
    pub audience: Vec<String>,
    /// In seconds; `null` for the server's.
    #[schema(minimum = 1)]
    pub access_token_life: Option<i64>,
    /// In seconds; `null` for the server's.
    #[schema(minimum = 0, maximum = 60)]
    pub refresh_grace: Option<i64>,
    pub require_pkce: bool,
    /// Whether users are asked before it gets anything.
    pub require_consent: bool,
    /// Where it is told that a session of its has ended.
    pub backchannel_logout_uri: Option<String>,
    pub backchannel_logout_session_required: bool,
    /// The services for which it may exchange its users' tokens.
    #[schema(max_items = 50)]
    pub exchange_audiences: Vec<String>,
    /// Whether it must push its authorization requests (RFC 9126).
    pub require_pushed_authorization_requests: bool,
    /// Whether it gets no access token that is not bound to a key (RFC 9449 section 5.2).
    pub dpop_bound_access_tokens: bool,
    pub created_at: DateTime<Utc>,
}

impl From<&Client> for ClientView {
    fn from(client: &Client) -> Self {
        let texts = |uris: &[RedirectUri]| uris.iter().map(|uri| uri.as_str().to_owned()).collect();
        Self {
            client_id: client.id.to_string(),
            client_name: client.name.as_str().to_owned(),
            token_endpoint_auth_method: client.auth_method.into(),
            jwks: client.keys.as_ref().map(ClientKeys::to_json),
            grant_types: client.grant_types.iter().copied().map(GrantTypeView::from).collect(),
            redirect_uris: texts(&client.redirect_uris),
            post_logout_redirect_uris: texts(&client.post_logout_redirect_uris),
            scope: client.scopes.to_string(),
            audience: client.audiences.clone(),
            access_token_life: client.access_token_ttl.map(|life| life.num_seconds()),
            refresh_grace: client.refresh_grace.map(|grace| grace.num_seconds()),
            require_pkce: client.require_pkce,
            require_consent: client.require_consent,
            backchannel_logout_uri: client
                .backchannel_logout_uri
                .as_ref()
                .map(LogoutUri::as_str)
                .map(str::to_owned),
            backchannel_logout_session_required: client.backchannel_logout_session_required,
            exchange_audiences: client.exchange_audiences.clone(),
            require_pushed_authorization_requests: client.require_pushed,
            dpop_bound_access_tokens: client.dpop_bound_access_tokens,
            created_at: client.created_at,
        }
    }
}

/// A client that was registered just now, and its secret.
// No Debug: it holds a secret.
#[derive(Serialize, ToSchema)]
#[schema(as = RegisteredClient)]
pub struct RegisteredClientView {
    #[serde(flatten)]
    pub client: ClientView,
    /// Told here and never again. Not there when the client has none.
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
    /// Told here and never again.
    #[schema(pattern = "^ccs_[A-Za-z0-9_-]{43}$")]
    pub client_secret: String,
    /// Until when earlier secrets are good, if they do not end before.
    pub old_until: DateTime<Utc>,
}
