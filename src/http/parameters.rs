//! Path and query parameters, read by the handler after it is known that the caller may ask.

use actix_web::HttpRequest;
use actix_web::web::Query;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::problem::{Code, Problem};

/// What is no id is the id of nothing.
pub fn parse_id(text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| Problem::new(Code::NotFound))
}

pub fn parse_query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    let query = Query::from_query(request.query_string());
    query.map(Query::into_inner).map_err(|error| Problem::new(Code::InvalidParameter).detail(error))
}
