use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::accounts::{Roles, UserStatus};
use crate::domain::{DisplayName, Email, UserId};
use crate::flows;
use crate::flows::accounts::{CreateUser, UserChange};
use crate::http::AppData;
use crate::http::extract::body::{Body, given};
use crate::http::extract::caller::{RequireScope, UsersRead, UsersWrite};
use crate::http::extract::network::ClientNetwork;
use crate::http::extract::parameters::{
    PageQuery, page_limit, parse_id, parse_query, read_cursor, write_cursor,
};
use crate::http::problem::{ErrorCode, Problem, ProblemView};
use crate::views::UserView;

#[derive(Serialize, ToSchema)]
pub struct UserList {
    users: Vec<UserView>,
    /// `null` on the last page.
    next_cursor: Option<String>,
}

/// Accounts, oldest first.
#[utoipa::path(get, path = "/admin/users", tag = "admin", security(("bearer" = ["users:read"])), params(PageQuery),
    responses((status = 200, body = UserList)))]
pub async fn list(
    app: AppData,
    _: RequireScope<UsersRead>,
    http: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = parse_query::<PageQuery>(&http)?;
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    let after = after.map(|(created_at, id)| (created_at, UserId(id)));
    let page = flows::accounts::list_users(&app, after, page_limit(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(UserList {
        users: page.users.iter().map(UserView::from).collect(),
        next_cursor: page.next.map(|(created_at, id)| write_cursor(created_at, id.0)),
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    email: String,
    #[schema(format = Password)]
    password: String,
    name: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
}

/// Makes an account.
#[utoipa::path(post, path = "/admin/users", tag = "admin", security(("bearer" = ["users:write"])), request_body = NewUser,
    responses(
        (status = 201, body = UserView),
        (status = 409, description = "`email_taken`", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub async fn create(
    app: AppData,
    permit: RequireScope<UsersWrite>,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let request: NewUser = body.json().await?;
    let email =
        Email::parse(&request.email).map_err(|error| Problem::new(ErrorCode::InvalidEmail).detail(error))?;
    let wanted = CreateUser {
        email,
        password: &request.password,
        name: request.name.as_deref().map(parse_name).transpose()?,
        roles: parse_roles(&app, &request.roles)?,
        authority: permit.authority(),
        context: network.audit_context(permit.actor()),
    };
    let user = flows::accounts::create_user(&app, wanted).await?;
    Ok(HttpResponse::Created().json(UserView::from(&user)))
}

/// One account.
#[utoipa::path(get, path = "/admin/users/{id}", tag = "admin", security(("bearer" = ["users:read"])), params(("id" = Uuid, Path)),
    responses((status = 200, body = UserView), (status = 404, body = ProblemView, content_type = "application/problem+json")))]
pub async fn show(
    app: AppData,
    _: RequireScope<UsersRead>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = UserId(parse_id(&id)?);
    let user = flows::accounts::get_user(&app, id).await?;
    Ok(HttpResponse::Ok().json(UserView::from(&user)))
}

/// What is left out stays as it is; `"name": null` removes the name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
    roles: Option<Vec<String>>,
    #[schema(pattern = "^(active|disabled)$")]
    status: Option<String>,
}

/// Changes name, roles or status. Disabling ends all the user's sessions.
#[utoipa::path(patch, path = "/admin/users/{id}", tag = "admin", security(("bearer" = ["users:write"])), params(("id" = Uuid, Path)),
    request_body = UserPatch,
    responses((status = 200, body = UserView), (status = 404, body = ProblemView, content_type = "application/problem+json")))]
pub async fn update(
    app: AppData,
    permit: RequireScope<UsersWrite>,
    network: ClientNetwork,
    id: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let id = UserId(parse_id(&id)?);
    let request: UserPatch = body.json().await?;
    let status = request.status.map(|status| {
        let refused =
            || Problem::new(ErrorCode::InvalidParameter).detail("status must be active or disabled");
        UserStatus::parse(&status).ok_or_else(refused)
    });
    let change = UserChange {
        name: request.name.map(|name| name.as_deref().map(parse_name).transpose()).transpose()?,
        roles: request.roles.map(|roles| parse_roles(&app, &roles)).transpose()?,
        status: status.transpose()?,
    };
    let user = flows::accounts::update_user(
        &app,
        id,
        change,
        &permit.authority(),
        &network.audit_context(permit.actor()),
    )
    .await?;
    Ok(HttpResponse::Ok().json(UserView::from(&user)))
}

/// Removes an account and its sessions. Its id is never used again.
#[utoipa::path(delete, path = "/admin/users/{id}", tag = "admin", security(("bearer" = ["users:write"])), params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = ProblemView, content_type = "application/problem+json")))]
pub async fn delete(
    app: AppData,
    permit: RequireScope<UsersWrite>,
    network: ClientNetwork,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = UserId(parse_id(&id)?);
    flows::accounts::delete_user(&app, id, &permit.authority(), &network.audit_context(permit.actor()))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPasswordRequest {
    #[schema(format = Password)]
    password: String,
}

/// Sets a user's password. All their sessions end.
#[utoipa::path(post, path = "/admin/users/{id}/password", tag = "admin", security(("bearer" = ["users:write"])), params(("id" = Uuid, Path)),
    request_body = NewPasswordRequest,
    responses((status = 204), (status = 404, body = ProblemView, content_type = "application/problem+json")))]
pub async fn set_password(
    app: AppData,
    permit: RequireScope<UsersWrite>,
    network: ClientNetwork,
    id: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let id = UserId(parse_id(&id)?);
    let request: NewPasswordRequest = body.json().await?;
    let user = flows::accounts::get_user(&app, id).await?;
    flows::accounts::set_password(
        &app,
        &user,
        &request.password,
        &permit.authority(),
        &network.audit_context(permit.actor()),
    )
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

fn parse_name(name: &str) -> Result<DisplayName, Problem> {
    DisplayName::parse(name).map_err(|error| Problem::new(ErrorCode::InvalidName).detail(error))
}

fn parse_roles(app: &AppData, names: &[String]) -> Result<Roles, Problem> {
    let parsed = app.settings.roles.parse_roles(names.iter().map(String::as_str));
    parsed.map_err(|error| Problem::new(ErrorCode::InvalidRole).detail(error))
}
