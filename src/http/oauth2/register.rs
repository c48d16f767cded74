use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{OAuthErrorView, OAuthProblem};
use crate::domain::clients::{Client, ClientMetadata};
use crate::domain::operations::Actor;
use crate::domain::{OAuthCode, OAuthError};
use crate::flows::clients::{
    ChangeRegistration, change_registration, find_registration, may_register, register_client,
    withdraw_registration,
};
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::client_settings::SettingMembers;
use crate::http::extract::dpop::presented_token;
use crate::http::extract::network::ClientNetwork;
use crate::http::problem::{ErrorCode, Problem};
use crate::http::scheme::Scheme;
use crate::views::{AuthMethodView, ClientSettingsView};

/// Extractor for a request that may register a client.
pub struct Registrant;

impl FromRequest for Registrant {
    type Error = OAuthProblem;
    type Future = LocalBoxFuture<'static, Result<Self, OAuthProblem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let token = presented(request);
        let app = request.app_data::<AppData>().cloned();
        Box::pin(async move {
            let app = app.ok_or_else(|| Problem::new(ErrorCode::Internal))?;
            may_register(&app, token.as_deref())
                .map_err(|error| OAuthProblem::of_registration(error, token.is_some()))?;
            Ok(Self)
        })
    }
}

/// Extractor for a request of a self-registered client, authenticated by its registration access token.
pub struct OwnRegistration {
    client: Client,
    token: String,
}

impl FromRequest for OwnRegistration {
    type Error = OAuthProblem;
    type Future = LocalBoxFuture<'static, Result<Self, OAuthProblem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let token = presented(request);
        let id = request.match_info().get("client_id").unwrap_or_default().to_owned();
        let app = request.app_data::<AppData>().cloned();
        Box::pin(async move {
            let app = app.ok_or_else(|| Problem::new(ErrorCode::Internal))?;
            let client = find_registration(&app, &id, token.as_deref())
                .await
                .map_err(|error| OAuthProblem::of_registrations_token(error, token.is_some()))?;
            Ok(Self { client, token: token.unwrap_or_default() })
        })
    }
}

fn presented(request: &HttpRequest) -> Option<String> {
    match presented_token(request) {
        Ok((Scheme::Bearer, presented)) => Some(presented.text),
        _ => None,
    }
}

/// Client metadata (RFC 7591 section 2). Unknown members are ignored. Grant types other than `authorization_code` and
/// `refresh_token`, and scopes other than `openid`, `profile`, `email` and `offline_access`, are left out.
#[derive(Deserialize, ToSchema)]
pub struct ClientRegistration {
    /// Default, and in place of an unsupported method: `client_secret_basic`.
    token_endpoint_auth_method: Option<String>,
    /// Must contain `code` if present.
    response_types: Option<Vec<String>>,
    /// Required when a client changes its registration (RFC 7592 section 2.2): the client's own id.
    client_id: Option<String>,
    #[schema(value_type = Option<String>)]
    client_secret: Option<SecretString>,
    #[serde(flatten, deserialize_with = "SettingMembers::of_registration")]
    #[schema(ignore)]
    settings: SettingMembers,
}

impl ClientRegistration {
    fn parse(self) -> Result<ChangeRegistration, OAuthError> {
        let settings = self
            .settings
            .values()
            .map_err(|error| OAuthError::new(OAuthCode::InvalidClientMetadata, error.to_string()))?;
        let metadata = ClientMetadata {
            auth_method: self.token_endpoint_auth_method,
            response_types: self.response_types,
            settings,
        };
        Ok(ChangeRegistration { metadata, client_id: self.client_id, client_secret: self.client_secret })
    }
}

/// A registered client, with the URI and the token to manage the registration (RFC 7591 section 3.2.1, RFC 7592 section 3).
// No Debug: it holds secrets.
#[derive(Serialize, ToSchema)]
pub struct ClientInformation {
    client_id: String,
    /// Shown when the client registers, and not again. Absent for a public client.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^ccs_[A-Za-z0-9_-]{43}$")]
    client_secret: Option<String>,
    client_id_issued_at: i64,
    /// 0: never. Present with the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_secret_expires_at: Option<i64>,
    #[schema(pattern = "^crg_[A-Za-z0-9_-]{43}$")]
    registration_access_token: String,
    registration_client_uri: String,
    token_endpoint_auth_method: AuthMethodView,
    response_types: Vec<&'static str>,
    #[serde(flatten)]
    #[schema(ignore)]
    settings: ClientSettingsView,
}

