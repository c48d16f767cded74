//! The one place where flows' errors become HTTP.

use super::{ErrorCode, Problem};
use crate::domain::accounts::BeyondAuthority;
use crate::domain::passwords::PasswordRejected;
use crate::flows::accounts::{
    ChangePasswordError, CreateUserError, SetPasswordError, SignUpError, UserError,
};
use crate::flows::clients::{ClientError, CreateClientError, RotateClientSecretError, UpdateClientError};
use crate::flows::keys::{
    IdempotencyError, LoadKeyringError, NewKeyError, ReadKeysError, RevokeKeyError, RotateKeysError,
};
use crate::flows::passwords::{NewPasswordError, TooManyAttempts};
use crate::flows::sessions::{AuthenticateError, LogInError, RefreshError};
use crate::keys::SignerError;
use crate::passwords::Busy;
use crate::store::StoreError;
use crate::tokens::DpopError;
use crate::views::rfc3339;

impl From<TooManyAttempts> for Problem {
    fn from(error: TooManyAttempts) -> Self {
        Self::new(ErrorCode::TooManyAttempts).header("Retry-After", error.wait_s())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Unavailable(_) => ErrorCode::DatabaseUnavailable,
            StoreError::Duplicate | StoreError::Corrupt { .. } | StoreError::Other(_) => ErrorCode::Internal,
        };
        Self::new(code).cause(error)
    }
}

impl From<LoadKeyringError> for Problem {
    fn from(error: LoadKeyringError) -> Self {
        match error {
            LoadKeyringError::Store(error @ StoreError::Unavailable(_)) => error.into(),
            other => Self::new(ErrorCode::KeysUnavailable).cause(other),
        }
    }
}

impl From<SignerError> for Problem {
    fn from(error: SignerError) -> Self {
        Self::new(ErrorCode::KeysUnavailable).cause(error)
    }
}

impl From<minijinja::Error> for Problem {
    fn from(error: minijinja::Error) -> Self {
        Self::new(ErrorCode::Internal).cause(error)
    }
}

impl From<Busy> for Problem {
    fn from(_: Busy) -> Self {
        Self::new(ErrorCode::Busy)
    }
}

impl From<PasswordRejected> for Problem {
    fn from(rejected: PasswordRejected) -> Self {
        let code = match rejected {
            PasswordRejected::TooShort { .. } => ErrorCode::PasswordTooShort,
            PasswordRejected::TooLong => ErrorCode::PasswordTooLong,
            PasswordRejected::Common => ErrorCode::PasswordCommon,
            PasswordRejected::Personal => ErrorCode::PasswordPersonal,
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
        Self::new(ErrorCode::InsufficientScope).detail(error)
    }
}

impl From<AuthenticateError> for Problem {
    fn from(error: AuthenticateError) -> Self {
        match error {
            AuthenticateError::Token(_)
            | AuthenticateError::Bound
            | AuthenticateError::Unbound
            | AuthenticateError::WrongKey
            | AuthenticateError::Ended => Self::new(ErrorCode::InvalidToken).cause(error),
            AuthenticateError::Proof(error @ DpopError::NonceNeeded) => {
                Self::new(ErrorCode::UseDpopNonce).detail(error)
            }
            AuthenticateError::Proof(error) => {
                Self::new(ErrorCode::InvalidDpopProof).detail(error).cause(error)
            }
            AuthenticateError::Keys(error) => error.into(),
            AuthenticateError::Store(error) => error.into(),
        }
    }
}

impl From<LogInError> for Problem {
    fn from(error: LogInError) -> Self {
        match error {
            LogInError::InvalidCredentials => Self::new(ErrorCode::InvalidCredentials),
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
            RefreshError::Invalid(cause) => Self::new(ErrorCode::InvalidGrant).cause(cause),
            // No session of /auth is bound to a key.
            RefreshError::Bound | RefreshError::OtherKey | RefreshError::Key(_) => {
                Self::new(ErrorCode::InvalidGrant).cause(error)
            }
            RefreshError::Contended => Self::new(ErrorCode::DatabaseUnavailable).cause(error),
            RefreshError::Keys(error) => error.into(),
            RefreshError::Sign(error) => error.into(),
            RefreshError::Store(error) => error.into(),
        }
    }
}

impl From<SignUpError> for Problem {
    fn from(error: SignUpError) -> Self {
        match error {
            SignUpError::Closed => Self::new(ErrorCode::RegistrationClosed),
            SignUpError::TooManyAttempts(error) => error.into(),
            SignUpError::Password(error) => error.into(),
            SignUpError::Store(error) => error.into(),
        }
    }
}

impl From<CreateUserError> for Problem {
    fn from(error: CreateUserError) -> Self {
        match error {
            CreateUserError::EmailTaken => Self::new(ErrorCode::EmailTaken),
            CreateUserError::Authority(error) => error.into(),
            CreateUserError::Password(error) => error.into(),
            CreateUserError::Store(error) => error.into(),
        }
    }
}

impl From<ChangePasswordError> for Problem {
    fn from(error: ChangePasswordError) -> Self {
        match error {
            ChangePasswordError::WrongPassword => Self::new(ErrorCode::WrongPassword),
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
            SetPasswordError::NotFound => Self::new(ErrorCode::NotFound),
            SetPasswordError::Authority(error) => error.into(),
            SetPasswordError::Password(error) => error.into(),
            SetPasswordError::Store(error) => error.into(),
        }
    }
}

impl From<UserError> for Problem {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound => Self::new(ErrorCode::NotFound),
            UserError::Authority(error) => error.into(),
            UserError::Store(error) => error.into(),
        }
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotFound => Self::new(ErrorCode::NotFound),
            ClientError::Authority(error) => error.into(),
            ClientError::Store(error) => error.into(),
        }
    }
}

