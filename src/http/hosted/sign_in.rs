//! The forms of the hosted pages: signing in, signing up, agreeing. Each carries its pending request, sealed and bound to the browser it
//! was shown in.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};

use super::browser::{
    BrowserRequest, add, fault, foreign, keep_signed_in, restart_request, return_origin, sign_in_page,
    unavailable, unreadable,
};
use crate::domain::operations::Actor;
use crate::domain::passwords::CandidatePassword;
use crate::domain::{DisplayName, Email, Parameters};
use crate::flows;
use crate::flows::accounts::{SignUp, SignUpError};
use crate::flows::oauth::{AuthorizeError, NextStep, SignInError, SubmittedForm, show_sign_in};
use crate::flows::passwords::{LogIn, NewPasswordError, ProvePasswordError};
use crate::http::extract::body::{Body, parse_form};
use crate::http::extract::cookie;
use crate::http::extract::network::ClientNetwork;
use crate::http::{AppData, pages};
use crate::passwords::Busy;
use crate::tokens::PageKind;

/// The pages on whose way a user signs in.
const SIGN_IN: [PageKind; 2] = [PageKind::Authorization, PageKind::Device];

/// What a form says, and who sends it.
struct Posted {
    form: Parameters,
    browser: BrowserRequest,
    submitted: SubmittedForm,
}

impl Posted {
    async fn read(
        app: &AppData,
        http: &HttpRequest,
        network: &ClientNetwork,
        pages: &[PageKind],
        body: Body,
    ) -> Result<Self, Box<HttpResponse>> {
        let form = body.form().await.map_err(|problem| Box::new(unreadable(app, &problem)))?;
        let form: Parameters = form.into_iter().collect();
        let browser = BrowserRequest::of(http, network);
        let submitted = browser.page(app, pages, &form)?;
        Ok(Self { form, browser, submitted })
    }

    fn says(&self, name: &str) -> &str {
        self.form.get(name).unwrap_or_default()
    }
}

/// Signs in; or shows the page, once more or for another account; or goes back.
pub async fn sign_in(app: AppData, http: HttpRequest, network: ClientNetwork, body: Body) -> HttpResponse {
    let posted = match Posted::read(&app, &http, &network, &SIGN_IN, body).await {
        Ok(posted) => posted,
        Err(response) => return *response,
    };
    let Posted { browser, submitted, .. } = &posted;
    if posted.form.get("cancel").is_some() {
        return browser.show(&app, flows::oauth::turn_back(&app, submitted, &browser.context).await);
    }
    let is_another = posted.form.get("switch").is_some();
    if is_another || posted.form.get("show").is_some() {
        return browser.show(&app, show_sign_in(&app, submitted, &browser.context, is_another).await);
    }
    enter(&app, &http, network, &posted).await
}

/// Makes an account and signs in with it. Who had one already, and another password, is asked for that.
pub async fn sign_up(app: AppData, http: HttpRequest, network: ClientNetwork, body: Body) -> HttpResponse {
    let posted = match Posted::read(&app, &http, &network, &SIGN_IN, body).await {
        Ok(posted) => posted,
        Err(response) => return *response,
    };
    if posted.form.get("show").is_some() {
        return sign_up_page(&app, &posted, None).await;
    }
    let email = match Email::parse(posted.says("email")) {
        Ok(email) => email,
        Err(error) => return sign_up_page(&app, &posted, Some(unprocessable(&error))).await,
    };
    let name = posted.form.get("name").map(str::trim).filter(|name| !name.is_empty()).map(DisplayName::parse);
    let name = match name.transpose() {
        Ok(name) => name,
        Err(error) => return sign_up_page(&app, &posted, Some(unprocessable(&error))).await,
    };
    let options = SignUp {
        email,
        password: posted.says("password"),
        name,
        context: network.audit_context(Actor::Anonymous),
    };
    let refusal = match flows::accounts::sign_up(&app, options).await {
        Ok(_) => return enter(&app, &http, network, &posted).await,
        Err(SignUpError::Closed) => return foreign(&app),
        Err(SignUpError::Store(error)) => return unavailable(&app, &error),
        Err(SignUpError::Password(NewPasswordError::Rejected(error))) => unprocessable(&error),
        Err(SignUpError::Password(NewPasswordError::Busy(Busy))) => {
            let text = "Too many people are signing in at this moment. Try again in a few seconds.";
            Refusal { text: text.to_owned(), ..Refusal::of(StatusCode::SERVICE_UNAVAILABLE) }
        }
        Err(SignUpError::TooManyAttempts(error)) => {
            let wait = pages::in_words(error.wait_s());
            let text = format!("Too many accounts were made from your network. Try again in {wait}.");
            Refusal { text, retry_after: Some(error.wait_s()), ..Refusal::of(StatusCode::TOO_MANY_REQUESTS) }
        }
    };
    sign_up_page(&app, &posted, Some(refusal)).await
}

