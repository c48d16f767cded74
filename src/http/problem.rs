use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::context::request_id;
use super::dpop::Scheme;
use crate::domain::{BeyondAuthority, PasswordRejected};
use crate::flows::{
    AuthenticateError, ChangePasswordError, ClientError, CreateClientError, CreateUserError,
    IdempotencyError, LoadKeyringError, LogInError, NewKeyError, NewPasswordError, ReadKeysError,
    RefreshError, RevokeKeyError, RotateClientSecretError, RotateKeysError, SetPasswordError, SignUpError,
    TooManyAttempts, UpdateClientError, UserError,
};
use crate::keys::SignerError;
use crate::passwords::Busy;
use crate::store::StoreError;
use crate::tokens::DpopError;
use crate::views::rfc3339;

/// How soon to come back when the database is away or everybody is hashing.
const RETRY_AFTER: i64 = 2;

/// The stable error codes: `(variant, code, status, title)`. `docs/errors.md` is the same table for readers.
macro_rules! codes {
    ($($variant:ident $code:literal $status:ident $title:literal),+ $(,)?) => {
        /// What went wrong, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($variant),+ }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }
        }
    };
}

codes! {
    InvalidJson "invalid_json" BAD_REQUEST "The body is not the JSON it should be",
    InvalidParameter "invalid_parameter" BAD_REQUEST "A parameter of the request cannot be read",
    TokenRequired "token_required" UNAUTHORIZED "This needs an access token",
    InvalidToken "invalid_token" UNAUTHORIZED "The access token is not valid",
    InvalidDpopProof "invalid_dpop_proof" UNAUTHORIZED "The proof of possession is not valid",
    UseDpopNonce "use_dpop_nonce" UNAUTHORIZED "The proof of possession needs a nonce of this server",
    InvalidCredentials "invalid_credentials" UNAUTHORIZED "E-mail or password is wrong",
    InvalidGrant "invalid_grant" UNAUTHORIZED "The refresh token is not valid",
    InsufficientScope "insufficient_scope" FORBIDDEN "The access token does not allow this",
    WrongPassword "wrong_password" FORBIDDEN "The current password is wrong",
    OriginNotAllowed "origin_not_allowed" FORBIDDEN "This origin may not use cookies here",
    RegistrationClosed "registration_closed" FORBIDDEN "Registration is closed",
    NotFound "not_found" NOT_FOUND "There is nothing here",
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "This cannot be done here",
    RequestTimeout "request_timeout" REQUEST_TIMEOUT "The request took too long to arrive",
    EmailTaken "email_taken" CONFLICT "This address has an account",
    ClientIdTaken "client_id_taken" CONFLICT "There is a client of this id",
    KeyNotEligible "key_not_eligible" CONFLICT "The next key may not sign yet",
    RotationSuperseded "rotation_superseded" CONFLICT "Another rotation came first",
    PayloadTooLarge "payload_too_large" PAYLOAD_TOO_LARGE "The body is too large",
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "The body must be application/json",
    InvalidEmail "invalid_email" UNPROCESSABLE_ENTITY "This is not an e-mail address",
    InvalidName "invalid_name" UNPROCESSABLE_ENTITY "This is not a name",
    InvalidRole "invalid_role" UNPROCESSABLE_ENTITY "There is no such role",
    InvalidClientMetadata "invalid_client_metadata" UNPROCESSABLE_ENTITY "A client cannot be registered so",
    PasswordTooShort "password_too_short" UNPROCESSABLE_ENTITY "The password is too short",
    PasswordTooLong "password_too_long" UNPROCESSABLE_ENTITY "The password is too long",
    PasswordCommon "password_common" UNPROCESSABLE_ENTITY "The password is a common one",
    PasswordPersonal "password_personal" UNPROCESSABLE_ENTITY "The password is your own name or address",
    ReasonRequired "reason_required" UNPROCESSABLE_ENTITY "This needs a reason",
    IdempotencyKeyReused "idempotency_key_reused" UNPROCESSABLE_ENTITY "The Idempotency-Key belongs to another request",
    TooManyAttempts "too_many_attempts" TOO_MANY_REQUESTS "Too many attempts from this network",
    HeadersTooLarge "headers_too_large" REQUEST_HEADER_FIELDS_TOO_LARGE "The request's headers are too large",
    Internal "internal_error" INTERNAL_SERVER_ERROR "Something went wrong here",
    Busy "busy" SERVICE_UNAVAILABLE "Too many passwords are being checked",
    DatabaseUnavailable "database_unavailable" SERVICE_UNAVAILABLE "The database is not available",
    KeysUnavailable "keys_unavailable" SERVICE_UNAVAILABLE "The signing keys are not available",
    NotReady "not_ready" SERVICE_UNAVAILABLE "This node takes no requests at the moment",
    TimedOut "timed_out" SERVICE_UNAVAILABLE "The request took too long",
}

