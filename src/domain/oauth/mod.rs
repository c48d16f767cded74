//! Authorization requests, codes, devices, consents, token exchange, and notices of ended sessions.

mod authorization;
mod authorization_code;
mod backchannel_logout;
mod consent;
mod device_grant;
mod exchange;

pub use authorization::{
    AuthorizationRequest, ClaimsRequest, CodeChallenge, CodeVerifier, NonRedirectableError, Prompt,
    RedirectTarget, RequestRules, ResponseMode, UserClaim,
};
pub use authorization_code::AuthorizationCode;
pub use backchannel_logout::BackchannelLogout;
pub use consent::Consent;
pub use device_grant::{DeviceGrant, DeviceStatus};
pub use exchange::ExchangeRequest;
