//! `/oauth2`: what OAuth and OpenID Connect clients use, and where they send their users. Errors are RFC 6749's, except on pages
//! that people see.

pub mod client;
pub mod device_authorization;
pub mod error;
pub mod introspect;
pub mod par;
pub mod register;
pub mod revoke;
pub mod token;
pub mod userinfo;
