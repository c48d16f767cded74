//! `/oauth2`: the endpoints that OAuth and OpenID Connect clients call. Errors are those of RFC 6749. The pages that clients send
//! their users to are in `http/hosted`.

pub mod client;
pub mod device_authorization;
pub mod error;
pub mod introspect;
pub mod par;
pub mod register;
pub mod revoke;
pub mod token;
pub mod userinfo;
