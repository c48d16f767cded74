use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use url::form_urlencoded::Serializer;

use super::browser::{BrowserRequest, add, see_other, unavailable, unreadable, with_parameters};
use crate::app::App;
use crate::domain::Parameters;
use crate::domain::clients::RedirectUri;
use crate::flows::oauth::{SignOutError, SignOutStep, begin_sign_out, confirm_sign_out};
use crate::http::context::request_id;
use crate::http::extract::body::{Body, parse_form};
use crate::http::extract::cookie;
use crate::http::extract::network::ClientNetwork;
use crate::http::{AppData, pages};
use crate::tokens::PageKind;

/// A client sends a user here to sign out (OpenID Connect RP-Initiated Logout section 2).
pub async fn begin(app: AppData, http: HttpRequest, network: ClientNetwork) -> HttpResponse {
    match parse_form(http.query_string().as_bytes()) {
        Ok(pairs) => ask(&app, &http, &network, &pairs.into_iter().collect()).await,
        Err(problem) => unreadable(&app, &problem),
    }
}

/// The same by a form; or the answer of the page that asks. A browser that comes from another site by POST leaves its cookies at
/// home, so it is sent on to ask by GET.
pub async fn by_post(app: AppData, http: HttpRequest, network: ClientNetwork, body: Body) -> HttpResponse {
    let pairs = match body.form().await {
        Ok(pairs) => pairs,
        Err(problem) => return unreadable(&app, &problem),
    };
    if pairs.iter().all(|(name, _)| name != "decision") {
        let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
        return see_other(&format!("{}/oauth2/logout?{query}", app.settings.server.base()));
    }
    let form: Parameters = pairs.into_iter().collect();
    // The page's state is not opened for a user who stays: an expired page would begin again, and beginning again can sign
    // out without asking.
    if form.get("decision") != Some("sign_out") {
        return still_signed_in(&app);
    }
    let browser = BrowserRequest::of(&http, &network);
    let submitted = match browser.page(&app, &[PageKind::SignOut], &form) {
        Ok(submitted) => submitted,
        Err(response) => return *response,
    };
    let outcome = confirm_sign_out(&app, &submitted.parameters(), &browser.context).await;
    show(&app, &browser, outcome)
}

fn still_signed_in(app: &App) -> HttpResponse {
    pages::Fault {
        status: StatusCode::OK,
        title: "You are still signed in",
        explanation: "Nothing was changed. You can close this page.",
        request_id: request_id(),
    }
    .render(app)
}

async fn ask(
    app: &AppData,
    http: &HttpRequest,
    network: &ClientNetwork,
    parameters: &Parameters,
) -> HttpResponse {
    let browser = BrowserRequest::of(http, network);
    let outcome = begin_sign_out(app, parameters, &browser.context).await;
    show(app, &browser, outcome)
}

fn show(app: &App, browser: &BrowserRequest, outcome: Result<SignOutStep, SignOutError>) -> HttpResponse {
    match outcome {
        Ok(SignOutStep::Confirm { pending, user, client, return_to }) => {
            let mut response = pages::SignOut {
                pending: pending.expose(),
                user: &user,
                client: client.as_ref().map(|client| client.name.as_str()),
                return_origin: &return_to.as_ref().map(RedirectUri::origin).unwrap_or_default(),
            }
            .render(app);
            browser.introduce(&mut response);
            response
        }
        Ok(SignOutStep::Done { return_to }) => {
            let mut response = match return_to {
                Some((uri, state)) => {
                    let state: Vec<(&str, String)> =
                        state.map(|state| ("state", state)).into_iter().collect();
                    see_other(&with_parameters(uri.as_str(), &state))
                }
                None => pages::SignedOut {}.render(app),
            };
            if browser.context.session.is_some() {
                add(&mut response, cookie::clear_browser());
            }
            response
        }
        Err(error @ (SignOutError::Keys(_) | SignOutError::Store(_) | SignOutError::NoRandomness)) => {
            unavailable(app, &error)
        }
        Err(error) => pages::Fault {
            status: StatusCode::BAD_REQUEST,
            title: "You are not signed out",
            explanation: &format!("The application sent you here with something wrong: {error}."),
            request_id: request_id(),
        }
        .render(app),
    }
}
