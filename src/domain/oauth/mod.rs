//! The rules of OAuth and OpenID Connect requests: required parameters and possible outcomes.
//!
//! Owns authorization requests and their checks, codes, devices, consents, token exchange (RFC 8693), and back-channel logouts.
//! States of a device: waiting, allowed, denied, used, expired. States of a code: waiting, used, expired. Sealing and signing
//! are in `crate::tokens`.

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
