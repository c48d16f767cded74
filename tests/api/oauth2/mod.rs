mod authorize;
mod clients;
mod code;
mod introspect;
mod logout;
mod metadata;
mod refresh;
pub mod support;
mod userinfo;
