use std::borrow::Cow;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{OAuthCode, OAuthError};
use crate::flows::clients::{AuthenticateClientError, FindRegistrationError, RegisterClientError};
use crate::flows::oauth::{BeginDeviceError, GrantError, IntrospectError, PushRequestError};
use crate::flows::passwords::TooManyAttempts;
use crate::http::problem::{ErrorCode, Problem};
use crate::store::StoreError;

/// An error under `/oauth2` (RFC 6749 section 5.2).
#[derive(Serialize, ToSchema)]
#[schema(as = OAuthError)]
pub struct OAuthErrorView {
    #[schema(example = "invalid_grant")]
    error: &'static str,
    /// For the developer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error_description: Option<String>,
}

/// An error answer under `/oauth2`. The client hears a code; the log hears the cause.
#[derive(Debug)]
pub struct OAuthProblem {
    status: StatusCode,
    error: &'static str,
    description: Option<Cow<'static, str>>,
    headers: Vec<(&'static str, String)>,
}

impl OAuthProblem {
    fn new(status: StatusCode, error: &'static str) -> Self {
        Self { status, error, description: None, headers: Vec::new() }
    }

    /// RFC 6749 section 5.2: who tried by `Authorization` is told by `WWW-Authenticate` that this is how.
    pub fn invalid_client(by_header: bool) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, OAuthCode::InvalidClient.as_str());
        problem.description = Some("the client is not known, or does not prove who it is".into());
        if by_header {
            problem
                .headers
                .push(("WWW-Authenticate", r#"Basic realm="chancery", charset="UTF-8""#.to_owned()));
        }
        problem
    }

    /// RFC 6750 section 3: what is wrong with how a token is shown.
    pub fn bearer(status: StatusCode, error: &'static str, challenge: &str) -> Self {
        let mut problem = Self::new(status, error);
        problem.headers.push(("WWW-Authenticate", challenge.to_owned()));
        problem
    }

    fn header(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

impl fmt::Display for OAuthProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error)
    }
}

impl ResponseError for OAuthProblem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for (name, value) in &self.headers {
            response.append_header((*name, value.as_str()));
        }
        response.insert_header((header::PRAGMA, "no-cache")).json(OAuthErrorView {
            error: self.error,
            error_description: self.description.as_ref().map(|text| text.clone().into_owned()),
        })
    }
}

impl From<OAuthError> for OAuthProblem {
    fn from(error: OAuthError) -> Self {
        let status = match error.code {
            OAuthCode::InvalidClient => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        Self { description: Some(error.description), ..Self::new(status, error.code.as_str()) }
    }
}

/// What goes wrong everywhere alike, said in OAuth's words.
impl From<Problem> for OAuthProblem {
    fn from(problem: Problem) -> Self {
        let status = problem.status_code();
        let (status, error) = match (problem.code(), status) {
            (ErrorCode::TooManyAttempts, _) => (status, "invalid_client"),
            (ErrorCode::TokenRequired, _) => (status, ErrorCode::InvalidToken.as_str()),
            (code @ (ErrorCode::InvalidToken | ErrorCode::InvalidDpopProof | ErrorCode::UseDpopNonce), _) => {
                (status, code.as_str())
            }
            (_, StatusCode::SERVICE_UNAVAILABLE) => (status, "temporarily_unavailable"),
            (_, status) if status.is_server_error() => (status, "server_error"),
            (
                ErrorCode::HeadersTooLarge
                | ErrorCode::PayloadTooLarge
                | ErrorCode::RequestTimeout
                | ErrorCode::UnsupportedMediaType
                | ErrorCode::MethodNotAllowed,
                _,
            ) => (status, "invalid_request"),
            _ => (StatusCode::BAD_REQUEST, "invalid_request"),
        };
        problem.log();
        let description = match problem.code() {
            ErrorCode::UnsupportedMediaType => "the body must be application/x-www-form-urlencoded".into(),
            ErrorCode::InvalidDpopProof | ErrorCode::UseDpopNonce => problem.description().into(),
            code => code.title().into(),
        };
        let description = Some(description);
        Self { description, headers: problem.into_headers(), ..Self::new(status, error) }
    }
}

impl From<StoreError> for OAuthProblem {
    fn from(error: StoreError) -> Self {
        Problem::from(error).into()
    }
}

impl From<GrantError> for OAuthProblem {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::OAuth(error) => error.into(),
            GrantError::Contended => Problem::new(ErrorCode::DatabaseUnavailable).into(),
            GrantError::Keys(error) => Problem::from(error).into(),
            GrantError::Sign(error) => Problem::from(error).into(),
            GrantError::Store(error) => error.into(),
        }
    }
}

