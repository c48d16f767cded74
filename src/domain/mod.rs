//! Words and rules: what an e-mail, a password, a session, a signing key is, and what may happen to it when.
//!
//! Owns no I/O, no async, no database row and no HTTP; every rule takes `now`. Called by every room above.

mod audit;
mod authorization;
mod authorization_code;
mod client;
mod client_keys;
mod consumer;
mod device_grant;
mod email;
mod exchange;
mod impact;
mod logout_notice;
mod oauth_error;
mod parameters;
mod password;
mod registration;
mod roles;
mod session;
mod signing_key;
mod throttle;
mod thumbprint;
mod user;

pub use audit::{Actor, AuditEvent, AuditFilter, AuditRecord, InvalidReason, Origin, Reason};
pub use authorization::{
    AuthorizationRequest, ClaimsRequest, CodeChallenge, CodeVerifier, NoReturn, Prompt, RequestRules,
    ResponseMode, ReturnAddress, UserClaim,
};
pub use authorization_code::{AuthorizationCode, Consent, Grant};
pub use client::{
    Client, ClientAuthMethod, ClientChange, ClientId, GrantType, InvalidClient, InvalidClientId,
    InvalidRedirectUri, LoginUri, LogoutUri, RedirectUri,
};
pub use client_keys::{ClientKey, ClientKeys};
pub use consumer::{Consumer, KnownConsumer, Sighting};
pub use device_grant::{DeviceGrant, DeviceStatus};
pub use email::{Email, InvalidEmail};
pub use exchange::ExchangeRequest;
pub use impact::{Impact, IssuedTokens};
pub use logout_notice::LogoutNotice;
pub use oauth_error::{OAuthCode, OAuthError};
pub use parameters::Parameters;
pub use password::{CandidatePassword, NewPassword, PasswordHash, PasswordRejected};
pub use registration::{ClientMetadata, RegistrationLimits};
pub use roles::{
    Authority, BeyondAuthority, InvalidRole, InvalidScope, Role, RolePolicy, Roles, Scope, Scopes, scope,
};
pub use session::{Session, SessionId, SessionLimits, Verdict, time_ordered_id};
pub use signing_key::{
    Eligibility, KeyPolicy, KeySet, KeySetBroken, KeyStatus, Kid, Revocation, Rotation, SigningAlgorithm,
    SigningKey, Trigger,
};
pub use throttle::{SourcePolicy, ThrottlePolicy};
pub use thumbprint::Thumbprint;
pub use user::{DisplayName, InvalidName, User, UserId, UserStatus};
