use std::fmt;

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::clients::{ClientAuthMethod, ClientChange, GrantType, LogoutUri, RedirectUri};
use crate::domain::{ClientId, DisplayName, Scopes};
use crate::flows;
use crate::flows::clients::{CreateClient, RotatedSecret};
use crate::http::AppData;
use crate::http::extract::body::{Body, given};
use crate::http::extract::caller::{ClientsRead, ClientsWrite, RequireScope};
use crate::http::extract::network::ClientNetwork;
use crate::http::extract::parameters::{
    PageQuery, page_limit, parse_query, read_client_cursor, write_client_cursor,
};
use crate::http::problem::{ErrorCode, Problem, ProblemView};
use crate::views::{AuthMethodView, ClientSecretView, ClientView, GrantTypeView, RegisteredClientView};

#[derive(Serialize, ToSchema)]
pub struct ClientList {
    clients: Vec<ClientView>,
    /// `null` on the last page.
    next_cursor: Option<String>,
}

/// OAuth clients by id.
#[utoipa::path(get, path = "/admin/clients", tag = "admin", security(("bearer" = ["clients:read"])), params(PageQuery),
    responses((status = 200, body = ClientList)))]
pub async fn list(
    app: AppData,
    _: RequireScope<ClientsRead>,
    http: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = parse_query::<PageQuery>(&http)?;
    let after = query.cursor.as_deref().map(read_client_cursor).transpose()?;
    let page = flows::clients::list_clients(&app, after.as_ref(), page_limit(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(ClientList {
        clients: page.clients.iter().map(ClientView::from).collect(),
        next_cursor: page.next.as_ref().map(write_client_cursor),
    }))
}

/// Members are named as in RFC 7591 where it has them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewClient {
    /// Made when left out.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$")]
    client_id: Option<String>,
    client_name: String,
    /// `client_secret_basic` when left out.
    #[schema(value_type = Option<AuthMethodView>)]
    token_endpoint_auth_method: Option<String>,
    /// The public keys of a client that proves who it is by `private_key_jwt`: a JWK Set of RSA, P-256 and Ed25519 keys.
    #[schema(value_type = Option<Object>)]
    jwks: Option<Value>,
    /// `authorization_code` and `refresh_token` when left out.
    #[schema(value_type = Option<Vec<GrantTypeView>>, min_items = 1)]
    grant_types: Option<Vec<String>>,
    #[schema(max_items = 50)]
    redirect_uris: Option<Vec<String>>,
    #[schema(max_items = 50)]
    post_logout_redirect_uris: Option<Vec<String>>,
    /// All it may ask for, separated by spaces; `openid profile email offline_access` when left out.
    #[schema(pattern = r"^[ !#-\[\]-~]*$")]
    scope: Option<String>,
    /// Whom its tokens may be for; the server's `tokens.audience` when left out.
    #[schema(max_items = 50)]
    audience: Option<Vec<String>>,
    /// In seconds; the server's when left out, and at most that.
    #[schema(minimum = 1)]
    access_token_life: Option<u32>,
    /// In seconds; the server's when left out.
    #[schema(maximum = 60)]
    refresh_grace: Option<u32>,
    /// `true` when left out.
    require_pkce: Option<bool>,
    /// Whether users are asked before it gets anything; `true` when left out.
    require_consent: Option<bool>,
    /// Where it is told that a session of its has ended (OpenID Connect Back-Channel Logout).
    backchannel_logout_uri: Option<String>,
    /// `false` when left out. Whichever it is, `sid` is told.
    backchannel_logout_session_required: Option<bool>,
    /// The services for which it may exchange its users' tokens (RFC 8693); none when left out.
    #[schema(max_items = 50)]
    exchange_audiences: Option<Vec<String>>,
    /// Whether it must push its authorization requests; `false` when left out.
    require_pushed_authorization_requests: Option<bool>,
    /// Whether it gets no access token that is not bound to a key (RFC 9449 section 5.2); `false` when left out.
    dpop_bound_access_tokens: Option<bool>,
}

