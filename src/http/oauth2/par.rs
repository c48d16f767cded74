use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::client::ClientRequest;
use super::error::{OAuthErrorView, OAuthProblem};
use crate::flows::oauth::push_request;
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::dpop::presented_proof;
use crate::http::extract::network::ClientNetwork;

/// What the authorization endpoint takes, and what shows who asks.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read name by name")]
pub struct PushedAuthorizationRequest {
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
    #[schema(example = "code")]
    response_type: String,
    response_mode: Option<String>,
    redirect_uri: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    nonce: Option<String>,
    code_challenge: Option<String>,
    #[schema(example = "S256")]
    code_challenge_method: Option<String>,
    prompt: Option<String>,
    max_age: Option<String>,
    login_hint: Option<String>,
    id_token_hint: Option<String>,
    /// May be there more than once (RFC 8707).
    resource: Option<String>,
    /// The key the code shall be bound to, unless a `DPoP` header proves one (RFC 9449 section 10).
    dpop_jkt: Option<String>,
    claims: Option<String>,
}

/// RFC 9126 section 2.2.
#[derive(Serialize, ToSchema)]
pub struct PushedAnswer {
    #[schema(pattern = "^urn:ietf:params:oauth:request_uri:[A-Za-z0-9_-]{43}$")]
    request_uri: String,
    /// In seconds.
    expires_in: i64,
}

/// Takes an authorization request by the back door. What it is called is given to the authorization endpoint, once, in the place
/// of all other parameters but `client_id` (RFC 9126).
#[utoipa::path(post, path = "/oauth2/par", tag = "oauth2",
    request_body(content = PushedAuthorizationRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 201, body = PushedAnswer),
        (status = 400, description = "What the authorization endpoint would refuse", body = OAuthErrorView),
        (status = 401, description = "`invalid_client`", body = OAuthErrorView),
    ))]
pub async fn push(
    app: AppData,
    http: HttpRequest,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, OAuthProblem> {
    let ClientRequest { client, parameters } = ClientRequest::read(&app, &http, &network, body).await?;
    let pushed = push_request(&app, &client, &parameters, &presented_proof(&http)).await?;
    Ok(HttpResponse::Created().json(PushedAnswer {
        request_uri: pushed.request_uri.expose().to_owned(),
        expires_in: pushed.expires_in,
    }))
}
