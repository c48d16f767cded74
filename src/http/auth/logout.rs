use actix_web::HttpResponse;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::operations::Actor;
use crate::flows::sessions::log_out;
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::caller::RequireUser;
use crate::http::extract::cookie;
use crate::http::extract::network::ClientNetwork;
use crate::http::problem::Problem;

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogoutRequest {
    /// End all of the user's sessions and not only this one.
    #[serde(default)]
    all: bool,
}

/// Ends this session, or all of the user's. Its refresh token is dead at once; its access token is dead here at once,
/// and at services when it expires.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", security(("bearer" = [])),
    request_body(content = Option<LogoutRequest>), responses((status = 204)))]
pub async fn logout(
    app: AppData,
    RequireUser(current): RequireUser,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let request: LogoutRequest = body.json_or_default().await?;
    log_out(&app, &current, request.all, &network.audit_context(Actor::User(current.user.id))).await?;
    Ok(HttpResponse::NoContent().cookie(cookie::clear()).finish())
}
