use std::net::IpAddr;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use tracing::Instrument;
use uuid::Uuid;

use super::AppData;
use super::problem::{Code, Problem};
use super::source::client_ip;

tokio::task_local! {
    static REQUEST_ID: Uuid;
}

/// The present request's id; nil outside of one.
pub fn request_id() -> Uuid {
    REQUEST_ID.try_with(|id| *id).unwrap_or_default()
}

/// The client's address, found once and kept with the request.
#[derive(Clone, Copy)]
pub struct ClientIp(pub Option<IpAddr>);

/// Around every request: an id, a time limit, security headers, one log line, metrics.
///
/// The path's pattern is logged and never the path or its query, which may hold what must not be in a log. The id is always
/// our own: a client's could forge a line or another request's id.
pub async fn frame(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let app = request.app_data::<AppData>().cloned();
    let settings = app.as_ref().map(|app| &app.settings.server);
    let limit = settings.map_or(Duration::MAX, |server| server.request_timeout);
    let is_https = settings.is_some_and(|server| server.issuer.starts_with("https://"));
    let is_page = request.path().starts_with("/docs");
    let ip = settings.and_then(|server| client_ip(request.request(), &server.trusted_proxies));
    request.extensions_mut().insert(ClientIp(ip));
    let method = request.method().clone();
    let id = Uuid::new_v4();
    let span = tracing::info_span!("request", request_id = %id);

    let outcome = REQUEST_ID
        .scope(id, tokio::time::timeout(limit, next.call(request)).instrument(span.clone()))
        .await
        .unwrap_or_else(|_| Err(Problem::new(Code::TimedOut).into()));
    let add_headers = move |headers: &mut HeaderMap| add_headers(headers, id, is_https, is_page);
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
            method = method.as_str(),
            route,
            status = status.as_u16(),
            duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            ip,
        );
    });
    let labels = [("route", route), ("method", method.to_string()), ("status", status.as_str().to_owned())];
    metrics::counter!("chancery_http_requests_total", &labels).increment(1);
    metrics::histogram!("chancery_http_request_duration_seconds", &labels[..1]).record(elapsed.as_secs_f64());
    outcome
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
