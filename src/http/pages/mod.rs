//! The hosted pages: what people see when they sign in, sign up, consent, let a device in, sign out, or when something is wrong.
//!
//! This module owns how they look and what a browser may do with them: templates, style, Content-Security-Policy. A page is a
//! struct of what it shows, and `render` makes the answer. Who is signed in, which flow a page belongs to and what follows a
//! form is for the handlers, who call this. No page needs script, and none loads anything from elsewhere, but for the
//! operator's logo.

mod policy;
mod render;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, CacheControl, CacheDirective};
use actix_web::{HttpRequest, HttpResponse};
use minijinja::{Value, context};
use uuid::Uuid;

use super::well_known::matches_etag;
use crate::app::App;
use crate::domain::clients::RedirectUri;
use render::{HtmlPage, STYLE, STYLE_VERSION};

/// Presses the button.
const SUBMIT: &str = "document.forms[0].submit()";

/// The form that asks for e-mail and password.
pub(in crate::http) struct SignIn<'a> {
    pub pending: &'a str,
    /// The name of the application behind it.
    pub client: &'a str,
    pub email: &'a str,
    pub message: Option<Message>,
    pub may_sign_up: bool,
    /// Where the browser may be sent after the form, as `RedirectUri::origin` has it; empty: nowhere but here.
    pub return_origin: &'a str,
}

/// The form for a new account.
pub(in crate::http) struct SignUp<'a> {
    pub pending: &'a str,
    pub client: &'a str,
    pub email: &'a str,
    pub name: &'a str,
    pub message: Option<String>,
    /// How many seconds to wait before another try.
    pub retry_after: Option<i64>,
    pub min_length: usize,
    pub return_origin: &'a str,
}

/// Asks whether a client may have what it asks for.
pub(in crate::http) struct Consent<'a> {
    pub pending: &'a str,
    pub client: &'a str,
    /// The e-mail address of who is signed in.
    pub user: &'a str,
    pub scopes: &'a [String],
    pub return_origin: &'a str,
}

/// The form that asks for the code a device shows.
pub(in crate::http) struct Device<'a> {
    pub pending: &'a str,
    pub code: &'a str,
    pub message: Option<DeviceMessage>,
}

/// Asks whether a device may be let in.
pub(in crate::http) struct DeviceConfirm<'a> {
    pub pending: &'a str,
    pub client: &'a str,
    /// The e-mail address of who is signed in.
    pub user: &'a str,
    pub code: &'a str,
    pub scopes: &'a [String],
}

/// After somebody has decided about a device.
pub(in crate::http) struct DeviceDone {
    pub allowed: bool,
}

/// Asks before signing out: a link from elsewhere must not do it.
pub(in crate::http) struct SignOut<'a> {
    pub pending: &'a str,
    pub user: &'a str,
    pub client: Option<&'a str>,
    pub return_origin: &'a str,
}

/// After signing out.
pub(in crate::http) struct SignedOut {}

/// What is wrong, for people.
pub(in crate::http) struct Fault<'a> {
    pub status: StatusCode,
    pub title: &'a str,
    pub explanation: &'a str,
    pub request_id: Uuid,
}

/// Posts an answer to a client's address (OAuth 2.0 Form Post Response Mode). The one page with a script, which presses the
/// button.
pub(in crate::http) struct FormPost<'a> {
    pub action: &'a str,
    pub fields: &'a [(&'a str, &'a str)],
}

/// Why the sign-in form is shown again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Message {
    WrongCredentials,
    TooManyAttempts { seconds: i64 },
    Busy,
}

/// Why the form for a device's code is shown again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum DeviceMessage {
    WrongCode,
    TooManyAttempts { seconds: i64 },
}

impl SignIn<'_> {
    pub fn render(&self, app: &App, status: StatusCode) -> HttpResponse {
        self.page(status).respond(&app.settings)
    }

    fn page(&self, status: StatusCode) -> HtmlPage {
        let Self { pending, client, email, may_sign_up, return_origin, message } = *self;
        let is_wrong = message == Some(Message::WrongCredentials);
        let wait = match message {
            Some(Message::TooManyAttempts { seconds }) => Some(seconds),
            _ => None,
        };
        let message = message.map(Message::text);
        let values = context! { pending, client, email, may_sign_up, is_wrong, message };
        HtmlPage::new("sign_in.html", values).status(status).retry_after(wait).form_to(return_origin)
    }
}

impl SignUp<'_> {
    pub fn render(&self, app: &App, status: StatusCode) -> HttpResponse {
        self.page(status).respond(&app.settings)
    }

    fn page(&self, status: StatusCode) -> HtmlPage {
        let Self { pending, client, email, name, ref message, retry_after, min_length, return_origin } =
            *self;
        let values = context! { pending, client, email, name, message, min_length };
        HtmlPage::new("sign_up.html", values).status(status).retry_after(retry_after).form_to(return_origin)
    }
}

impl Consent<'_> {
    pub fn render(&self, app: &App) -> HttpResponse {
        self.page().respond(&app.settings)
    }

    fn page(&self) -> HtmlPage {
        let Self { pending, client, user, scopes, return_origin } = *self;
        let scopes: Value = scopes.iter().collect();
        let destination = web_host(return_origin);
        let values = context! { pending, client, user, scopes, destination };
        HtmlPage::new("consent.html", values).form_to(return_origin)
    }
}

