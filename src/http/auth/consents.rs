use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ClientId;
use crate::domain::oauth::Consent;
use crate::domain::operations::Actor;
use crate::flows::oauth::{list_consents, withdraw_consent};
use crate::http::AppData;
use crate::http::extract::caller::RequireUser;
use crate::http::extract::network::ClientNetwork;
use crate::http::problem::{ErrorCode, Problem, ProblemView};
use crate::views::ConsentView;

#[derive(Serialize, ToSchema)]
pub struct ConsentList {
    consents: Vec<ConsentView>,
}

/// What the user has let applications have, the newest first.
#[utoipa::path(get, path = "/auth/consents", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = ConsentList)))]
pub async fn list(app: AppData, RequireUser(current): RequireUser) -> Result<HttpResponse, Problem> {
    let consents = list_consents(&app, &current).await?;
    Ok(HttpResponse::Ok().json(ConsentList { consents: consents.into_iter().map(view).collect() }))
}

fn view(consent: Consent) -> ConsentView {
    ConsentView {
        client_id: consent.client_id.to_string(),
        client_name: consent.client_name.as_str().to_owned(),
        scope: consent.scopes.to_string(),
        granted_at: consent.granted_at,
    }
}

/// Takes it back from one application, and ends its sessions of this user. It must ask again, unless it is one of those that need
/// not ask.
#[utoipa::path(delete, path = "/auth/consents/{client_id}", tag = "auth", security(("bearer" = [])),
    params(("client_id" = String, Path)),
    responses(
        (status = 204),
        (status = 404, description = "nothing was given to this client", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub async fn withdraw(
    app: AppData,
    RequireUser(current): RequireUser,
    network: ClientNetwork,
    client_id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let client = ClientId::parse(&client_id).map_err(|_| Problem::new(ErrorCode::NotFound))?;
    match withdraw_consent(&app, &current, &client, &network.audit_context(Actor::User(current.user.id)))
        .await?
    {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::new(ErrorCode::NotFound)),
    }
}
