use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::SessionId;
use crate::domain::operations::Actor;
use crate::flows::sessions::{end_session, list_sessions};
use crate::http::AppData;
use crate::http::extract::caller::RequireUser;
use crate::http::extract::network::ClientNetwork;
use crate::http::extract::parameters::parse_id;
use crate::http::problem::{ErrorCode, Problem, ProblemView};
use crate::views::SessionView;

#[derive(Serialize, ToSchema)]
pub struct SessionList {
    sessions: Vec<SessionView>,
}

/// The user's live sessions, the last used first.
#[utoipa::path(get, path = "/auth/sessions", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = SessionList)))]
pub async fn list(app: AppData, RequireUser(current): RequireUser) -> Result<HttpResponse, Problem> {
    let sessions = list_sessions(&app, &current).await?;
    let sessions = sessions.iter().map(|session| SessionView::of(session, current.session.id)).collect();
    Ok(HttpResponse::Ok().json(SessionList { sessions }))
}

/// Ends one of the user's sessions.
#[utoipa::path(delete, path = "/auth/sessions/{id}", tag = "auth", security(("bearer" = [])), params(("id" = Uuid, Path)),
    responses(
        (status = 204),
        (status = 404, description = "no such live session of this user", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub async fn end(
    app: AppData,
    RequireUser(current): RequireUser,
    network: ClientNetwork,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let context = network.audit_context(Actor::User(current.user.id));
    match end_session(&app, &current, SessionId(parse_id(&id)?), &context).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::new(ErrorCode::NotFound)),
    }
}
