//! Refresh tokens in a cookie, for UIs in a browser: script cannot read it, other sites cannot use it. And the token by
//! which a device that has logged in before is known, which gives nothing but attempts of its own.

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, CookieBuilder, SameSite, time::Duration};
use actix_web::http::header;

use super::network::ClientNetwork;
use crate::app::App;
use crate::domain::operations::{Actor, AuditEvent};
use crate::flows::operations::record_refusal;
use crate::http::problem::{ErrorCode, Problem};
use crate::throttle::DeviceToken;
use crate::tokens::{BrowserToken, RefreshTokenText};

/// `__Host-` lets no other host and no subpath set or shadow it (RFC 6265bis section 4.1.3.2).
const REFRESH: &str = "__Host-chancery_refresh";
const DEVICE: &str = "__Host-chancery_device";
const BROWSER: &str = "__Host-chancery_session";
const FLOW: &str = "__Host-chancery_flow";

pub fn set(token: &RefreshTokenText, seconds: i64) -> Cookie<'static> {
    named(REFRESH, token.expose().to_owned()).max_age(Duration::seconds(seconds)).finish()
}

pub fn clear() -> Cookie<'static> {
    named(REFRESH, String::new()).max_age(Duration::ZERO).finish()
}

fn named(name: &'static str, value: String) -> CookieBuilder<'static> {
    Cookie::build(name, value).path("/").secure(true).http_only(true).same_site(SameSite::Strict)
}

/// The device token in a cookie, for a year from the last login.
pub fn set_device(token: &DeviceToken) -> Cookie<'static> {
    named(DEVICE, token.expose().to_owned()).max_age(Duration::days(365)).finish()
}

/// Who is signed in at the hosted pages. Lax, so that it comes along when another site sends the browser here by a link
/// (RFC 6265bis section 5.2), and not with another site's forms.
pub fn set_browser(token: &BrowserToken, life: Duration) -> Cookie<'static> {
    named(BROWSER, token.expose().to_owned()).same_site(SameSite::Lax).max_age(life).finish()
}

pub fn clear_browser() -> Cookie<'static> {
    named(BROWSER, String::new()).same_site(SameSite::Lax).max_age(Duration::ZERO).finish()
}

pub fn read_browser(request: &HttpRequest) -> Option<String> {
    request.cookie(BROWSER).map(|cookie| cookie.value().to_owned())
}

/// A random value to which the forms of the hosted pages are bound. Gone when the browser is closed.
pub fn set_flow(device: &str) -> Cookie<'static> {
    named(FLOW, device.to_owned()).same_site(SameSite::Lax).finish()
}

/// Only what can be one of ours is taken.
pub fn read_flow(request: &HttpRequest) -> Option<String> {
    let value = request.cookie(FLOW)?.value().to_owned();
    (value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit())).then_some(value)
}

/// What a device that has logged in before shows.
pub fn read_device(request: &HttpRequest) -> Option<String> {
    request.cookie(DEVICE).map(|cookie| cookie.value().to_owned())
}

/// The refresh token in the request's cookie.
pub fn read(request: &HttpRequest) -> Option<String> {
    request.cookie(REFRESH).map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
}

/// A request that uses or gets the cookie must come from one of our own origins. A browser says where a request comes from:
/// `Origin` on every POST, and `Sec-Fetch-Site`. A client that sends neither is no browser and has no cookie to be abused.
pub async fn check_origin(app: &App, request: &HttpRequest, network: &ClientNetwork) -> Result<(), Problem> {
    if is_from_us(request, &app.settings.server.origins) {
        return Ok(());
    }
    let context = network.audit_context(Actor::Anonymous);
    record_refusal(app, AuditEvent::OriginRefused, &context, request.path()).await;
    Err(Problem::new(ErrorCode::OriginNotAllowed))
}

fn is_from_us(request: &HttpRequest, origins: &[String]) -> bool {
    let text = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    match (text(header::ORIGIN.as_str()), text("sec-fetch-site")) {
        (Some(origin), _) => origins.iter().any(|allowed| allowed == origin),
        (None, Some(site)) => matches!(site, "same-origin" | "none"),
        (None, None) => true,
    }
}
