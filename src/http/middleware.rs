use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError};
use tracing::Instrument;
use uuid::Uuid;

use super::AppData;
use super::context::{ClientIp, REQUEST_ID};
use super::forwarded::client_ip;
use super::problem::{ErrorCode, Problem};
use super::routes::early_error_at;
use crate::tokens::DpopNonces;

/// All header fields of a request together. The server library gives up at 128 KiB, which is more than anybody needs.
const MAX_HEADERS: usize = 16 * 1024;

/// Around every request: an id, limits of time and size, security headers, one log line, metrics.
///
/// The path's pattern is logged and never the path or its query, which may hold what must not be in a log. The id is always
/// our own: a client's could forge a line or another request's id.
pub async fn middleware(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let started = Instant::now();
    let app = request.app_data::<AppData>().cloned();
    let settings = app.as_ref().map(|app| &app.settings.server);
    let limit = settings.map_or(Duration::MAX, |server| server.request_timeout);
    let is_https =
        settings.is_some_and(|server| server.tls.is_some() || server.issuer.starts_with("https://"));
    let is_open = app.as_ref().is_none_or(|app| app.is_started()) || needs_no_database(request.path());
    let is_too_large = size_of(request.headers()) > MAX_HEADERS;
    let is_page = request.path().starts_with("/docs");
    let ip = settings
        .and_then(|server| client_ip(request.request(), &server.trusted_proxies, server.forwarded_header));
    request.extensions_mut().insert(ClientIp(ip));
    // Whoever shows a proof is told the nonce for the next one (RFC 9449 section 8).
    let nonce =
        app.as_ref().filter(|app| app.settings.oauth.dpop_nonce && request.headers().contains_key("dpop"));
    let nonce = nonce.map(|app| DpopNonces(&app.master_keys).current(app.clock.now()));
    let nonce = nonce.and_then(|nonce| HeaderValue::from_str(&nonce).ok());
    let method = known_method(request.method());
    let path = request.path().to_owned();
    let refused = move |code| early_error_at(&path, Problem::new(code));
    let id = Uuid::new_v4();
    let span = tracing::info_span!("request", request_id = %id);

    let answering = async {
        if !is_open {
            return Err(refused(ErrorCode::DatabaseUnavailable));
        }
        if is_too_large {
            return Err(refused(ErrorCode::HeadersTooLarge));
        }
        let in_time = tokio::time::timeout(limit, next.call(request)).await;
        let answer = in_time.unwrap_or_else(|_| Err(refused(ErrorCode::TimedOut)));
        answer.map(|response| in_our_words(response.map_into_boxed_body()))
    };
    let outcome = REQUEST_ID.scope(id, answering.instrument(span.clone())).await;
    let add_headers = move |headers: &mut HeaderMap| {
        add_headers(headers, id, is_https, is_page);
        if let Some(nonce) = &nonce {
            headers.insert(HeaderName::from_static("dpop-nonce"), nonce.clone());
        }
    };
    let (status, route, outcome) = match outcome {
        Ok(mut response) => {
            add_headers(response.headers_mut());
            let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
            (response.status(), route, Ok(response))
        }
        // A middleware's error becomes a response only above us.
        Err(mut error) => {
            let status = error.as_response_error().status_code();
            error.add_response_mapper(move |mut response| {
                add_headers(response.headers_mut());
                response
            });
            (status, "unmatched".to_owned(), Err(error))
        }
    };
    let elapsed = started.elapsed();
    let ip = ip.map(|ip| ip.to_string());
    span.in_scope(|| {
        tracing::info!(
            event = "request",
            method,
            route,
            status = status.as_u16(),
            duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            ip,
        );
    });
    let labels = [("route", route), ("method", method.to_owned()), ("status", status.as_str().to_owned())];
    metrics::counter!("chancery_http_requests_total", &labels).increment(1);
    metrics::histogram!("chancery_http_request_duration_seconds", &labels[..1]).record(elapsed.as_secs_f64());
    outcome
}

/// What a node does from memory, also before it has reached the database.
fn needs_no_database(path: &str) -> bool {
    const FROM_MEMORY: [&str; 6] =
        ["/.well-known/", "/health/", "/metrics", "/openapi.json", "/docs", "/pages/"];
    FROM_MEMORY.iter().any(|start| path.starts_with(start))
}

/// As on the wire: with colon, space and line end.
fn size_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// The CORS library refuses a preflight in plain text.
fn in_our_words(response: ServiceResponse) -> ServiceResponse {
    let is_refused_preflight =
        response.request().method() == Method::OPTIONS && response.status() == StatusCode::BAD_REQUEST;
    if is_refused_preflight {
        return response.into_response(Problem::new(ErrorCode::OriginNotAllowed).error_response());
    }
    response
}

/// A client may send any word as a method; counters and lines are kept for those that exist.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn add_headers(headers: &mut HeaderMap, id: Uuid, is_https: bool, is_page: bool) {
    let mut set = |name: &'static str, value: &'static str| {
        let name = HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    set("x-content-type-options", "nosniff");
    set("x-frame-options", "DENY");
    set("referrer-policy", "no-referrer");
    set("cache-control", "no-store");
    set("cross-origin-resource-policy", "same-origin");
    let policy = if is_page {
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
    } else {
        "default-src 'none'; frame-ancestors 'none'"
    };
    set("content-security-policy", policy);
    if is_https {
        set("strict-transport-security", "max-age=31536000");
    }
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}
