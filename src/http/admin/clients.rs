use std::fmt;

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::ClientId;
use crate::domain::clients::{ClientAuthMethod, ClientChange, SettingValues};
use crate::flows;
use crate::flows::clients::{CreateClient, RotatedSecret};
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::caller::{ClientsRead, ClientsWrite, RequireScope};
use crate::http::extract::client_settings::SettingMembers;
use crate::http::extract::network::ClientNetwork;
use crate::http::extract::parameters::{
    PageQuery, page_limit, parse_query, read_client_cursor, write_client_cursor,
};
use crate::http::problem::{ErrorCode, Problem, ProblemView};
use crate::views::{AuthMethodView, ClientSecretView, ClientView, RegisteredClientView};

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

/// Members are named as in RFC 7591 where the RFC has them.
#[derive(Deserialize, ToSchema)]
pub struct NewClient {
    /// Random when absent.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$")]
    client_id: Option<String>,
    /// Default: `client_secret_basic`.
    #[schema(value_type = Option<AuthMethodView>)]
    token_endpoint_auth_method: Option<String>,
    #[serde(flatten, deserialize_with = "SettingMembers::of_create")]
    #[schema(ignore)]
    settings: SettingMembers,
}

/// Creates a client. The answer holds the secret, which is shown once.
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
            .ok_or_else(|| invalid("token_endpoint_auth_method: unsupported method"))?,
    };
    let id = request.client_id.as_deref().map(ClientId::parse).transpose();
    let options = CreateClient {
        id: id.map_err(|error| invalid(format!("client_id: {error}")))?,
        auth_method,
        change: parse_settings(request.settings)?,
        authority: permit.authority(),
        context: network.audit_context(permit.actor()),
    };
    let (client, secret) = flows::clients::create_client(&app, options).await?;
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

/// An absent setting keeps its value. A list replaces the list before. `null` removes the value of a setting that may be
/// without one.
#[derive(Deserialize, ToSchema)]
pub struct ClientPatch {
    #[serde(flatten, deserialize_with = "SettingMembers::of_update")]
    #[schema(ignore)]
    settings: SettingMembers,
}

/// Changes a client's settings. Its sessions continue; the new settings apply at their next refresh.
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
    let request: ClientPatch = body.json().await?;
    let change = parse_settings(request.settings)?;
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

/// Creates a new secret for a client, shown once. Earlier secrets stay valid for the overlap.
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

fn parse_settings(members: SettingMembers) -> Result<ClientChange, Problem> {
    members.values().and_then(SettingValues::parse).map_err(invalid)
}

/// A malformed id is answered with 404.
fn parse_client_id(text: &str) -> Result<ClientId, Problem> {
    ClientId::parse(text).map_err(|_| Problem::new(ErrorCode::NotFound))
}

fn parse_overlap(text: &str) -> Result<TimeDelta, Problem> {
    let overlap = humantime::parse_duration(text).ok().and_then(|overlap| TimeDelta::from_std(overlap).ok());
    overlap.ok_or_else(|| {
        Problem::new(ErrorCode::InvalidParameter)
            .detail("overlap must be a duration such as \"0s\", \"24h\" or \"7d\"")
    })
}

fn invalid(detail: impl fmt::Display) -> Problem {
    Problem::new(ErrorCode::InvalidClientMetadata).detail(detail)
}
