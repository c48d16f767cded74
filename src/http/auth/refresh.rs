use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{TokenResponse, token_response};
use crate::domain::ClientId;
use crate::domain::operations::Actor;
use crate::flows::sessions::{RefreshError, refresh as flow};
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::cookie;
use crate::http::extract::network::ClientNetwork;
use crate::http::problem::{ErrorCode, Problem, ProblemView};

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// Left out when the token is in the cookie.
    refresh_token: Option<String>,
}

/// Uses up a refresh token and gives its successor and a fresh access token. Given again within the grace it gets the
/// same successor; given later it ends the session.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", request_body = RefreshRequest, responses(
    (status = 200, body = TokenResponse),
    (status = 401, description = "`invalid_grant`: log in again", body = ProblemView, content_type = "application/problem+json"),
    (status = 403, description = "`origin_not_allowed`, in cookie mode", body = ProblemView, content_type = "application/problem+json"),
))]
pub async fn refresh(
    app: AppData,
    http: HttpRequest,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let request: RefreshRequest = body.json_or_default().await?;
    let in_cookie = request.refresh_token.is_none();
    if in_cookie {
        cookie::check_origin(&app, &http, &network).await?;
    }
    let presented = request.refresh_token.or_else(|| cookie::read(&http));
    let presented = presented.ok_or_else(|| {
        Problem::new(ErrorCode::InvalidJson)
            .detail("missing field `refresh_token`, and no cookie in its place")
    })?;
    let outcome =
        flow(&app, &presented, &ClientId::first_party(), &network.audit_context(Actor::Anonymous)).await;
    let name = match &outcome {
        Ok(_) => "success",
        Err(RefreshError::Invalid(_)) => "invalid_grant",
        Err(_) => "unavailable",
    };
    metrics::counter!("chancery_refreshes_total", "outcome" => name).increment(1);
    let (_, tokens) = outcome?;
    Ok(token_response(&TokenResponse::new(&tokens, in_cookie), &tokens, in_cookie))
}
