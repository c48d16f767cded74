use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{LoginResponse, TokenResponse, token_response};
use crate::domain::Email;
use crate::domain::operations::Actor;
use crate::domain::passwords::CandidatePassword;
use crate::flows::passwords::LogIn;
use crate::flows::sessions::{LogInError, LoggedIn, log_in};
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::cookie;
use crate::http::extract::network::ClientNetwork;
use crate::http::problem::{Problem, ProblemView};
use crate::views::UserView;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    #[schema(example = "ada@example.com")]
    email: String,
    #[schema(format = Password, example = "correct horse battery staple")]
    password: String,
    /// Put the refresh token into an HttpOnly cookie instead of the body.
    #[serde(default)]
    cookie: bool,
}

/// Checks the credentials and begins a session. Unknown, wrong and disabled answer alike.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = LoginRequest, responses(
    (status = 200, body = LoginResponse),
    (status = 401, description = "`invalid_credentials`", body = ProblemView, content_type = "application/problem+json"),
    (status = 403, description = "`origin_not_allowed`, in cookie mode", body = ProblemView, content_type = "application/problem+json"),
    (status = 503, description = "`busy`: come back after Retry-After", body = ProblemView, content_type = "application/problem+json"),
))]
pub async fn login(
    app: AppData,
    http: HttpRequest,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let request: LoginRequest = body.json().await?;
    if request.cookie {
        cookie::check_origin(&app, &http, &network).await?;
    }
    let credentials = LogIn {
        email: Email::parse(&request.email).ok(),
        password: CandidatePassword::parse(&request.password),
        context: network.audit_context(Actor::Anonymous),
        device: network.device(),
        device_token: cookie::read_device(&http),
    };
    let outcome = log_in(&app, credentials).await;
    let name = match &outcome {
        Ok(_) => "success",
        Err(LogInError::InvalidCredentials) => "invalid_credentials",
        Err(LogInError::Busy(_)) => "busy",
        Err(_) => "unavailable",
    };
    metrics::counter!("chancery_logins_total", "outcome" => name).increment(1);
    let LoggedIn { user, tokens, device_token } = outcome?;
    let body =
        LoginResponse { tokens: TokenResponse::new(&tokens, request.cookie), user: UserView::from(&user) };
    let mut response = token_response(&body, &tokens, request.cookie);
    // It only spares its holder others' failures, so it needs no name and no room in the body.
    if let Err(error) = response.add_cookie(&cookie::set_device(&device_token)) {
        tracing::warn!(event = "device_cookie_not_set", %error);
    }
    Ok(response)
}