impl From<IntrospectError> for OAuthProblem {
    fn from(error: IntrospectError) -> Self {
        match error {
            IntrospectError::Keys(error) => Problem::from(error).into(),
            IntrospectError::Store(error) => error.into(),
        }
    }
}

impl From<BeginDeviceError> for OAuthProblem {
    fn from(error: BeginDeviceError) -> Self {
        match error {
            BeginDeviceError::OAuth(error) => error.into(),
            BeginDeviceError::TooManyAttempts(error) => Self::too_many(error),
            BeginDeviceError::NoRandomness => Problem::new(ErrorCode::Internal).cause(error).into(),
            BeginDeviceError::Store(error) => error.into(),
        }
    }
}

impl From<PushRequestError> for OAuthProblem {
    fn from(error: PushRequestError) -> Self {
        match error {
            PushRequestError::OAuth(error) => error.into(),
            PushRequestError::NoRandomness => Problem::new(ErrorCode::Internal).cause(error).into(),
            PushRequestError::Keys(error) => Problem::from(error).into(),
            PushRequestError::Store(error) => error.into(),
        }
    }
}

impl OAuthProblem {
    /// Of a body that is no client's metadata at all (RFC 7591 section 3.2.2).
    pub fn of_metadata(problem: Problem) -> Self {
        let description = match problem.code() {
            ErrorCode::InvalidJson => ErrorCode::InvalidJson.title(),
            ErrorCode::UnsupportedMediaType => ErrorCode::UnsupportedMediaType.title(),
            _ => return problem.into(),
        };
        let mut answer = Self::new(problem.status_code(), OAuthCode::InvalidClientMetadata.as_str());
        answer.description = Some(description.into());
        answer
    }

    /// Of an application that is not registered, or whose registration stays as it is.
    pub fn of_registration(error: RegisterClientError, has_token: bool) -> Self {
        match error {
            RegisterClientError::Off => Self::not_found(),
            RegisterClientError::NotAllowed => Self::invalid_registration_token(has_token),
            RegisterClientError::Metadata(error) => error.into(),
            RegisterClientError::TooManyAttempts(error) => Self::too_many(error),
            RegisterClientError::NoRandomness => Problem::new(ErrorCode::Internal).into(),
            RegisterClientError::Store(error) => error.into(),
        }
    }

    /// Of an application that does not show its registration's token.
    pub fn of_registrations_token(error: FindRegistrationError, has_token: bool) -> Self {
        match error {
            FindRegistrationError::Off => Self::not_found(),
            FindRegistrationError::NotTheirs => Self::invalid_registration_token(has_token),
            FindRegistrationError::Store(error) => error.into(),
        }
    }

    /// RFC 6750 section 3.1: who brings nothing is told nothing of what is wrong with it.
    pub fn invalid_registration_token(has_token: bool) -> Self {
        let challenge = if has_token { r#"Bearer error="invalid_token""# } else { "Bearer" };
        Self::bearer(StatusCode::UNAUTHORIZED, "invalid_token", challenge)
    }

    /// Of a network that has asked too often for something that anybody may have.
    fn too_many(error: TooManyAttempts) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable")
            .header("Retry-After", error.wait_s())
    }

    fn not_found() -> Self {
        let mut problem = Self::new(StatusCode::NOT_FOUND, "not_found");
        problem.description = Some(ErrorCode::NotFound.title().into());
        problem
    }

    /// Of a client that could not show who it is.
    pub fn of_client(error: AuthenticateClientError, by_header: bool) -> Self {
        match error {
            AuthenticateClientError::InvalidClient => Self::invalid_client(by_header),
            AuthenticateClientError::Assertion(_) => {
                Self { description: Some(error.to_string().into()), ..Self::invalid_client(by_header) }
            }
            AuthenticateClientError::TooManyAttempts(error) => {
                let seconds = error.wait_s();
                Self::new(StatusCode::TOO_MANY_REQUESTS, OAuthCode::InvalidClient.as_str())
                    .header("Retry-After", seconds)
            }
            AuthenticateClientError::Store(error) => error.into(),
        }
    }
}
