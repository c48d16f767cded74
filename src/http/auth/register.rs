use actix_web::HttpResponse;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::operations::Actor;
use crate::domain::{DisplayName, Email};
use crate::flows::accounts::{SignUp, sign_up};
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::network::ClientNetwork;
use crate::http::problem::ProblemView;
use crate::http::problem::{ErrorCode, Problem};
use crate::views::UserView;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    #[schema(example = "ada@example.com")]
    email: String,
    #[schema(format = Password, example = "correct horse battery staple")]
    password: String,
    name: Option<String>,
}

/// Makes an account. The answer is the same whether or not the address has one already.
#[utoipa::path(post, path = "/auth/register", tag = "auth", request_body = RegisterRequest, responses(
    (status = 201, body = UserView),
    (status = 403, description = "`registration_closed`", body = ProblemView, content_type = "application/problem+json"),
))]
pub async fn register(app: AppData, network: ClientNetwork, body: Body) -> Result<HttpResponse, Problem> {
    let request: RegisterRequest = body.json().await?;
    let email =
        Email::parse(&request.email).map_err(|error| Problem::new(ErrorCode::InvalidEmail).detail(error))?;
    let name = request.name.as_deref().map(DisplayName::parse).transpose();
    let name = name.map_err(|error| Problem::new(ErrorCode::InvalidName).detail(error))?;
    let context = network.audit_context(Actor::Anonymous);
    let user = sign_up(&app, SignUp { email, password: &request.password, name, context }).await?;
    Ok(HttpResponse::Created().json(UserView::from(&user)))
}
