//! `/.well-known`: what services need to verify tokens. Served from memory, also while the database is away, to any
//! origin.

use actix_web::http::Method;
use actix_web::http::header::{self, CacheControl, CacheDirective, EntityTag, IfNoneMatch};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use utoipa::ToSchema;

use super::AppData;
use super::extract::network::ClientNetwork;
use super::problem::{ErrorCode, Problem, ProblemView};
use crate::domain::clients::{ClientAuthMethod, GrantType};
use crate::domain::keys::{JwksFetch, SigningAlgorithm};
use crate::domain::oauth::ResponseMode;
use crate::domain::scope;
use crate::domain::sessions::Session;
use crate::settings::Registration;

/// The public keys as a JWK Set (RFC 7517).
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the document; the bytes are built by keys::jwks")]
pub struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the document; the bytes are built by keys::jwks")]
pub struct Jwk {
    kty: String,
    r#use: String,
    alg: String,
    kid: String,
    /// Of RSA keys, with `e`.
    #[schema(nullable = false)]
    n: Option<String>,
    #[schema(nullable = false)]
    e: Option<String>,
    /// Of EC (RFC 7518) and OKP (RFC 8037) keys, with `x`.
    #[schema(nullable = false)]
    crv: Option<String>,
    #[schema(nullable = false)]
    x: Option<String>,
    /// Of EC keys.
    #[schema(nullable = false)]
    y: Option<String>,
}

/// The public keys. Cacheable, with a strong ETag.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "well-known", responses(
    (status = 200, body = JwkSet, content_type = "application/jwk-set+json"),
    (status = 304, description = "unchanged since If-None-Match"),
    (status = 503, description = "`keys_unavailable`", body = ProblemView, content_type = "application/problem+json"),
))]
pub async fn jwks(
    app: AppData,
    network: ClientNetwork,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let document = app.jwks().ok_or_else(|| Problem::new(ErrorCode::KeysUnavailable))?;
    let now = app.clock.now();
    if *request.method() == Method::GET {
        app.usage_recorder
            .fetched(network.consumer(), JwksFetch { at: now, published_until: document.published_until });
    }
    let unchanged = matches_etag(&request, &document.etag);
    let status = if unchanged { "304" } else { "200" };
    metrics::counter!("chancery_jwks_requests_total", "status" => status).increment(1);
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, document.etag.as_str()))
        .insert_header((header::CACHE_CONTROL, app.jwks_cache_control(&document)));
    open_to_all(&mut response);
    Ok(if unchanged {
        response.finish()
    } else {
        response.content_type("application/jwk-set+json").body(document.body.clone())
    })
}

/// Whether the client has what would be sent.
pub(super) fn matches_etag(request: &HttpRequest, etag: &str) -> bool {
    let ours = EntityTag::new_strong(etag.trim_matches('"').to_owned());
    match request.get_header::<IfNoneMatch>() {
        Some(IfNoneMatch::Any) => true,
        // RFC 9110 section 13.1.2: compared weakly.
        Some(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&ours)),
        None => false,
    }
}

/// Server metadata (RFC 8414, OpenID Connect Discovery): what exists, and nothing that does not.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the standards' members")]
pub struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: String,
    pushed_authorization_request_endpoint: String,
    device_authorization_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
    end_session_endpoint: String,
    jwks_uri: String,
    /// There where applications may register themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    registration_endpoint: Option<String>,
    scopes_supported: Vec<&'static str>,
    response_types_supported: Vec<&'static str>,
    response_modes_supported: Vec<&'static str>,
    grant_types_supported: Vec<&'static str>,
    subject_types_supported: Vec<&'static str>,
    id_token_signing_alg_values_supported: Vec<String>,
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    token_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    introspection_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    revocation_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    dpop_signing_alg_values_supported: Vec<&'static str>,
    code_challenge_methods_supported: Vec<&'static str>,
    prompt_values_supported: Vec<&'static str>,
    acr_values_supported: Vec<&'static str>,
    claims_supported: Vec<&'static str>,
    claims_parameter_supported: bool,
    request_parameter_supported: bool,
    request_uri_parameter_supported: bool,
    require_pushed_authorization_requests: bool,
    authorization_response_iss_parameter_supported: bool,
    backchannel_logout_supported: bool,
    backchannel_logout_session_supported: bool,
}

