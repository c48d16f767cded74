use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::middleware::Condition;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Error, FromRequest, Handler, HttpResponse, Resource, Responder, guard};

use super::oauth2::error::OAuthProblem;
use super::problem::{ErrorCode, Problem};
use super::{admin, auth, hosted, oauth2, openapi, ops, pages, well_known};

/// Every address of the server. Who may ask is in the handlers' arguments: `RequireUser` needs a token, `RequireScope<…>` a
/// token with that scope; what names neither is open.
pub fn url_table() -> Vec<Endpoint> {
    vec![
        // Services that verify tokens.
        at("/.well-known/jwks.json").get(well_known::jwks).options(well_known::preflight),
        at("/.well-known/openid-configuration").get(well_known::metadata).options(well_known::preflight),
        at("/.well-known/oauth-authorization-server")
            .get(well_known::metadata)
            .options(well_known::preflight),
        // Login UIs.
        at("/auth/register").post(auth::register::register),
        at("/auth/login").post(auth::login::login),
        at("/auth/refresh").post(auth::refresh::refresh),
        at("/auth/logout").post(auth::logout::logout),
        at("/auth/me").get(auth::me::me),
        at("/auth/sessions").get(auth::sessions::list),
        at("/auth/sessions/{id}").delete(auth::sessions::end),
        at("/auth/password").post(auth::password::change),
        at("/auth/consents").get(auth::consents::list),
        at("/auth/consents/{client_id}").delete(auth::consents::withdraw),
        // OAuth and OpenID Connect clients.
        at("/oauth2/token").post(oauth2::token::token),
        at("/oauth2/par").post(oauth2::par::push),
        at("/oauth2/device_authorization").post(oauth2::device_authorization::begin),
        at("/oauth2/introspect").post(oauth2::introspect::introspect),
        at("/oauth2/revoke").post(oauth2::revoke::revoke),
        at("/oauth2/userinfo").get(oauth2::userinfo::userinfo).post(oauth2::userinfo::userinfo_by_post),
        at("/oauth2/register").post(oauth2::register::register),
        at("/oauth2/register/{client_id}")
            .get(oauth2::register::show)
            .put(oauth2::register::change)
            .delete(oauth2::register::withdraw),
        // Operators.
        at("/admin/keys").get(admin::keys::list),
        at("/admin/keys/rotate").post(admin::keys::rotate),
        at("/admin/keys/{kid}/propagation").get(admin::keys::propagation),
        at("/admin/keys/{kid}/revoke").post(admin::keys::revoke),
        at("/admin/users").get(admin::users::list).post(admin::users::create),
        at("/admin/users/{id}")
            .get(admin::users::show)
            .patch(admin::users::update)
            .delete(admin::users::delete),
        at("/admin/users/{id}/password").post(admin::users::set_password),
        at("/admin/clients").get(admin::clients::list).post(admin::clients::create),
        at("/admin/clients/{id}")
            .get(admin::clients::show)
            .patch(admin::clients::update)
            .delete(admin::clients::delete),
        at("/admin/clients/{id}/secret").post(admin::clients::rotate_secret),
        at("/admin/audit").get(admin::audit::list),
        at("/health/live").get(ops::live),
        at("/health/ready").get(ops::ready),
        at("/metrics").get(ops::metrics),
        at("/openapi.json").get(openapi::show),
    ]
}

/// The addresses that people's browsers see. They are no part of the API's description: clients find them in the metadata, and
/// what is behind a form is the page's own business.
pub fn page_table() -> Vec<Endpoint> {
    vec![
        at("/oauth2/authorize").get(hosted::authorize::begin).post(hosted::authorize::begin_by_post),
        at("/oauth2/logout").get(hosted::logout::begin).post(hosted::logout::by_post),
        at("/sign-in").get(hosted::sign_in::resume).post(hosted::sign_in::sign_in),
        at("/sign-up").get(hosted::sign_in::lost).post(hosted::sign_in::sign_up),
        at("/device").get(hosted::device::begin).post(hosted::device::by_post),
        at("/consent").get(hosted::sign_in::lost).post(hosted::sign_in::consent),
        at("/pages/style.css").get(pages::style),
    ]
}

/// One address and what may be done there.
pub struct Endpoint {
    pub path: &'static str,
    /// As the `Allow` header lists them.
    pub methods: Vec<Method>,
    resource: Resource,
}

fn at(path: &'static str) -> Endpoint {
    Endpoint { path, methods: Vec::new(), resource: web::resource(path) }
}

