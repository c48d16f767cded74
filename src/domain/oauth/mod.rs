//! Authorization requests, codes, devices, consents, token exchange, and notices of ended sessions.

mod authorization;
mod authorization_code;
mod consent;
mod device_grant;
mod exchange;
mod logout_notice;

pub use authorization::{
    AuthorizationRequest, ClaimsRequest, CodeChallenge, CodeVerifier, NonRedirectableError, Prompt,
    RedirectTarget, RequestRules, ResponseMode, UserClaim,
};
pub use authorization_code::AuthorizationCode;
pub use consent::Consent;
pub use device_grant::{DeviceGrant, DeviceStatus};
pub use exchange::ExchangeRequest;
pub use logout_notice::LogoutNotice;
