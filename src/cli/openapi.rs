use super::{Failure, print_json};
use crate::http::openapi_document;

pub fn run() -> Result<(), Failure> {
    print_json(&openapi_document())
}
