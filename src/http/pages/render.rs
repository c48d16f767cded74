use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, CacheControl, CacheDirective, ContentType};
use actix_web::{HttpResponse, ResponseError};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};

use super::policy;
use super::policy::Policy;
use crate::http::problem::Problem;
use crate::settings::Settings;

pub(super) const STYLE: &str = include_str!("style.css");

/// Changes whenever the style does.
pub(super) static STYLE_VERSION: LazyLock<String> =
    LazyLock::new(|| BASE64_URL_SAFE_NO_PAD.encode(&policy::sha256(STYLE)[..9]));

macro_rules! templates {
    ($($name:literal),+ $(,)?) => { [$(($name, include_str!(concat!("templates/", $name)))),+] };
}

/// Everything is escaped as HTML, whatever a template is called, and a name that is not there is an error.
static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let templates = templates![
        "layout.html",
        "parts.html",
        "seal.svg",
        "sign_in.html",
        "sign_up.html",
        "consent.html",
        "device.html",
        "device_confirm.html",
        "device_done.html",
        "sign_out.html",
        "signed_out.html",
        "fault.html",
        "form_post.html",
    ];
    for (name, source) in templates {
        if let Err(error) = environment.add_template(name, source) {
            tracing::error!(event = "template", name, %error);
        }
    }
    environment
});

/// A page on its way to a browser.
pub(super) struct HtmlPage {
    template: &'static str,
    values: Value,
    status: StatusCode,
    retry_after: Option<i64>,
    form_to: Vec<String>,
    script: Option<&'static str>,
}

impl HtmlPage {
    pub fn new(template: &'static str, values: Value) -> Self {
        Self {
            template,
            values,
            status: StatusCode::OK,
            retry_after: None,
            form_to: Vec::new(),
            script: None,
        }
    }

    pub fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// How many seconds to wait before the form is sent again.
    pub fn retry_after(self, seconds: Option<i64>) -> Self {
        Self { retry_after: seconds, ..self }
    }

    /// Where its forms lead besides this server: to the client, an origin or a scheme, and from there wherever the client
    /// redirects, which Chromium refuses unless the policy names it. Empty: nowhere else.
    pub fn form_to(mut self, origin: &str) -> Self {
        if !origin.is_empty() {
            self.form_to.extend([origin.to_owned(), "https:".to_owned()]);
        }
        self
    }

    /// The script it has, word for word.
    pub fn script(self, script: &'static str) -> Self {
        Self { script: Some(script), ..self }
    }

    pub fn respond(self, settings: &Settings) -> HttpResponse {
        let html = match self.html(settings) {
            Ok(html) => html,
            Err(error) => return Problem::from(error).error_response(),
        };
        let policy =
            Policy { form_to: &self.form_to, script: self.script, logo: settings.pages.logo.as_deref() };
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        response
            .insert_header(ContentType::html())
            .insert_header(CacheControl(vec![CacheDirective::NoStore]))
            .insert_header((header::CONTENT_SECURITY_POLICY, policy.to_string()))
            .body(html)
    }

    fn html(&self, settings: &Settings) -> Result<String, minijinja::Error> {
        let site = context! {
            base => settings.server.base(),
            name => &settings.pages.name,
            logo => &settings.pages.logo,
            version => &*STYLE_VERSION,
            // Ours, and its hash is in the policy: escaped, it would be another script.
            script => self.script.map(|script| Value::from_safe_string(script.to_owned())),
        };
        let values = self.values.clone();
        TEMPLATES.get_template(self.template)?.render(context! { site, ..values })
    }
}