/// An error answer: RFC 9457 `application/problem+json`. The client hears a code; the log hears the cause.
#[derive(Debug)]
pub struct Problem {
    code: Code,
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
    pub fn new(code: Code) -> Self {
        let mut problem = Self {
            code,
            detail: None,
            members: Map::new(),
            headers: Vec::new(),
            cause: None,
            request_id: request_id(),
        };
        match code {
            Code::TokenRequired => problem.headers.push(("WWW-Authenticate", "Bearer".to_owned())),
            Code::InvalidToken => {
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

    pub fn code(&self) -> Code {
        self.code
    }

    /// What the client may read of it.
    pub(super) fn told(&self) -> String {
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

// The one place where flows' errors become HTTP.

impl From<TooManyAttempts> for Problem {
    fn from(error: TooManyAttempts) -> Self {
        Self::new(Code::TooManyAttempts).header("Retry-After", error.wait_s())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Unavailable(_) => Code::DatabaseUnavailable,
            StoreError::Duplicate | StoreError::Corrupt { .. } | StoreError::Other(_) => Code::Internal,
        };
        Self::new(code).cause(error)
    }
}

impl From<LoadKeyringError> for Problem {
    fn from(error: LoadKeyringError) -> Self {
        match error {
            LoadKeyringError::Store(error @ StoreError::Unavailable(_)) => error.into(),
            other => Self::new(Code::KeysUnavailable).cause(other),
        }
    }
}

impl From<SignerError> for Problem {
    fn from(error: SignerError) -> Self {
        Self::new(Code::KeysUnavailable).cause(error)
    }
}

impl From<minijinja::Error> for Problem {
    fn from(error: minijinja::Error) -> Self {
        Self::new(Code::Internal).cause(error)
    }
}

impl From<Busy> for Problem {
    fn from(_: Busy) -> Self {
        Self::new(Code::Busy)
    }
}

impl From<PasswordRejected> for Problem {
    fn from(rejected: PasswordRejected) -> Self {
        let code = match rejected {
            PasswordRejected::TooShort { .. } => Code::PasswordTooShort,
            PasswordRejected::TooLong => Code::PasswordTooLong,
            PasswordRejected::Common => Code::PasswordCommon,
            PasswordRejected::Personal => Code::PasswordPersonal,
        };
        Self::new(code).detail(rejected)
    }
}

impl From<NewPasswordError> for Problem {
    fn from(error: NewPasswordError) -> Self {
        match error {
            NewPasswordError::Rejected(rejected) => rejected.into(),
            NewPasswordError::Busy(error) => error.into(),
        }
    }
}

impl From<BeyondAuthority> for Problem {
    fn from(error: BeyondAuthority) -> Self {
        Self::new(Code::InsufficientScope).detail(error)
    }
}

impl From<AuthenticateError> for Problem {
    fn from(error: AuthenticateError) -> Self {
        match error {
            AuthenticateError::Token(_)
            | AuthenticateError::Bound
            | AuthenticateError::Unbound
            | AuthenticateError::WrongKey
            | AuthenticateError::Ended => Self::new(Code::InvalidToken).cause(error),
            AuthenticateError::Proof(error @ DpopError::NonceNeeded) => {
                Self::new(Code::UseDpopNonce).detail(error)
            }
            AuthenticateError::Proof(error) => Self::new(Code::InvalidDpopProof).detail(error).cause(error),
            AuthenticateError::Keys(error) => error.into(),
            AuthenticateError::Store(error) => error.into(),
        }
    }
}

impl From<LogInError> for Problem {
    fn from(error: LogInError) -> Self {
        match error {
            LogInError::InvalidCredentials => Self::new(Code::InvalidCredentials),
            LogInError::TooManyAttempts(error) => error.into(),
            LogInError::Busy(error) => error.into(),
            LogInError::Keys(error) => error.into(),
            LogInError::Sign(error) => error.into(),
            LogInError::Store(error) => error.into(),
        }
    }
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Invalid(cause) => Self::new(Code::InvalidGrant).cause(cause),
            // No session of /auth is bound to a key.
            RefreshError::Bound | RefreshError::OtherKey | RefreshError::Key(_) => {
                Self::new(Code::InvalidGrant).cause(error)
            }
            RefreshError::Contended => Self::new(Code::DatabaseUnavailable).cause(error),
            RefreshError::Keys(error) => error.into(),
            RefreshError::Sign(error) => error.into(),
            RefreshError::Store(error) => error.into(),
        }
    }
}

impl From<SignUpError> for Problem {
    fn from(error: SignUpError) -> Self {
        match error {
            SignUpError::Closed => Self::new(Code::RegistrationClosed),
            SignUpError::TooManyAttempts(error) => error.into(),
            SignUpError::Password(error) => error.into(),
            SignUpError::Store(error) => error.into(),
        }
    }
}

impl From<CreateUserError> for Problem {
    fn from(error: CreateUserError) -> Self {
        match error {
            CreateUserError::EmailTaken => Self::new(Code::EmailTaken),
            CreateUserError::Authority(error) => error.into(),
            CreateUserError::Password(error) => error.into(),
            CreateUserError::Store(error) => error.into(),
        }
    }
}

impl From<ChangePasswordError> for Problem {
    fn from(error: ChangePasswordError) -> Self {
        match error {
            ChangePasswordError::WrongPassword => Self::new(Code::WrongPassword),
            ChangePasswordError::Password(error) => error.into(),
            ChangePasswordError::TooManyAttempts(error) => error.into(),
            ChangePasswordError::Busy(error) => error.into(),
            ChangePasswordError::Store(error) => error.into(),
        }
    }
}

impl From<SetPasswordError> for Problem {
    fn from(error: SetPasswordError) -> Self {
        match error {
            SetPasswordError::NotFound => Self::new(Code::NotFound),
            SetPasswordError::Authority(error) => error.into(),
            SetPasswordError::Password(error) => error.into(),
            SetPasswordError::Store(error) => error.into(),
        }
    }
}

impl From<UserError> for Problem {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound => Self::new(Code::NotFound),
            UserError::Authority(error) => error.into(),
            UserError::Store(error) => error.into(),
        }
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotFound => Self::new(Code::NotFound),
            ClientError::Authority(error) => error.into(),
            ClientError::Store(error) => error.into(),
        }
    }
}

