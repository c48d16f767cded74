use actix_web::http::StatusCode;

/// The stable error codes: `(variant, code, status, title)`. `docs/errors.md` is the same table for readers.
macro_rules! codes {
    ($($variant:ident $code:literal $status:ident $title:literal),+ $(,)?) => {
        /// What went wrong, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ErrorCode { $($variant),+ }

        impl ErrorCode {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_table_is_this_table() {
        let documented = include_str!("../../../docs/errors.md");
        let rows: Vec<&str> = documented.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows.len(), ErrorCode::ALL.len());
        for (row, code) in rows.iter().zip(ErrorCode::ALL) {
            let expected = format!("| `{}` | {} | {} |", code.as_str(), code.status().as_u16(), code.title());
            assert!(row.starts_with(&expected), "{row}\nshould begin\n{expected}");
        }
    }
}