impl From<CreateClientError> for Problem {
    fn from(error: CreateClientError) -> Self {
        match error {
            CreateClientError::IdTaken => Self::new(ErrorCode::ClientIdTaken),
            CreateClientError::Invalid(_) => Self::new(ErrorCode::InvalidClientMetadata).detail(error),
            CreateClientError::Authority(error) => error.into(),
            CreateClientError::NoRandomness => Self::new(ErrorCode::Internal).cause(error),
            CreateClientError::Store(error) => error.into(),
        }
    }
}

impl From<UpdateClientError> for Problem {
    fn from(error: UpdateClientError) -> Self {
        match error {
            UpdateClientError::NotFound => Self::new(ErrorCode::NotFound),
            UpdateClientError::Invalid(_) => Self::new(ErrorCode::InvalidClientMetadata).detail(error),
            UpdateClientError::Authority(error) => error.into(),
            UpdateClientError::Store(error) => error.into(),
        }
    }
}

impl From<RotateClientSecretError> for Problem {
    fn from(error: RotateClientSecretError) -> Self {
        match error {
            RotateClientSecretError::NotFound => Self::new(ErrorCode::NotFound),
            RotateClientSecretError::NoSecret => Self::new(ErrorCode::InvalidClientMetadata)
                .detail(format!("token_endpoint_auth_method: {error}")),
            RotateClientSecretError::Overlap => Self::new(ErrorCode::InvalidParameter).detail(error),
            RotateClientSecretError::Authority(error) => error.into(),
            RotateClientSecretError::NoRandomness => Self::new(ErrorCode::Internal).cause(error),
            RotateClientSecretError::Store(error) => error.into(),
        }
    }
}

impl From<RotateKeysError> for Problem {
    fn from(error: RotateKeysError) -> Self {
        match error {
            RotateKeysError::NotEligible { eligible_at, wait_s } => Self::new(ErrorCode::KeyNotEligible)
                .member("eligible_at", rfc3339(eligible_at))
                .header("Retry-After", wait_s)
                .detail("the next key is published, but some verifier may not have fetched it yet"),
            // Only the schedule is told this, and it does not ask by HTTP.
            RotateKeysError::NotDue(due_at) => {
                Self::new(ErrorCode::KeyNotEligible).member("eligible_at", rfc3339(due_at))
            }
            RotateKeysError::Superseded
            | RotateKeysError::NewKey(NewKeyError::Store(StoreError::Duplicate)) => {
                Self::new(ErrorCode::RotationSuperseded)
            }
            RotateKeysError::ReasonMissing => Self::new(ErrorCode::ReasonRequired),
            RotateKeysError::NextUnusable(_) => Self::new(ErrorCode::KeysUnavailable)
                .detail("the next key is in quarantine; it is being replaced")
                .cause(error),
            RotateKeysError::Idempotency(error) => error.into(),
            RotateKeysError::Read(error) => error.into(),
            RotateKeysError::Store(StoreError::Duplicate) => Self::new(ErrorCode::RotationSuperseded),
            RotateKeysError::Store(error) | RotateKeysError::NewKey(NewKeyError::Store(error)) => {
                error.into()
            }
            RotateKeysError::NewKey(error) => Self::new(ErrorCode::KeysUnavailable).cause(error),
        }
    }
}

impl From<RevokeKeyError> for Problem {
    fn from(error: RevokeKeyError) -> Self {
        match error {
            RevokeKeyError::NotFound => Self::new(ErrorCode::NotFound),
            RevokeKeyError::Superseded
            | RevokeKeyError::Store(StoreError::Duplicate)
            | RevokeKeyError::NewKey(NewKeyError::Store(StoreError::Duplicate)) => {
                Self::new(ErrorCode::RotationSuperseded)
            }
            RevokeKeyError::Idempotency(error) => error.into(),
            RevokeKeyError::Read(error) => error.into(),
            RevokeKeyError::Store(error) | RevokeKeyError::NewKey(NewKeyError::Store(error)) => error.into(),
            RevokeKeyError::NewKey(error) => Self::new(ErrorCode::KeysUnavailable).cause(error),
        }
    }
}

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::Reused => Self::new(ErrorCode::IdempotencyKeyReused),
            IdempotencyError::Store(error) => error.into(),
        }
    }
}

impl From<ReadKeysError> for Problem {
    fn from(error: ReadKeysError) -> Self {
        match error {
            ReadKeysError::Set(error) => Self::new(ErrorCode::KeysUnavailable).cause(error),
            ReadKeysError::Store(error) => error.into(),
        }
    }
}
