use actix_web::{HttpRequest, HttpResponse};
use url::form_urlencoded::Serializer;

use super::browser::{BrowserRequest, see_other, unreadable};
use crate::domain::Parameters;
use crate::flows::oauth::begin_authorization;
use crate::http::AppData;
use crate::http::extract::body::{Body, parse_form};
use crate::http::extract::network::ClientNetwork;

/// A client sends a user here (RFC 6749 section 4.1.1).
pub async fn begin(app: AppData, http: HttpRequest, network: ClientNetwork) -> HttpResponse {
    let pairs = match parse_form(http.query_string().as_bytes()) {
        Ok(pairs) => pairs,
        Err(problem) => return unreadable(&app, &problem),
    };
    let parameters: Parameters = pairs.into_iter().collect();
    let browser = BrowserRequest::of(&http, &network);
    let outcome = begin_authorization(&app, &parameters, &browser.context).await;
    browser.show(&app, outcome)
}

/// The same by a form (OpenID Connect Core section 3.1.2.1). A browser that comes from another site by POST leaves its cookies at
/// home, so it is sent on to ask by GET.
pub async fn begin_by_post(app: AppData, body: Body) -> HttpResponse {
    match body.form().await {
        Ok(pairs) => {
            let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
            see_other(&format!("{}/oauth2/authorize?{query}", app.settings.server.base()))
        }
        Err(problem) => unreadable(&app, &problem),
    }
}