macro_rules! methods {
    ($($name:ident $method:ident),+) => {$(
        fn $name<F, Args>(self, handler: F) -> Self
        where
            F: Handler<Args>,
            Args: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            self.on(Method::$method, handler)
        }
    )+};
}

impl Endpoint {
    methods!(get GET, post POST, put PUT, patch PATCH, delete DELETE, options OPTIONS);

    fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        // HEAD is GET without the body (RFC 9110 section 9.3.2); the server leaves the body out.
        let route = if method == Method::GET {
            self.methods.push(Method::HEAD);
            web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
        } else {
            web::route().method(method.clone())
        };
        self.methods.push(method);
        self.resource = self.resource.route(route.to(handler));
        self
    }

    fn mount(self, config: &mut ServiceConfig, origins: &[String]) {
        let allowed: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        let allow = allowed.join(", ");
        let path = self.path;
        let resource = self.resource.default_service(web::to(move || {
            let error = error_at(path, Problem::new(ErrorCode::MethodNotAllowed).header("Allow", &allow));
            async move { Err::<HttpResponse, _>(error) }
        }));
        let (for_uis, for_apps) = (self.path.starts_with("/auth/"), OPEN_TO_APPS.contains(&self.path));
        let cors = if for_apps { open_cors(self.methods) } else { cors(origins, self.methods) };
        config.service(resource.wrap(Condition::new(for_uis || for_apps, cors)));
    }
}

/// An error as whoever calls this address reads it: clients of OAuth in OAuth's words, all others as a problem.
fn error_at(path: &str, problem: Problem) -> Error {
    if path.starts_with("/oauth2/") { OAuthProblem::from(problem).into() } else { problem.into() }
}

/// The same for what is refused before the address is looked at, and so passes by its CORS.
pub fn early_error_at(path: &str, problem: Problem) -> Error {
    let problem = match OPEN_TO_APPS.contains(&path) {
        true => problem
            .header("Access-Control-Allow-Origin", "*")
            .header("Access-Control-Expose-Headers", EXPOSED.join(", ")),
        false => problem,
    };
    error_at(path, problem)
}

/// Which part of the URL table a listening address serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// The only listening address: everything.
    Only,
    /// For services, login UIs and clients.
    Public,
    /// For operators.
    Admin,
}

impl Listener {
    /// Health and the API's description are on every listener.
    fn serves(self, path: &str) -> bool {
        let is_operators = path.starts_with("/admin/") || path == "/metrics";
        let is_everyones = path.starts_with("/health/") || path == "/openapi.json";
        match self {
            Self::Only => true,
            Self::Public => !is_operators,
            Self::Admin => is_operators || is_everyones,
        }
    }
}

/// Mounts what the listener serves. Any other path is answered `not_found`.
pub fn configure(config: &mut ServiceConfig, listener: Listener, origins: &[String]) {
    for endpoint in
        url_table().into_iter().chain(page_table()).filter(|endpoint| listener.serves(endpoint.path))
    {
        endpoint.mount(config, origins);
    }
    config.service(web::redirect("/docs", "/docs/"));
    config.service(openapi::page());
    config.default_service(web::to(|| async { Err::<HttpResponse, _>(Problem::new(ErrorCode::NotFound)) }));
}

/// What an application that runs in a browser calls from its own origin. No cookie is looked at here, so any origin may.
const OPEN_TO_APPS: [&str; 5] =
    ["/oauth2/token", "/oauth2/par", "/oauth2/revoke", "/oauth2/userinfo", "/oauth2/register"];

const EXPOSED: [&str; 4] = ["retry-after", "x-request-id", "www-authenticate", "dpop-nonce"];

fn open_cors(methods: Vec<Method>) -> Cors {
    Cors::default()
        .allow_any_origin()
        .send_wildcard()
        .allowed_methods(methods)
        .allowed_headers(["authorization", "content-type", "dpop"])
        .expose_headers(EXPOSED)
        .max_age(3600)
}

/// Login UIs on the configured origins may call `/auth` with credentials (Fetch standard, CORS protocol). Nobody else may,
/// and nothing else of the server can be called so.
fn cors(origins: &[String], methods: Vec<Method>) -> Cors {
    let cors = Cors::default()
        .allowed_methods(methods)
        .allowed_headers(["authorization", "content-type"])
        .expose_headers(["retry-after", "x-request-id", "www-authenticate"])
        .supports_credentials()
        // A browser learns from the missing header; a foreign origin that is no browser's is no concern of CORS.
        .block_on_origin_mismatch(false)
        .max_age(3600);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}
