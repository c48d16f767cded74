//! `/auth`: what login UIs post to.

pub mod consents;
pub mod login;
pub mod logout;
pub mod me;
pub mod password;
pub mod refresh;
pub mod register;
pub mod sessions;

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::cookie;
use crate::flows::sessions::IssuedTokens;
use crate::views::UserView;

/// An OAuth token response (RFC 6749 section 5.1).
#[derive(Serialize, ToSchema)]
pub struct TokenResponse {
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Life of the access token in seconds.
    expires_in: i64,
    /// Left out in cookie mode, where it is in the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// Life of the refresh token in seconds, if it is not used.
    refresh_expires_in: i64,
    /// Space separated; what the user's roles give.
    scope: String,
}

/// A token response and who logged in.
#[derive(Serialize, ToSchema)]
pub struct LoginResponse {
    #[serde(flatten)]
    tokens: TokenResponse,
    user: UserView,
}

impl TokenResponse {
    fn new(tokens: &IssuedTokens, in_cookie: bool) -> Self {
        Self {
            access_token: tokens.access_token.expose().to_owned(),
            token_type: "Bearer",
            expires_in: tokens.expires_in,
            refresh_token: (!in_cookie).then(|| tokens.refresh_token.expose().to_owned()),
            refresh_expires_in: tokens.refresh_expires_in,
            scope: tokens.scope.clone(),
        }
    }
}

/// 200 with a body, and the refresh token in the cookie in cookie mode. The middleware adds `no-store`.
fn token_response(body: &impl Serialize, tokens: &IssuedTokens, in_cookie: bool) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if in_cookie {
        response.cookie(cookie::set(&tokens.refresh_token, tokens.refresh_expires_in));
    }
    response.json(body)
}