impl Device<'_> {
    pub fn render(&self, app: &App) -> HttpResponse {
        self.page().respond(&app.settings)
    }

    fn page(&self) -> HtmlPage {
        let Self { pending, code, message } = *self;
        let (status, wait) = match message {
            None => (StatusCode::OK, None),
            Some(DeviceMessage::WrongCode) => (StatusCode::UNPROCESSABLE_ENTITY, None),
            Some(DeviceMessage::TooManyAttempts { seconds }) => {
                (StatusCode::TOO_MANY_REQUESTS, Some(seconds))
            }
        };
        let is_wrong = message == Some(DeviceMessage::WrongCode);
        let message = message.map(DeviceMessage::text);
        HtmlPage::new("device.html", context! { pending, code, is_wrong, message })
            .status(status)
            .retry_after(wait)
    }
}

impl DeviceConfirm<'_> {
    pub fn render(&self, app: &App) -> HttpResponse {
        self.page().respond(&app.settings)
    }

    fn page(&self) -> HtmlPage {
        let Self { pending, client, user, code, scopes } = *self;
        let scopes: Value = scopes.iter().collect();
        HtmlPage::new("device_confirm.html", context! { pending, client, user, code, scopes })
    }
}

impl DeviceDone {
    pub fn render(&self, app: &App) -> HttpResponse {
        self.page().respond(&app.settings)
    }

    fn page(&self) -> HtmlPage {
        let Self { allowed } = *self;
        HtmlPage::new("device_done.html", context! { allowed })
    }
}

impl SignOut<'_> {
    pub fn render(&self, app: &App) -> HttpResponse {
        self.page().respond(&app.settings)
    }

    fn page(&self) -> HtmlPage {
        let Self { pending, user, client, return_origin } = *self;
        HtmlPage::new("sign_out.html", context! { pending, user, client }).form_to(return_origin)
    }
}

impl SignedOut {
    pub fn render(&self, app: &App) -> HttpResponse {
        self.page().respond(&app.settings)
    }

    #[expect(clippy::unused_self, reason = "a page like the others")]
    fn page(&self) -> HtmlPage {
        HtmlPage::new("signed_out.html", context! {})
    }
}

impl Fault<'_> {
    pub fn render(&self, app: &App) -> HttpResponse {
        self.page().respond(&app.settings)
    }

    fn page(&self) -> HtmlPage {
        let Self { status, title, explanation, request_id } = *self;
        let request_id = request_id.to_string();
        HtmlPage::new("fault.html", context! { title, explanation, request_id }).status(status)
    }
}

impl FormPost<'_> {
    pub fn render(&self, app: &App) -> HttpResponse {
        self.page().respond(&app.settings)
    }

    /// To what is no redirect URI the browser will not post.
    fn page(&self) -> HtmlPage {
        let Self { action, fields } = *self;
        let origin = RedirectUri::parse(action).map(|uri| uri.origin()).unwrap_or_default();
        let fields: Value =
            fields.iter().map(|(name, value)| context! { name => *name, value => *value }).collect();
        let destination = web_host(&origin);
        HtmlPage::new("form_post.html", context! { action, fields, destination })
            .script(SUBMIT)
            .form_to(&origin)
    }
}

impl Message {
    fn text(self) -> String {
        match self {
            Self::WrongCredentials => "E-mail or password is wrong.".to_owned(),
            Self::TooManyAttempts { seconds } => {
                format!("Too many attempts. Try again in {}.", in_words(seconds))
            }
            Self::Busy => "Many people are signing in at the moment. Try again in a few seconds.".to_owned(),
        }
    }
}

impl DeviceMessage {
    fn text(self) -> String {
        match self {
            Self::WrongCode => {
                "No device waits with this code. Look at it again, or begin anew on your device.".to_owned()
            }
            Self::TooManyAttempts { seconds } => {
                format!("Too many codes were wrong. Try again in {}.", in_words(seconds))
            }
        }
    }
}

/// Rounded up: a little too late is better than too soon.
pub(in crate::http) fn in_words(seconds: i64) -> String {
    let (number, unit) = match seconds {
        ..=1 => (1, "second"),
        2..=90 => (seconds, "second"),
        91..=5400 => ((seconds + 59) / 60, "minute"),
        _ => (seconds.saturating_add(3599) / 3600, "hour"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// Host and port of a web origin, for people to recognise. A scheme of an app's own tells them nothing.
fn web_host(origin: &str) -> Option<&str> {
    origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))
}

/// The pages' style. Pages name it with its version, so an hour in a cache does no harm.
pub(in crate::http) async fn style(request: HttpRequest) -> HttpResponse {
    let etag = format!("\"{}\"", *STYLE_VERSION);
    let unchanged = matches_etag(&request, &etag);
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, etag))
        .insert_header(CacheControl(vec![CacheDirective::Public, CacheDirective::MaxAge(3600)]));
    if unchanged { response.finish() } else { response.content_type("text/css; charset=utf-8").body(STYLE) }
}

#[cfg(test)]
mod tests;