impl From<CreateClientError> for Problem {
    fn from(error: CreateClientError) -> Self {
        match error {
            CreateClientError::IdTaken => Self::new(Code::ClientIdTaken),
            CreateClientError::Invalid(_) => Self::new(Code::InvalidClientMetadata).detail(error),
            CreateClientError::Authority(error) => error.into(),
            CreateClientError::NoRandomness => Self::new(Code::Internal).cause(error),
            CreateClientError::Store(error) => error.into(),
        }
    }
}

impl From<UpdateClientError> for Problem {
    fn from(error: UpdateClientError) -> Self {
        match error {
            UpdateClientError::NotFound => Self::new(Code::NotFound),
            UpdateClientError::Invalid(_) => Self::new(Code::InvalidClientMetadata).detail(error),
            UpdateClientError::Authority(error) => error.into(),
            UpdateClientError::Store(error) => error.into(),
        }
    }
}

impl From<RotateClientSecretError> for Problem {
    fn from(error: RotateClientSecretError) -> Self {
        match error {
            RotateClientSecretError::NotFound => Self::new(Code::NotFound),
            RotateClientSecretError::NoSecret => {
                Self::new(Code::InvalidClientMetadata).detail(format!("token_endpoint_auth_method: {error}"))
            }
            RotateClientSecretError::Overlap => Self::new(Code::InvalidParameter).detail(error),
            RotateClientSecretError::Authority(error) => error.into(),
            RotateClientSecretError::NoRandomness => Self::new(Code::Internal).cause(error),
            RotateClientSecretError::Store(error) => error.into(),
        }
    }
}

