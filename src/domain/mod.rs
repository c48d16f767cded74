//! Words and rules: what an e-mail, a password, a session, a signing key is, and what may happen to it when.
//!
//! Owns no I/O, no async, no database row and no HTTP; every rule takes `now`. Called by every room above.

mod audit;
mod authorization;
mod authorization_code;
mod client;
mod client_id;
mod client_keys;
mod consent;
mod consumer;
mod device_grant;
mod display_name;
mod email;
mod exchange;
mod grant;
mod ids;
mod impact;
mod logout_notice;
mod oauth_error;
mod parameters;
mod password;
mod registration;
mod roles;
mod scopes;
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
pub use authorization_code::AuthorizationCode;
pub use client::{
    Client, ClientAuthMethod, ClientChange, GrantType, InvalidClient, InvalidRedirectUri, LoginUri,
    LogoutUri, RedirectUri,
};
pub use client_id::{ClientId, InvalidClientId};
pub use client_keys::{ClientKey, ClientKeys};
pub use consent::Consent;
pub use consumer::{Consumer, KnownConsumer, Sighting};
pub use device_grant::{DeviceGrant, DeviceStatus};
pub use display_name::{DisplayName, InvalidName};
pub use email::{Email, InvalidEmail};
pub use exchange::ExchangeRequest;
pub use grant::Grant;
pub use ids::{SessionId, UserId, time_ordered_id};
pub use impact::{Impact, IssuedTokens};
pub use logout_notice::LogoutNotice;
pub use oauth_error::{OAuthCode, OAuthError};
pub use parameters::Parameters;
pub use password::{CandidatePassword, NewPassword, PasswordHash, PasswordRejected};
pub use registration::{ClientMetadata, RegistrationLimits};
pub use roles::{Authority, BeyondAuthority, InvalidRole, Role, RolePolicy, Roles};
pub use scopes::{InvalidScope, Scope, Scopes, scope};
pub use session::{Session, SessionLimits, Verdict};
pub use signing_key::{
    Eligibility, KeyPolicy, KeySet, KeySetBroken, KeyStatus, Kid, Revocation, Rotation, SigningAlgorithm,
    SigningKey, Trigger,
};
pub use throttle::{SourcePolicy, ThrottlePolicy};
pub use thumbprint::Thumbprint;
pub use user::{User, UserStatus};