impl ClientInformation {
    fn of(client: &Client, token: &str, issuer: &str) -> Self {
        Self {
            registration_client_uri: format!("{issuer}/oauth2/register/{}", client.id),
            client_id: client.id.to_string(),
            client_secret: None,
            client_id_issued_at: client.created_at.timestamp(),
            client_secret_expires_at: None,
            registration_access_token: token.to_owned(),
            token_endpoint_auth_method: client.auth_method.into(),
            response_types: vec!["code"],
            settings: ClientSettingsView::of_registration(client),
        }
    }
}

/// An application registers itself (RFC 7591), where `oauth.registration` lets it.
#[utoipa::path(post, path = "/oauth2/register", tag = "oauth2", security((), ("registration" = [])), request_body = ClientRegistration,
    responses(
        (status = 201, body = ClientInformation),
        (status = 400, description = "`invalid_redirect_uri` or `invalid_client_metadata`", body = OAuthErrorView),
        (status = 401, description = "`invalid_token`", body = OAuthErrorView),
        (status = 404, description = "registration is off", body = OAuthErrorView),
    ))]
pub async fn register(
    app: AppData,
    _: Registrant,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, OAuthProblem> {
    let request: ClientRegistration = body.json().await.map_err(OAuthProblem::of_metadata)?;
    let context = network.audit_context(Actor::Anonymous);
    let registered = register_client(&app, request.parse()?.metadata, &context)
        .await
        .map_err(|error| OAuthProblem::of_registration(error, true))?;
    let secret = registered.secret.map(|secret| secret.expose().to_owned());
    Ok(HttpResponse::Created().json(ClientInformation {
        client_secret_expires_at: secret.is_some().then_some(0),
        client_secret: secret,
        ..ClientInformation::of(&registered.client, registered.token.expose(), &app.settings.server.issuer)
    }))
}

/// A registration as it is (RFC 7592 section 2.1).
#[utoipa::path(get, path = "/oauth2/register/{client_id}", tag = "oauth2", security(("registration" = [])), params(("client_id" = String, Path)),
    responses(
        (status = 200, body = ClientInformation),
        (status = 401, description = "`invalid_token`", body = OAuthErrorView),
        (status = 404, description = "registration is off", body = OAuthErrorView),
    ))]
pub async fn show(app: AppData, own: OwnRegistration) -> Result<HttpResponse, OAuthProblem> {
    let information = ClientInformation::of(&own.client, &own.token, &app.settings.server.issuer);
    Ok(HttpResponse::Ok().json(information))
}

/// Replaces a registration (RFC 7592 section 2.2): an absent setting gets its default.
#[utoipa::path(put, path = "/oauth2/register/{client_id}", tag = "oauth2", security(("registration" = [])), params(("client_id" = String, Path)),
    request_body = ClientRegistration,
    responses(
        (status = 200, body = ClientInformation),
        (status = 400, description = "`invalid_redirect_uri` or `invalid_client_metadata`", body = OAuthErrorView),
        (status = 401, description = "`invalid_token`", body = OAuthErrorView),
        (status = 404, description = "registration is off", body = OAuthErrorView),
    ))]
pub async fn change(
    app: AppData,
    own: OwnRegistration,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, OAuthProblem> {
    let request: ClientRegistration = body.json().await.map_err(OAuthProblem::of_metadata)?;
    let context = network.audit_context(Actor::Client(own.client.id.clone()));
    let changed = change_registration(&app, &own.client.id, request.parse()?, &context)
        .await
        .map_err(|error| OAuthProblem::of_registration(error, true))?;
    let client = changed.ok_or_else(|| OAuthProblem::invalid_registration_token(true))?;
    let information = ClientInformation::of(&client, &own.token, &app.settings.server.issuer);
    Ok(HttpResponse::Ok().json(information))
}

/// A registration is taken back (RFC 7592 section 2.3): the client goes, and its sessions end.
#[utoipa::path(delete, path = "/oauth2/register/{client_id}", tag = "oauth2", security(("registration" = [])), params(("client_id" = String, Path)),
    responses(
        (status = 204),
        (status = 401, description = "`invalid_token`", body = OAuthErrorView),
        (status = 404, description = "registration is off", body = OAuthErrorView),
    ))]
pub async fn withdraw(
    app: AppData,
    own: OwnRegistration,
    network: ClientNetwork,
) -> Result<HttpResponse, OAuthProblem> {
    let context = network.audit_context(Actor::Client(own.client.id.clone()));
    match withdraw_registration(&app, &own.client.id, &context).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(OAuthProblem::invalid_registration_token(true)),
    }
}
