//! `/device`: where people let in a device that has no browser (RFC 8628 section 3.3).

use actix_web::{HttpRequest, HttpResponse};

use super::browser::{BrowserRequest, foreign, unreadable};
use crate::domain::Parameters;
use crate::flows::oauth::{NextStep, begin_link, decide_link, enter_code};
use crate::http::AppData;
use crate::http::extract::body::{Body, parse_form};
use crate::http::extract::network::ClientNetwork;
use crate::tokens::{PageKind, UserCode};

/// Asks for the code. If it is in the address already, it still is for the person to send it.
pub async fn begin(app: AppData, http: HttpRequest, network: ClientNetwork) -> HttpResponse {
    let query: Parameters = match parse_form(http.query_string().as_bytes()) {
        Ok(pairs) => pairs.into_iter().collect(),
        Err(problem) => return unreadable(&app, &problem),
    };
    let code = query.get("user_code").and_then(UserCode::parse).map(|code| code.shown());
    let browser = BrowserRequest::of(&http, &network);
    let outcome = begin_link(&app, &browser.context).map(NextStep::Device);
    browser.show_device(&app, outcome, &code.unwrap_or_default())
}

/// Takes the code, or what the person has decided about its device.
pub async fn by_post(app: AppData, http: HttpRequest, network: ClientNetwork, body: Body) -> HttpResponse {
    let form: Parameters = match body.form().await {
        Ok(pairs) => pairs.into_iter().collect(),
        Err(problem) => return unreadable(&app, &problem),
    };
    let browser = BrowserRequest::of(&http, &network);
    let submitted = match browser.page(&app, &[PageKind::Device], &form) {
        Ok(submitted) => submitted,
        Err(response) => return *response,
    };
    let outcome = match form.get("decision") {
        Some("allow") => decide_link(&app, &submitted, &browser.context, true).await,
        Some("deny") => decide_link(&app, &submitted, &browser.context, false).await,
        // Nothing is decided by a form that says something else.
        Some(_) => return foreign(&app),
        None => {
            let typed = form.get("user_code").unwrap_or_default();
            let outcome = enter_code(&app, &browser.context, typed).await;
            return browser.show_device(&app, outcome, typed);
        }
    };
    browser.show(&app, outcome)
}