/// Registers a client. The answer holds its secret, which is told once.
#[utoipa::path(post, path = "/admin/clients", tag = "admin", security(("bearer" = ["clients:write"])), request_body = NewClient,
    responses(
        (status = 201, body = RegisteredClientView),
        (status = 409, description = "`client_id_taken`", body = ProblemView, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_client_metadata`", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub async fn create(
    app: AppData,
    permit: RequireScope<ClientsWrite>,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let request: NewClient = body.json().await?;
    let auth_method = match request.token_endpoint_auth_method.as_deref() {
        None => ClientAuthMethod::SecretBasic,
        Some(name) => ClientAuthMethod::parse(name)
            .ok_or_else(|| invalid("token_endpoint_auth_method", "there is no such method here"))?,
    };
    let id = request.client_id.as_deref().map(ClientId::parse).transpose();
    let wanted = CreateClient {
        id: id.map_err(|error| invalid("client_id", error))?,
        name: parse_name(&request.client_name)?,
        auth_method,
        change: request.rest().parse()?,
        authority: permit.authority(),
        context: network.audit_context(permit.actor()),
    };
    let (client, secret) = flows::clients::create_client(&app, wanted).await?;
    Ok(HttpResponse::Created().json(RegisteredClientView {
        client: ClientView::from(&client),
        client_secret: secret.map(|secret| secret.expose().to_owned()),
    }))
}

/// One client.
#[utoipa::path(get, path = "/admin/clients/{id}", tag = "admin", security(("bearer" = ["clients:read"])), params(("id" = String, Path)),
    responses((status = 200, body = ClientView), (status = 404, body = ProblemView, content_type = "application/problem+json")))]
pub async fn show(
    app: AppData,
    _: RequireScope<ClientsRead>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let client = flows::clients::get_client(&app, &parse_client_id(&id)?).await?;
    Ok(HttpResponse::Ok().json(ClientView::from(&client)))
}

/// What is left out stays as it is. A list that is given takes the place of the one before; a life that is `null` becomes the
/// server's, and a `backchannel_logout_uri` that is `null` goes.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientPatch {
    client_name: Option<String>,
    #[schema(value_type = Option<Object>)]
    jwks: Option<Value>,
    #[schema(value_type = Option<Vec<GrantTypeView>>, min_items = 1)]
    grant_types: Option<Vec<String>>,
    #[schema(max_items = 50)]
    redirect_uris: Option<Vec<String>>,
    #[schema(max_items = 50)]
    post_logout_redirect_uris: Option<Vec<String>>,
    #[schema(pattern = r"^[ !#-\[\]-~]*$")]
    scope: Option<String>,
    #[schema(max_items = 50)]
    audience: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    access_token_life: Option<Option<u32>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, maximum = 60)]
    refresh_grace: Option<Option<u32>>,
    require_pkce: Option<bool>,
    require_consent: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    backchannel_logout_uri: Option<Option<String>>,
    backchannel_logout_session_required: Option<bool>,
    #[schema(max_items = 50)]
    exchange_audiences: Option<Vec<String>>,
    require_pushed_authorization_requests: Option<bool>,
    dpop_bound_access_tokens: Option<bool>,
}

/// Changes what a client is and may do. Its sessions go on, and follow at their next refresh.
#[utoipa::path(patch, path = "/admin/clients/{id}", tag = "admin", security(("bearer" = ["clients:write"])), params(("id" = String, Path)),
    request_body = ClientPatch,
    responses(
        (status = 200, body = ClientView),
        (status = 404, body = ProblemView, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_client_metadata`", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub async fn update(
    app: AppData,
    permit: RequireScope<ClientsWrite>,
    network: ClientNetwork,
    id: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let id = parse_client_id(&id)?;
    let change = body.json::<ClientPatch>().await?.parse()?;
    let client = flows::clients::update_client(
        &app,
        &id,
        change,
        &permit.authority(),
        &network.audit_context(permit.actor()),
    )
    .await?;
    Ok(HttpResponse::Ok().json(ClientView::from(&client)))
}

/// Removes a client, its secrets, codes and consents, and ends its sessions.
#[utoipa::path(delete, path = "/admin/clients/{id}", tag = "admin", security(("bearer" = ["clients:write"])), params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemView, content_type = "application/problem+json")))]
pub async fn delete(
    app: AppData,
    permit: RequireScope<ClientsWrite>,
    network: ClientNetwork,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = parse_client_id(&id)?;
    flows::clients::delete_client(
        &app,
        &id,
        &permit.authority(),
        &network.audit_context(permit.actor()),
        false,
    )
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecretRequest {
    /// How long earlier secrets are good: 0s to 30d, 24h when left out.
    #[schema(example = "24h")]
    overlap: Option<String>,
}

/// Gives a client a new secret, which is told once. Earlier ones go on for the overlap.
#[utoipa::path(post, path = "/admin/clients/{id}/secret", tag = "admin", security(("bearer" = ["clients:write"])), params(("id" = String, Path)),
    request_body(content = Option<NewSecretRequest>),
    responses(
        (status = 200, body = ClientSecretView),
        (status = 404, body = ProblemView, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_client_metadata`: the client has no secret", body = ProblemView,
            content_type = "application/problem+json"),
    ))]
pub async fn rotate_secret(
    app: AppData,
    permit: RequireScope<ClientsWrite>,
    network: ClientNetwork,
    id: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let id = parse_client_id(&id)?;
    let request: NewSecretRequest = body.json_or_default().await?;
    let overlap = request.overlap.as_deref().map_or(Ok(RotatedSecret::DEFAULT_OVERLAP), parse_overlap)?;
    let (authority, context) = (permit.authority(), network.audit_context(permit.actor()));
    let rotated = flows::clients::rotate_client_secret(&app, &id, overlap, &authority, &context).await?;
    Ok(HttpResponse::Ok().json(ClientSecretView {
        client_id: id.to_string(),
        client_secret: rotated.secret.expose().to_owned(),
        old_until: rotated.old_until,
    }))
}

impl NewClient {
    /// What may be changed later, too.
    fn rest(self) -> ClientPatch {
        ClientPatch {
            client_name: None,
            jwks: self.jwks,
            grant_types: self.grant_types,
            redirect_uris: self.redirect_uris,
            post_logout_redirect_uris: self.post_logout_redirect_uris,
            scope: self.scope,
            audience: self.audience,
            access_token_life: self.access_token_life.map(Some),
            refresh_grace: self.refresh_grace.map(Some),
            require_pkce: self.require_pkce,
            require_consent: self.require_consent,
            backchannel_logout_uri: self.backchannel_logout_uri.map(Some),
            backchannel_logout_session_required: self.backchannel_logout_session_required,
            exchange_audiences: self.exchange_audiences,
            require_pushed_authorization_requests: self.require_pushed_authorization_requests,
            dpop_bound_access_tokens: self.dpop_bound_access_tokens,
        }
    }
}

impl ClientPatch {
    fn parse(self) -> Result<ClientChange, Problem> {
        let uris = |member, uris: Option<Vec<String>>| uris.map(|uris| parse_uris(member, &uris)).transpose();
        let seconds =
            |life: Option<Option<u32>>| life.map(|life| life.map(|life| TimeDelta::seconds(life.into())));
        let keys = self.jwks.as_ref().map(flows::clients::read_client_keys).transpose();
        let scopes = self.scope.as_deref().map(Scopes::parse).transpose();
        Ok(ClientChange {
            name: self.client_name.as_deref().map(parse_name).transpose()?,
            keys: keys.map_err(|error| invalid("jwks", error))?,
            grant_types: self
                .grant_types
                .map(|names| names.iter().map(|name| parse_grant(name)).collect())
                .transpose()?,
            redirect_uris: uris("redirect_uris", self.redirect_uris)?,
            post_logout_redirect_uris: uris("post_logout_redirect_uris", self.post_logout_redirect_uris)?,
            scopes: scopes
                .map_err(|_| invalid("scope", "these are not all scope tokens (RFC 6749 section 3.3)"))?,
            audiences: self.audience,
            access_token_ttl: seconds(self.access_token_life),
            refresh_grace: seconds(self.refresh_grace),
            require_pkce: self.require_pkce,
            require_consent: self.require_consent,
            backchannel_logout_uri: self
                .backchannel_logout_uri
                .map(|uri| uri.as_deref().map(parse_logout_uri).transpose())
                .transpose()?,
            backchannel_logout_session_required: self.backchannel_logout_session_required,
            exchange_audiences: self.exchange_audiences,
            require_pushed: self.require_pushed_authorization_requests,
            dpop_bound_access_tokens: self.dpop_bound_access_tokens,
        })
    }
}

/// What is no id is the id of nothing.
fn parse_client_id(text: &str) -> Result<ClientId, Problem> {
    ClientId::parse(text).map_err(|_| Problem::new(ErrorCode::NotFound))
}

fn parse_name(name: &str) -> Result<DisplayName, Problem> {
    DisplayName::parse(name).map_err(|error| invalid("client_name", error))
}

fn parse_grant(name: &str) -> Result<GrantType, Problem> {
    GrantType::parse(name).ok_or_else(|| invalid("grant_types", "there is no such grant here"))
}

fn parse_uris(member: &str, uris: &[String]) -> Result<Vec<RedirectUri>, Problem> {
    let parse = |(at, uri): (usize, &String)| {
        RedirectUri::parse(uri).map_err(|error| invalid(&format!("{member}[{at}]"), error))
    };
    uris.iter().enumerate().map(parse).collect()
}

fn parse_logout_uri(uri: &str) -> Result<LogoutUri, Problem> {
    LogoutUri::parse(uri).map_err(|error| invalid("backchannel_logout_uri", error))
}

fn parse_overlap(text: &str) -> Result<TimeDelta, Problem> {
    let overlap = humantime::parse_duration(text).ok().and_then(|overlap| TimeDelta::from_std(overlap).ok());
    overlap.ok_or_else(|| {
        Problem::new(ErrorCode::InvalidParameter)
            .detail("overlap must be a duration such as \"0s\", \"24h\" or \"7d\"")
    })
}

fn invalid(member: &str, error: impl fmt::Display) -> Problem {
    Problem::new(ErrorCode::InvalidClientMetadata).detail(format!("{member}: {error}"))
}
