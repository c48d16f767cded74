use actix_web::cookie::time::Duration;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use crate::app::App;
use crate::domain::clients::RedirectUri;
use crate::domain::oauth::ResponseMode;
use crate::domain::operations::Actor;
use crate::domain::{Parameters, Scopes, scope};
use crate::flows::oauth::{
    Answer, Asking, AuthorizeError, BrowserContext, CodeRefusal, DeviceStep, NextStep, Restart,
    SubmittedForm, SubmittedFormError,
};
use crate::http::context::request_id;
use crate::http::extract::cookie;
use crate::http::extract::network::ClientNetwork;
use crate::http::problem::Problem;
use crate::http::{AppData, pages};
use crate::tokens::{BrowserToken, PageKind, SealedState};

/// Somebody's browser, and what becomes of its cookies.
pub struct BrowserRequest {
    pub context: BrowserContext,
    /// The browser has no random value of its own yet.
    is_new: bool,
}

impl BrowserRequest {
    pub fn of(http: &HttpRequest, network: &ClientNetwork) -> Self {
        let known = cookie::read_flow(http);
        let is_new = known.is_none();
        // Two of them have 244 random bits.
        let random = || format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let context = BrowserContext {
            session: cookie::read_browser(http),
            device: known.unwrap_or_else(random),
            audit: network.audit_context(Actor::Anonymous),
        };
        Self { context, is_new }
    }

    /// What happens next, as this browser sees it.
    pub fn show(&self, app: &App, outcome: Result<NextStep, AuthorizeError>) -> HttpResponse {
        self.show_device(app, outcome, "")
    }

    /// The same, with a code of a device that was typed before.
    pub fn show_device(
        &self,
        app: &App,
        outcome: Result<NextStep, AuthorizeError>,
        typed: &str,
    ) -> HttpResponse {
        let mut response = match outcome {
            Ok(NextStep::SignIn(asking)) => sign_in_page(app, &asking, None, StatusCode::OK),
            Ok(NextStep::Consent(asking, user)) => pages::Consent {
                pending: asking.pending.expose(),
                client: asking.client.name.as_str(),
                user: user.email.as_str(),
                scopes: &as_people_read_them(&asking.scopes),
                return_origin: &return_origin(&asking),
            }
            .render(app),
            Ok(NextStep::Continue(pending)) => return self.go_on(app, &pending),
            Ok(NextStep::Device(step)) => device_page(app, &step, typed),
            Ok(NextStep::Return(answer)) => go_back(app, &answer),
            Err(error) => fault(app, error),
        };
        self.introduce(&mut response);
        response
    }

    /// To where the page can be loaded again.
    fn go_on(&self, app: &App, pending: &SealedState) -> HttpResponse {
        let mut response = continue_at(app, pending);
        if self.is_new {
            add(&mut response, cookie::set_flow(&self.context.device));
        }
        response
    }

    /// A browser that was shown a page has a value of its own from then on, to which the page's form is bound.
    pub fn introduce(&self, response: &mut HttpResponse) {
        if self.is_new && response.status().is_success() {
            add(response, cookie::set_flow(&self.context.device));
        }
    }

    /// Reads a submitted form. `pages` are the page kinds of this URL. An expired page begins its request again.
    pub fn page(
        &self,
        app: &AppData,
        pages: &[PageKind],
        form: &Parameters,
    ) -> Result<SubmittedForm, Box<HttpResponse>> {
        let pending = form.get("flow").unwrap_or_default();
        SubmittedForm::read(app, pages, pending, &self.context).map_err(|error| match error {
            SubmittedFormError::OutOfDate(restart) => restart_request(app, &restart).into(),
            SubmittedFormError::Foreign => foreign(app).into(),
        })
    }
}

/// A form or a query that cannot be read.
pub fn unreadable(app: &App, problem: &Problem) -> HttpResponse {
    pages::Fault {
        status: problem.status_code(),
        title: "This cannot be read",
        explanation: problem.code().title(),
        request_id: request_id(),
    }
    .render(app)
}

/// Somebody who came to a page's address by themselves.
pub fn foreign(app: &App) -> HttpResponse {
    pages::Fault {
        status: StatusCode::BAD_REQUEST,
        title: "Nothing to continue here",
        explanation: "Go back to the application you came from and begin there again.",
        request_id: request_id(),
    }
    .render(app)
}

pub fn sign_in_page(
    app: &App,
    asking: &Asking,
    again: Option<(&str, pages::Message)>,
    status: StatusCode,
) -> HttpResponse {
    let (typed, message) = again.map_or((None, None), |(typed, message)| (Some(typed), Some(message)));
    let hint = asking.login_hint.as_deref().unwrap_or_default();
    pages::SignIn {
        pending: asking.pending.expose(),
        client: asking.client.name.as_str(),
        email: typed.unwrap_or(hint),
        message,
        may_sign_up: app.settings.registration,
        return_origin: &return_origin(asking),
    }
    .render(app, status)
}

