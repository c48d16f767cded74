//! HTTP: the URL table, the middleware, extractors, and one file per resource.
//!
//! A handler has four moves: parse, call one flow, shape the answer, return. What a request may do is said by the types of
//! its arguments. No SQL and no key material here. Called by the server.

mod admin;
mod auth;
mod client_schemas;
mod context;
mod extract;
mod forwarded;
mod hosted;
mod middleware;
mod oauth2;
mod openapi;
mod ops;
mod pages;
mod problem;
mod routes;
mod scheme;
mod well_known;

pub use middleware::middleware;
pub use openapi::{Description, document as openapi_document};
pub use problem::{ErrorCode, Problem};
pub use routes::{Endpoint, Listener, configure, url_table};

/// The shared state, as handlers receive it.
type AppData = actix_web::web::Data<crate::app::App>;
