use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::client::ClientRequest;
use super::error::{OAuthErrorView, OAuthProblem};
use crate::domain::clients::GrantType;
use crate::domain::operations::Actor;
use crate::flows::oauth::{GrantError, TokenSet, redeem_grant};
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::dpop::presented_proof;
use crate::http::extract::network::ClientNetwork;

/// What a token request may hold. It is a form; who asks is in the `Authorization` header, in `client_id` and
/// `client_secret`, or in `client_assertion`.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read name by name")]
pub struct TokenRequest {
    #[schema(example = "authorization_code")]
    grant_type: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    refresh_token: Option<String>,
    device_code: Option<String>,
    scope: Option<String>,
    /// May be there more than once (RFC 8707).
    resource: Option<String>,
    /// Of an exchange (RFC 8693), as what follows.
    audience: Option<String>,
    subject_token: Option<String>,
    subject_token_type: Option<String>,
    actor_token: Option<String>,
    actor_token_type: Option<String>,
    requested_token_type: Option<String>,
}

/// RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3.
#[derive(Serialize, ToSchema)]
pub struct TokenAnswer {
    access_token: String,
    #[schema(example = "Bearer")]
    /// `DPoP` where the request proved a key (RFC 9449).
    token_type: &'static str,
    /// Life of the access token in seconds.
    expires_in: i64,
    /// Space separated; what the token really says.
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_token: Option<String>,
    /// Life of the refresh token in seconds, if it is not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_expires_in: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id_token: Option<String>,
    /// Of an exchange (RFC 8693 section 2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "urn:ietf:params:oauth:token-type:access_token")]
    issued_token_type: Option<&'static str>,
}

impl From<TokenSet> for TokenAnswer {
    fn from(token_set: TokenSet) -> Self {
        Self {
            token_type: token_set.access_token.kind(),
            access_token: token_set.access_token.expose().to_owned(),
            expires_in: token_set.expires_in,
            scope: token_set.scope,
            refresh_token: token_set.refresh_token.map(|token| token.expose().to_owned()),
            refresh_expires_in: token_set.refresh_expires_in,
            id_token: token_set.id_token.map(|token| token.expose().to_owned()),
            issued_token_type: token_set.issued_token_type,
        }
    }
}

/// Tokens for a client, by one of its grants. With a proof in a `DPoP` header the access token is bound to its key (RFC 9449).
#[utoipa::path(post, path = "/oauth2/token", tag = "oauth2",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = TokenAnswer),
        (status = 400, description = "RFC 6749 section 5.2; `invalid_dpop_proof` and `use_dpop_nonce` of RFC 9449", body = OAuthErrorView),
        (status = 401, description = "`invalid_client`", body = OAuthErrorView),
    ))]
pub async fn token(
    app: AppData,
    http: HttpRequest,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, OAuthProblem> {
    let ClientRequest { client, parameters } = ClientRequest::read(&app, &http, &network, body).await?;
    let context = network.audit_context(Actor::Client(client.id.clone()));
    let outcome = redeem_grant(&app, &client, &parameters, &presented_proof(&http), &context).await;
    let named = parameters.get("grant_type").and_then(GrantType::parse).map_or("other", GrantType::as_str);
    let label = match &outcome {
        Ok(_) => "success",
        Err(GrantError::OAuth(error)) => error.code.as_str(),
        Err(_) => "unavailable",
    };
    metrics::counter!("chancery_grants_total", "grant_type" => named, "outcome" => label).increment(1);
    let token_set = outcome?;
    Ok(HttpResponse::Ok().insert_header((header::PRAGMA, "no-cache")).json(TokenAnswer::from(token_set)))
}
