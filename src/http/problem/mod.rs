//! What a program is told when something is wrong: the table of codes in `codes.rs`, the answer here, and in `errors.rs` which
//! error has which code.

mod codes;
mod errors;

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

pub use codes::ErrorCode;

use super::context::request_id;
use super::scheme::Scheme;

/// How soon to come back when the database is away or everybody is hashing.
const RETRY_AFTER: i64 = 2;

/// An error answer: RFC 9457 `application/problem+json`. The client hears a code; the log hears the cause.
#[derive(Debug)]
pub struct Problem {
    code: ErrorCode,
    detail: Option<String>,
    members: Map<String, Value>,
    headers: Vec<(&'static str, String)>,
    cause: Option<String>,
    /// Taken where the problem arises; by the time it is written the request may be over.
    request_id: Uuid,
}

/// A problem on the wire.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemView {
    /// `urn:chancery:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    /// Stable; see docs/errors.md.
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Also in the `X-Request-Id` header and in the server's log.
    request_id: String,
    #[serde(flatten)]
    #[schema(ignore)]
    members: Map<String, Value>,
}

impl Problem {
    pub fn new(code: ErrorCode) -> Self {
        let mut problem = Self {
            code,
            detail: None,
            members: Map::new(),
            headers: Vec::new(),
            cause: None,
            request_id: request_id(),
        };
        match code {
            ErrorCode::TokenRequired => problem.headers.push(("WWW-Authenticate", "Bearer".to_owned())),
            ErrorCode::InvalidToken => {
                problem.headers.push(("WWW-Authenticate", r#"Bearer error="invalid_token""#.to_owned()));
            }
            _ if code.status() == StatusCode::SERVICE_UNAVAILABLE => {
                problem.headers.push(("Retry-After", RETRY_AFTER.to_string()));
            }
            _ => {}
        }
        problem
    }

    /// Something the client may read; never a secret, SQL or a path.
    pub fn detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// A member beside the standard ones (RFC 9457 section 3.2).
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    pub fn header(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// Says how a token is shown, and by which code it is refused, where it is the token or its proof that is wrong.
    pub fn challenged(mut self, scheme: Scheme) -> Self {
        if self.code.status() != StatusCode::UNAUTHORIZED {
            return self;
        }
        self.headers.retain(|(name, _)| *name != "WWW-Authenticate");
        let challenge = scheme.challenge(&format!(r#"error="{}""#, self.code.as_str()));
        self.header("WWW-Authenticate", challenge)
    }

    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What the client may read of it.
    pub(super) fn description(&self) -> String {
        self.detail.clone().unwrap_or_else(|| self.code.title().to_owned())
    }

    /// For an answer in another form.
    pub(super) fn into_headers(self) -> Vec<(&'static str, String)> {
        self.headers
    }

    /// The one line about what went wrong, where there is something to say.
    pub(super) fn log(&self) {
        match (&self.cause, self.code.status().is_server_error()) {
            (Some(cause), true) => tracing::error!(event = "problem", code = self.code.as_str(), %cause),
            (Some(cause), false) => tracing::info!(event = "problem", code = self.code.as_str(), %cause),
            (None, _) => {}
        }
    }

    /// What the log should know and the client should not.
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.log();
        let mut response = HttpResponse::build(self.code.status());
        for (name, value) in &self.headers {
            response.append_header((*name, value.as_str()));
        }
        let view = ProblemView {
            kind: format!("urn:chancery:problem:{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            code: self.code.as_str().to_owned(),
            detail: self.detail.clone(),
            request_id: self.request_id.to_string(),
            members: self.members.clone(),
        };
        response
            .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json")))
            .body(serde_json::to_string(&view).unwrap_or_default())
    }
}
