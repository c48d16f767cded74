use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{OAuthErrorView, OAuthProblem};
use crate::domain::clients::{Client, ClientMetadata};
use crate::domain::operations::Actor;
use crate::flows::clients::{
    ChangeRegistration, change_registration, find_registration, may_register, register_client,
    withdraw_registration,
};
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::dpop::presented_token;
use crate::http::extract::network::ClientNetwork;
use crate::http::problem::{ErrorCode, Problem};
use crate::http::scheme::Scheme;
use crate::views::{AuthMethodView, ClientView, GrantTypeView};

/// A handler that takes this is for whoever may register an application.
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

/// A handler that takes this is for an application that has registered itself, by the token it got then.
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

/// What an application says of itself (RFC 7591 section 2). What is not listed here is not listened to.
#[derive(Deserialize, ToSchema)]
pub struct ClientRegistration {
    #[schema(max_items = 50)]
    redirect_uris: Option<Vec<String>>,
    /// `client_secret_basic` when left out, or when there is no such method here.
    token_endpoint_auth_method: Option<String>,
    /// `authorization_code` when left out. Of others than that and `refresh_token` nothing comes.
    grant_types: Option<Vec<String>>,
    /// Must have `code`, if it is there.
    response_types: Option<Vec<String>>,
    client_name: Option<String>,
    /// `openid profile email offline_access` when left out. Of others nothing comes.
    scope: Option<String>,
    #[schema(max_items = 50)]
    post_logout_redirect_uris: Option<Vec<String>>,
    backchannel_logout_uri: Option<String>,
    backchannel_logout_session_required: Option<bool>,
    /// `false` when left out (RFC 9449 section 5.2).
    dpop_bound_access_tokens: Option<bool>,
    /// Where somebody else may send a user who is to sign in there (OpenID Connect Core section 4); https.
    initiate_login_uri: Option<String>,
    /// Of a change (RFC 7592 section 2.2): the client's own.
    client_id: Option<String>,
    #[schema(value_type = Option<String>)]
    client_secret: Option<SecretString>,
}

impl ClientRegistration {
    fn parse(self) -> ChangeRegistration {
        let metadata = ClientMetadata {
            redirect_uris: self.redirect_uris.unwrap_or_default(),
            auth_method: self.token_endpoint_auth_method,
            grant_types: self.grant_types,
            response_types: self.response_types,
            name: self.client_name,
            scope: self.scope,
            post_logout_redirect_uris: self.post_logout_redirect_uris.unwrap_or_default(),
            backchannel_logout_uri: self.backchannel_logout_uri,
            backchannel_logout_session_required: self.backchannel_logout_session_required.unwrap_or(false),
            dpop_bound_access_tokens: self.dpop_bound_access_tokens.unwrap_or(false),
            initiate_login_uri: self.initiate_login_uri,
        };
        ChangeRegistration { metadata, client_id: self.client_id, client_secret: self.client_secret }
    }
}

/// A client as it is registered, and where and by what it manages that (RFC 7591 section 3.2.1, RFC 7592 section 3).
// No Debug: it holds secrets.
#[derive(Serialize, ToSchema)]
pub struct ClientInformation {
    client_id: String,
    /// Told when it registers and never again. Not there when the client is a public one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^ccs_[A-Za-z0-9_-]{43}$")]
    client_secret: Option<String>,
    client_id_issued_at: i64,
    /// 0: never. There with the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_secret_expires_at: Option<i64>,
    #[schema(pattern = "^crg_[A-Za-z0-9_-]{43}$")]
    registration_access_token: String,
    registration_client_uri: String,
    redirect_uris: Vec<String>,
    token_endpoint_auth_method: AuthMethodView,
    grant_types: Vec<GrantTypeView>,
    response_types: Vec<&'static str>,
    client_name: String,
    scope: String,
    post_logout_redirect_uris: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    backchannel_logout_uri: Option<String>,
    backchannel_logout_session_required: bool,
    dpop_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    initiate_login_uri: Option<String>,
}

impl ClientInformation {
    fn of(client: &Client, token: &str, issuer: &str) -> Self {
        let view = ClientView::from(client);
        Self {
            registration_client_uri: format!("{issuer}/oauth2/register/{}", view.client_id),
            client_id: view.client_id,
            client_secret: None,
            client_id_issued_at: client.created_at.timestamp(),
            client_secret_expires_at: None,
            registration_access_token: token.to_owned(),
            redirect_uris: view.redirect_uris,
            token_endpoint_auth_method: view.token_endpoint_auth_method,
            grant_types: view.grant_types,
            response_types: vec!["code"],
            client_name: view.client_name,
            scope: view.scope,
            post_logout_redirect_uris: view.post_logout_redirect_uris,
            backchannel_logout_uri: view.backchannel_logout_uri,
            backchannel_logout_session_required: view.backchannel_logout_session_required,
            dpop_bound_access_tokens: view.dpop_bound_access_tokens,
            initiate_login_uri: client.initiate_login_uri.as_ref().map(|uri| uri.as_str().to_owned()),
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
    let registered = register_client(&app, request.parse().metadata, &context)
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

/// A registration is written anew (RFC 7592 section 2.2): what is left out becomes as if it had never been said.
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
    let changed = change_registration(&app, &own.client.id, request.parse(), &context)
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