fn device_page(app: &App, step: &DeviceStep, typed: &str) -> HttpResponse {
    match step {
        DeviceStep::Enter { pending, refusal } => {
            let message = refusal.map(|refusal| match refusal {
                CodeRefusal::Wrong => pages::DeviceMessage::WrongCode,
                CodeRefusal::TooManyAttempts(error) => {
                    let seconds = error.wait_s();
                    pages::DeviceMessage::TooManyAttempts { seconds }
                }
            });
            pages::Device { pending: pending.expose(), code: typed, message }.render(app)
        }
        DeviceStep::Confirm(asked) => pages::DeviceConfirm {
            pending: asked.pending.expose(),
            client: asked.client.name.as_str(),
            user: asked.user.email.as_str(),
            code: &asked.user_code.shown(),
            scopes: &as_people_read_them(&asked.scopes),
        }
        .render(app),
        DeviceStep::Done { allowed } => pages::DeviceDone { allowed: *allowed }.render(app),
    }
}

/// Where a page's form may lead in the end.
pub fn return_origin(asking: &Asking) -> String {
    asking.return_to.as_ref().map(RedirectUri::origin).unwrap_or_default()
}

/// Sends the browser to the beginning of the same request. 303, so that no form is sent on (RFC 9700 section 4.12).
pub fn restart_request(app: &App, restart: &Restart) -> HttpResponse {
    let again = |path, parameters: &Parameters| {
        let query = Serializer::new(String::new()).extend_pairs(parameters.iter()).finish();
        see_other(&format!("{}{path}?{query}", app.settings.server.base()))
    };
    match restart {
        Restart::Request(parameters) => again("/oauth2/authorize", parameters),
        Restart::SignOut(parameters) => again("/oauth2/logout", parameters),
        Restart::PendingRequest(pending) => continue_at(app, pending),
        Restart::Device => see_other(&format!("{}/device", app.settings.server.base())),
    }
}

/// A sealed state is base64url and a dot.
fn continue_at(app: &App, pending: &SealedState) -> HttpResponse {
    see_other(&format!("{}/sign-in?flow={}", app.settings.server.base(), pending.expose()))
}

pub fn see_other(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, address)).finish()
}

/// Who somebody is comes first, and what is not about them last.
fn as_people_read_them(scopes: &Scopes) -> Vec<String> {
    let mut scopes: Vec<String> = scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    scopes.sort_by_key(|scope| scope::OF_USERS.iter().position(|known| known == scope).unwrap_or(usize::MAX));
    scopes
}

/// An address with parameters added, whatever it has already.
pub fn with_parameters(uri: &str, parameters: &[(&str, String)]) -> String {
    let query = Serializer::new(String::new()).extend_pairs(parameters).finish();
    let joint = match uri.contains('?') {
        true if uri.ends_with(['?', '&']) => "",
        true => "&",
        false => "?",
    };
    if query.is_empty() { uri.to_owned() } else { format!("{uri}{joint}{query}") }
}

fn go_back(app: &App, answer: &Answer) -> HttpResponse {
    let uri = answer.redirect_uri.as_str();
    match answer.mode {
        ResponseMode::Query => see_other(&with_parameters(uri, &answer.parameters)),
        ResponseMode::FormPost => {
            let fields: Vec<(&str, &str)> =
                answer.parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
            pages::FormPost { action: uri, fields: &fields }.render(app)
        }
    }
}

pub fn fault(app: &App, error: AuthorizeError) -> HttpResponse {
    let (status, title, explanation) = match &error {
        AuthorizeError::NonRedirectableError(why) => {
            let explanation =
                format!("The application sent you here with something wrong: {why}. Tell its operator.");
            (StatusCode::BAD_REQUEST, "This request cannot be answered", explanation)
        }
        AuthorizeError::Answered => {
            let explanation = "Go back to the application you came from.".to_owned();
            (StatusCode::BAD_REQUEST, "This has been answered before", explanation)
        }
        AuthorizeError::NoRandomness | AuthorizeError::Keys(_) | AuthorizeError::Store(_) => {
            return unavailable(app, &error);
        }
    };
    pages::Fault { status, title, explanation: &explanation, request_id: request_id() }.render(app)
}

/// Something of ours is away for the moment.
pub fn unavailable(app: &App, cause: &dyn std::fmt::Display) -> HttpResponse {
    tracing::error!(event = "page_unavailable", %cause);
    let mut response = pages::Fault {
        status: StatusCode::SERVICE_UNAVAILABLE,
        title: "Not available at the moment",
        explanation: "Try again in a few seconds.",
        request_id: request_id(),
    }
    .render(app);
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("2"));
    response
}

/// Somebody is signed in in this browser from now on.
pub fn keep_signed_in(app: &App, response: &mut HttpResponse, token: &BrowserToken) {
    let life = Duration::seconds(app.settings.oauth.browser_session_ttl.num_seconds());
    add(response, cookie::set_browser(token, life));
}

pub fn add(response: &mut HttpResponse, cookie: actix_web::cookie::Cookie<'static>) {
    if let Err(error) = response.add_cookie(&cookie) {
        tracing::error!(event = "cookie_not_set", %error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_added_to_what_is_there() {
        let add = |uri| with_parameters(uri, &[("a", "1 &".to_owned())]);
        assert_eq!(add("https://a.test/cb"), "https://a.test/cb?a=1+%26");
        assert_eq!(add("https://a.test/cb?x=1"), "https://a.test/cb?x=1&a=1+%26");
        assert_eq!(add("https://a.test/cb?"), "https://a.test/cb?a=1+%26");
        assert_eq!(add("com.example.app:/cb"), "com.example.app:/cb?a=1+%26");
        assert_eq!(with_parameters("https://a.test/cb", &[]), "https://a.test/cb");
    }
}
