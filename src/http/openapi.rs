//! `/openapi.json`, written by the handlers' own types, and the page that shows it.

use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::client_schemas::ClientSettings;
use super::oauth2::error::OAuthErrorView;
use super::problem::ProblemView;
use super::{admin, auth, oauth2, ops, well_known};

#[derive(OpenApi)]
#[openapi(
    info(title = "Chancery", description = "A standalone auth server: signed tokens any service verifies offline."),
    paths(
        well_known::jwks,
        well_known::metadata,
        well_known::oauth_metadata,
        auth::register::register,
        auth::login::login,
        auth::refresh::refresh,
        auth::logout::logout,
        auth::me::me,
        auth::sessions::list,
        auth::sessions::end,
        auth::password::change,
        auth::consents::list,
        auth::consents::withdraw,
        oauth2::token::token,
        oauth2::par::push,
        oauth2::device_authorization::begin,
        oauth2::introspect::introspect,
        oauth2::revoke::revoke,
        oauth2::userinfo::userinfo,
        oauth2::userinfo::userinfo_by_post,
        oauth2::register::register,
        oauth2::register::show,
        oauth2::register::change,
        oauth2::register::withdraw,
        admin::keys::list,
        admin::keys::rotate,
        admin::keys::propagation,
        admin::keys::revoke,
        admin::users::list,
        admin::users::create,
        admin::users::show,
        admin::users::update,
        admin::users::delete,
        admin::users::set_password,
        admin::clients::list,
        admin::clients::create,
        admin::clients::show,
        admin::clients::update,
        admin::clients::delete,
        admin::clients::rotate_secret,
        admin::audit::list,
        ops::live,
        ops::ready,
        ops::metrics,
        show,
    ),
    components(schemas(ProblemView, OAuthErrorView)),
    modifiers(&BearerScheme, &ProblemEverywhere, &ClientSettings)
)]
struct Api;

/// The API's description, OpenAPI 3.1.
pub fn document() -> Document {
    Api::openapi()
}

struct BearerScheme;

impl Modify for BearerScheme {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT (RFC 9068)")
            .description(Some(
                "Under `/admin` and at userinfo also `Authorization: DPoP`, with a proof in the header `DPoP` (RFC 9449)",
            ))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let registration = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("`oauth.registration_token`, or the registration_access_token of RFC 7592"))
            .build();
        components.add_security_scheme("registration", SecurityScheme::Http(registration));
    }
}

/// Whatever else an operation answers is a problem.
struct ProblemEverywhere;

impl Modify for ProblemEverywhere {
    fn modify(&self, document: &mut Document) {
        let problem = || {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            ResponseBuilder::new()
                .description("A problem (RFC 9457); docs/errors.md lists the codes.")
                .content("application/problem+json", content)
                .build()
        };
        let oauth = || {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("OAuthError"))).build();
            ResponseBuilder::new()
                .description("An error of RFC 6749 section 5.2.")
                .content("application/json", content)
                .build()
        };
        for (path, item) in &mut document.paths.paths {
            let is_oauth = path.starts_with("/oauth2/");
            let operations: [&mut Option<Operation>; 5] =
                [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete, &mut item.put];
            for operation in operations.into_iter().flatten() {
                let other = if is_oauth { oauth() } else { problem() };
                operation.responses.responses.insert("default".to_owned(), other.into());
            }
        }
    }
}

/// The document as it is sent, written once: it is long, and anybody may ask for it.
pub struct Description(Bytes);

impl Description {
    pub fn of(document: &Document) -> serde_json::Result<Self> {
        Ok(Self(serde_json::to_vec(document)?.into()))
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", responses((status = 200, body = Object)))]
pub async fn show(description: web::Data<Description>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(description.0.clone())
}

/// The document as a page, at `/docs/`. Everything it loads is built in.
pub fn page() -> SwaggerUi {
    SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json"))
}
