use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;

use super::client::ClientRequest;
use super::error::{OAuthErrorView, OAuthProblem};
use crate::domain::operations::Actor;
use crate::flows::oauth::revoke_token;
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::network::ClientNetwork;

#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read name by name")]
pub struct RevocationRequest {
    token: String,
    /// Not needed: a token says of itself what it is.
    token_type_hint: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
}

/// Ends the session a token belongs to (RFC 7009). A token that is unknown, over or another client's is answered alike.
#[utoipa::path(post, path = "/oauth2/revoke", tag = "oauth2",
    request_body(content = RevocationRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200),
        (status = 400, body = OAuthErrorView),
        (status = 401, description = "`invalid_client`", body = OAuthErrorView),
    ))]
pub async fn revoke(
    app: AppData,
    http: HttpRequest,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, OAuthProblem> {
    let ClientRequest { client, parameters } = ClientRequest::read(&app, &http, &network, body).await?;
    let token = parameters.require("token")?;
    revoke_token(&app, &client, token, &network.audit_context(Actor::Client(client.id.clone()))).await?;
    Ok(HttpResponse::Ok().finish())
}
