//! `/device`: where people let in a device that has no browser (RFC 8628 section 3.3).

use actix_web::{HttpRequest, HttpResponse};

use super::browser::{BrowserRequest, foreign, unreadable};
use crate::domain::Parameters;
use crate::flows::oauth::{NextStep, begin_link, decide_link, enter_code};
use crate::http::AppData;
use crate::http::extract::body::{Body, parse_form};
use crate::http::extract::source::Source;
use crate::tokens::UserCode;

/// Asks for the code. If it is in the address already, it still is for the person to send it.
pub async fn begin(app: AppData, http: HttpRequest, source: Source) -> HttpResponse {
    let query: Parameters = match parse_form(http.query_string().as_bytes()) {
        Ok(pairs) => pairs.into_iter().collect(),
        Err(problem) => return unreadable(&app, &problem),
    };
    let code = query.get("user_code").and_then(UserCode::parse).map(|code| code.shown());
    let visit = BrowserRequest::of(&http, &source);
    let outcome = begin_link(&app, &visit.visitor).map(NextStep::Device);
    visit.show_device(&app, outcome, &code.unwrap_or_default())
}

/// Takes the code, or what the person has decided about its device.
pub async fn by_post(app: AppData, http: HttpRequest, source: Source, body: Body) -> HttpResponse {
    let form: Parameters = match body.form().await {
        Ok(pairs) => pairs.into_iter().collect(),
        Err(problem) => return unreadable(&app, &problem),
    };
    let visit = BrowserRequest::of(&http, &source);
    let page = match visit.page(&app, &form) {
        Ok(page) if page.is_of_device() => page,
        Ok(_) => return foreign(&app),
        Err(response) => return *response,
    };
    let outcome = match form.get("decision") {
        Some("allow") => decide_link(&app, &page, &visit.visitor, true).await,
        Some("deny") => decide_link(&app, &page, &visit.visitor, false).await,
        // Nothing is decided by a form that says something else.
        Some(_) => return foreign(&app),
        None => {
            let typed = form.get("user_code").unwrap_or_default();
            let outcome = enter_code(&app, &visit.visitor, typed).await;
            return visit.show_device(&app, outcome, typed);
        }
    };
    visit.show(&app, outcome)
}