impl From<RotateKeysError> for Problem {
    fn from(error: RotateKeysError) -> Self {
        match error {
            RotateKeysError::NotEligible { eligible_at, wait_s } => Self::new(Code::KeyNotEligible)
                .member("eligible_at", rfc3339(eligible_at))
                .header("Retry-After", wait_s)
                .detail("the next key is published, but some verifier may not have fetched it yet"),
            // Only the schedule is told this, and it does not ask by HTTP.
            RotateKeysError::NotDue(due_at) => {
                Self::new(Code::KeyNotEligible).member("eligible_at", rfc3339(due_at))
            }
            RotateKeysError::Superseded
            | RotateKeysError::NewKey(NewKeyError::Store(StoreError::Duplicate)) => {
                Self::new(Code::RotationSuperseded)
            }
            RotateKeysError::ReasonMissing => Self::new(Code::ReasonRequired),
            RotateKeysError::NextUnusable(_) => Self::new(Code::KeysUnavailable)
                .detail("the next key is in quarantine; it is being replaced")
                .cause(error),
            RotateKeysError::Idempotency(error) => error.into(),
            RotateKeysError::Read(error) => error.into(),
            RotateKeysError::Store(StoreError::Duplicate) => Self::new(Code::RotationSuperseded),
            RotateKeysError::Store(error) | RotateKeysError::NewKey(NewKeyError::Store(error)) => {
                error.into()
            }
            RotateKeysError::NewKey(error) => Self::new(Code::KeysUnavailable).cause(error),
        }
    }
}

impl From<RevokeKeyError> for Problem {
    fn from(error: RevokeKeyError) -> Self {
        match error {
            RevokeKeyError::NotFound => Self::new(Code::NotFound),
            RevokeKeyError::Superseded
            | RevokeKeyError::Store(StoreError::Duplicate)
            | RevokeKeyError::NewKey(NewKeyError::Store(StoreError::Duplicate)) => {
                Self::new(Code::RotationSuperseded)
            }
            RevokeKeyError::Idempotency(error) => error.into(),
            RevokeKeyError::Read(error) => error.into(),
            RevokeKeyError::Store(error) | RevokeKeyError::NewKey(NewKeyError::Store(error)) => error.into(),
            RevokeKeyError::NewKey(error) => Self::new(Code::KeysUnavailable).cause(error),
        }
    }
}

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::Reused => Self::new(Code::IdempotencyKeyReused),
            IdempotencyError::Store(error) => error.into(),
        }
    }
}

impl From<ReadKeysError> for Problem {
    fn from(error: ReadKeysError) -> Self {
        match error {
            ReadKeysError::Set(error) => Self::new(Code::KeysUnavailable).cause(error),
            ReadKeysError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_table_is_this_table() {
        let documented = include_str!("../../docs/errors.md");
        let rows: Vec<&str> = documented.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows.len(), Code::ALL.len());
        for (row, code) in rows.iter().zip(Code::ALL) {
            let expected = format!("| `{}` | {} | {} |", code.as_str(), code.status().as_u16(), code.title());
            assert!(row.starts_with(&expected), "{row}\nshould begin\n{expected}");
        }
    }
}
