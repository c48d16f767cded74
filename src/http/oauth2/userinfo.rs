use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{OAuthErrorView, OAuthProblem};
use crate::domain::{DisplayName, scope};
use crate::flows::sessions::{CurrentUser, TokenSubject};
use crate::http::extract::body::Body;
use crate::http::extract::caller::AnyToken;
use crate::http::problem::Problem;
use crate::http::scheme::Scheme;

/// Who the token's user is, as far as its scope tells (OpenID Connect Core section 5.4).
#[derive(Serialize, ToSchema)]
pub struct UserInfo {
    sub: String,
    /// With scope `profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// With scope `email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email_verified: Option<bool>,
}

impl UserInfo {
    fn of(current: &CurrentUser) -> Self {
        let (user, scopes) = (&current.user, &current.scopes);
        let tells = |scope| scopes.contains(scope);
        Self {
            sub: user.id.to_string(),
            name: user
                .name
                .as_ref()
                .map(DisplayName::as_str)
                .filter(|_| tells(scope::PROFILE))
                .map(str::to_owned),
            email: tells(scope::EMAIL).then(|| user.email.to_string()),
            email_verified: tells(scope::EMAIL).then_some(user.email_verified),
        }
    }
}

/// Claims about the user, with an access token of scope `openid`.
#[utoipa::path(get, path = "/oauth2/userinfo", tag = "oauth2", security(("bearer" = [])), responses(
    (status = 200, body = UserInfo),
    (status = 401, body = OAuthErrorView),
    (status = 403, description = "`insufficient_scope`", body = OAuthErrorView),
))]
pub async fn userinfo(token: Result<AnyToken, Problem>) -> Result<HttpResponse, OAuthProblem> {
    let AnyToken { subject, scheme } = token?;
    match subject {
        TokenSubject::User(current) if current.scopes.contains(scope::OPENID) => {
            Ok(HttpResponse::Ok().json(UserInfo::of(&current)))
        }
        _ => Err(OAuthProblem::bearer(
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            &scheme.challenge(r#"error="insufficient_scope", scope="openid""#),
        )),
    }
}

/// The same by POST. The token is in the header here, too; one in the body as well is one too many (RFC 6750 section 2).
#[utoipa::path(post, path = "/oauth2/userinfo", tag = "oauth2", security(("bearer" = [])), responses(
    (status = 200, body = UserInfo),
    (status = 400, description = "`invalid_request`: a token in the body", body = OAuthErrorView),
    (status = 401, body = OAuthErrorView),
    (status = 403, description = "`insufficient_scope`", body = OAuthErrorView),
))]
pub async fn userinfo_by_post(
    token: Result<AnyToken, Problem>,
    body: Body,
) -> Result<HttpResponse, OAuthProblem> {
    let form = body.form().await.unwrap_or_default();
    if form.iter().any(|(name, _)| name == "access_token") {
        let challenge = Scheme::Bearer.challenge(r#"error="invalid_request""#);
        return Err(OAuthProblem::bearer(StatusCode::BAD_REQUEST, "invalid_request", &challenge));
    }
    userinfo(token).await
}