/// The user agrees, or does not.
pub async fn consent(app: AppData, http: HttpRequest, network: ClientNetwork, body: Body) -> HttpResponse {
    let posted = match Posted::read(&app, &http, &network, &[PageKind::Authorization], body).await {
        Ok(posted) => posted,
        Err(response) => return *response,
    };
    let agrees = match posted.says("decision") {
        "allow" => true,
        "deny" => false,
        // Nothing is decided by a form that says nothing.
        _ => return foreign(&app),
    };
    let Posted { browser, submitted, .. } = &posted;
    match flows::oauth::decide(&app, submitted, &browser.context, agrees).await {
        // A second click: the first has the code, and its answer is lost.
        Err(AuthorizeError::Answered) => match flows::oauth::restart(&app, submitted) {
            Ok(restart) => restart_request(&app, &restart),
            Err(error) => fault(&app, error),
        },
        outcome => browser.show(&app, outcome),
    }
}

/// A request goes on at an address of its own, or is loaded again there.
pub async fn resume(app: AppData, http: HttpRequest, network: ClientNetwork) -> HttpResponse {
    let form: Parameters = match parse_form(http.query_string().as_bytes()) {
        Ok(pairs) => pairs.into_iter().collect(),
        Err(problem) => return unreadable(&app, &problem),
    };
    let browser = BrowserRequest::of(&http, &network);
    match browser.page(&app, &SIGN_IN, &form) {
        Ok(submitted) => browser.show(&app, flows::oauth::resume(&app, &submitted, &browser.context).await),
        Err(response) => *response,
    }
}

/// Somebody typed a page's address, or reloads it.
pub async fn lost(app: AppData) -> HttpResponse {
    foreign(&app)
}

async fn enter(app: &AppData, http: &HttpRequest, network: ClientNetwork, posted: &Posted) -> HttpResponse {
    let Posted { browser, submitted, .. } = posted;
    let credentials = LogIn {
        email: Email::parse(posted.says("email")).ok(),
        password: CandidatePassword::parse(posted.says("password")),
        context: network.audit_context(Actor::Anonymous),
        device: network.device(),
        device_token: cookie::read_device(http),
    };
    let outcome = flows::oauth::sign_in(app, submitted, &browser.context, credentials).await;
    let name = match &outcome {
        Ok(_) | Err(SignInError::Used(_)) => "success",
        Err(SignInError::Proof(ProvePasswordError::InvalidCredentials)) => "invalid_credentials",
        Err(SignInError::Proof(ProvePasswordError::Busy(_))) => "busy",
        Err(_) => "unavailable",
    };
    metrics::counter!("chancery_logins_total", "outcome" => name).increment(1);
    let (status, message) = match outcome {
        Ok(signed_in) => {
            let mut response = browser.show(app, signed_in.step);
            keep_signed_in(app, &mut response, &signed_in.cookie);
            add(&mut response, cookie::set_device(&signed_in.device_token));
            return response;
        }
        Err(SignInError::Used(restart)) => return restart_request(app, &restart),
        Err(SignInError::Authorize(error)) => return fault(app, error),
        Err(SignInError::Store(error) | SignInError::Proof(ProvePasswordError::Store(error))) => {
            return unavailable(app, &error);
        }
        Err(SignInError::Proof(ProvePasswordError::InvalidCredentials)) => {
            (StatusCode::UNAUTHORIZED, pages::Message::WrongCredentials)
        }
        Err(SignInError::Proof(ProvePasswordError::TooManyAttempts(error))) => {
            let seconds = error.wait_s();
            (StatusCode::TOO_MANY_REQUESTS, pages::Message::TooManyAttempts { seconds })
        }
        Err(SignInError::Proof(ProvePasswordError::Busy(_))) => {
            (StatusCode::SERVICE_UNAVAILABLE, pages::Message::Busy)
        }
    };
    match show_sign_in(app, submitted, &browser.context, false).await {
        Ok(NextStep::SignIn(asking)) => {
            sign_in_page(app, &asking, Some((posted.says("email"), message)), status)
        }
        outcome => browser.show(app, outcome),
    }
}

/// Why no account was made, as the form says it.
struct Refusal {
    status: StatusCode,
    text: String,
    retry_after: Option<i64>,
}

impl Refusal {
    fn of(status: StatusCode) -> Self {
        Self { status, text: String::new(), retry_after: None }
    }
}

/// What was typed is not taken, and why.
fn unprocessable(error: &dyn std::fmt::Display) -> Refusal {
    Refusal { text: error.to_string(), ..Refusal::of(StatusCode::UNPROCESSABLE_ENTITY) }
}

async fn sign_up_page(app: &AppData, posted: &Posted, refusal: Option<Refusal>) -> HttpResponse {
    if !app.settings.registration {
        return foreign(app);
    }
    let Posted { browser, submitted, .. } = posted;
    let (status, retry_after) = match &refusal {
        None => (StatusCode::OK, None),
        Some(refusal) => (refusal.status, refusal.retry_after),
    };
    let message = refusal.map(|refusal| refusal.text);
    match show_sign_in(app, submitted, &browser.context, false).await {
        Ok(NextStep::SignIn(asking)) => pages::SignUp {
            pending: asking.pending.expose(),
            client: asking.client.name.as_str(),
            email: posted.says("email"),
            name: posted.says("name"),
            message,
            retry_after,
            min_length: app.settings.passwords.min_length,
            return_origin: &return_origin(&asking),
        }
        .render(app, status),
        outcome => browser.show(app, outcome),
    }
}