impl Metadata {
    fn of(issuer: &str, algorithms: Vec<String>, registration: &Registration) -> Self {
        let at = |path: &str| format!("{issuer}{path}");
        let methods = |with_public: bool| {
            let all = ClientAuthMethod::ALL.iter();
            let fitting = all.filter(|method| with_public || **method != ClientAuthMethod::None);
            fitting.map(|method| method.as_str()).collect()
        };
        let signing = SigningAlgorithm::OF_CLIENTS.to_vec();
        Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: at("/oauth2/authorize"),
            token_endpoint: at("/oauth2/token"),
            userinfo_endpoint: at("/oauth2/userinfo"),
            pushed_authorization_request_endpoint: at("/oauth2/par"),
            device_authorization_endpoint: at("/oauth2/device_authorization"),
            introspection_endpoint: at("/oauth2/introspect"),
            revocation_endpoint: at("/oauth2/revoke"),
            end_session_endpoint: at("/oauth2/logout"),
            jwks_uri: at("/.well-known/jwks.json"),
            registration_endpoint: (!matches!(registration, Registration::Off))
                .then(|| at("/oauth2/register")),
            scopes_supported: scope::OF_USERS.to_vec(),
            response_types_supported: vec!["code"],
            response_modes_supported: ResponseMode::ALL.iter().map(|mode| mode.as_str()).collect(),
            grant_types_supported: GrantType::ALL.iter().map(|grant| grant.as_str()).collect(),
            subject_types_supported: vec!["public"],
            id_token_signing_alg_values_supported: algorithms,
            token_endpoint_auth_methods_supported: methods(true),
            introspection_endpoint_auth_methods_supported: methods(false),
            revocation_endpoint_auth_methods_supported: methods(true),
            token_endpoint_auth_signing_alg_values_supported: signing.clone(),
            introspection_endpoint_auth_signing_alg_values_supported: signing.clone(),
            revocation_endpoint_auth_signing_alg_values_supported: signing,
            dpop_signing_alg_values_supported: SigningAlgorithm::OF_CLIENTS.to_vec(),
            code_challenge_methods_supported: vec!["S256"],
            prompt_values_supported: vec!["none", "login", "consent", "select_account"],
            acr_values_supported: vec![Session::ACR],
            claims_supported: vec![
                "sub",
                "iss",
                "aud",
                "exp",
                "iat",
                "auth_time",
                "nonce",
                "acr",
                "amr",
                "sid",
                "name",
                "email",
                "email_verified",
            ],
            claims_parameter_supported: true,
            request_parameter_supported: false,
            request_uri_parameter_supported: false,
            require_pushed_authorization_requests: false,
            authorization_response_iss_parameter_supported: true,
            backchannel_logout_supported: true,
            backchannel_logout_session_supported: true,
        }
    }
}

/// Where everything is, found from the issuer alone.
#[utoipa::path(get, path = "/.well-known/openid-configuration", tag = "well-known",
    responses((status = 200, body = Metadata)))]
pub async fn metadata(app: AppData) -> HttpResponse {
    // What a verifier may meet; RS256, which every client knows, first.
    let algorithms = app.jwks().map(|document| document.algorithms.clone());
    let algorithms = algorithms.unwrap_or_else(|| vec![app.settings.keys.plan.alg.to_string()]);
    let mut response = HttpResponse::Ok();
    response.insert_header(CacheControl(vec![CacheDirective::Public, CacheDirective::MaxAge(300)]));
    open_to_all(&mut response);
    let (issuer, registration) = (&app.settings.server.issuer, &app.settings.oauth.registration);
    response.json(Metadata::of(issuer, algorithms, registration))
}

/// The same document at its RFC 8414 address.
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = "well-known",
    responses((status = 200, body = Metadata)))]
#[expect(dead_code, reason = "describes the second address of `metadata`")]
pub fn oauth_metadata() {}

/// A browser asks before it sends `If-None-Match` from another origin.
pub async fn preflight() -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    open_to_all(&mut response);
    response
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, "*"))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"))
        .finish()
}

fn open_to_all(response: &mut HttpResponseBuilder) {
    response
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .insert_header(("cross-origin-resource-policy", "cross-origin"));
}
