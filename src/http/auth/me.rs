use actix_web::HttpResponse;

use crate::http::extract::caller::RequireUser;
use crate::views::UserView;

/// Who the access token's user is.
#[utoipa::path(get, path = "/auth/me", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = UserView)))]
pub async fn me(RequireUser(current): RequireUser) -> HttpResponse {
    HttpResponse::Ok().json(UserView::from(&current.user))
}
