use actix_web::HttpResponse;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::operations::Actor;
use crate::domain::passwords::CandidatePassword;
use crate::flows::accounts::{ChangePassword, change_password};
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::caller::RequireUser;
use crate::http::extract::network::ClientNetwork;
use crate::http::problem::{Problem, ProblemView};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordRequest {
    #[schema(format = Password)]
    current_password: String,
    #[schema(format = Password)]
    new_password: String,
}

/// Changes the user's password. Their other sessions end.
#[utoipa::path(post, path = "/auth/password", tag = "auth", security(("bearer" = [])), request_body = PasswordRequest,
    responses(
        (status = 204),
        (status = 403, description = "`wrong_password`", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub async fn change(
    app: AppData,
    RequireUser(current): RequireUser,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let request: PasswordRequest = body.json().await?;
    let change = ChangePassword {
        current: CandidatePassword::parse(&request.current_password),
        new: &request.new_password,
    };
    change_password(&app, &current, change, &network.audit_context(Actor::User(current.user.id))).await?;
    Ok(HttpResponse::NoContent().finish())
}
