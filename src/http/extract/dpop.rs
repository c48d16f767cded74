use actix_web::HttpRequest;
use actix_web::http::header;

use crate::flows::sessions::{ShownProof, ShownToken};
use crate::http::problem::{Code, Problem};
use crate::http::scheme::Scheme;

/// What the request's DPoP headers hold. One that is no text is no proof either.
pub fn shown_proof(request: &HttpRequest) -> ShownProof {
    let text = |value: &header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    ShownProof {
        texts: request.headers().get_all("dpop").map(text).collect(),
        method: request.method().to_string(),
        path: request.path().to_owned(),
    }
}

/// The token of the one `Authorization` header, and how it is shown. Tokens in the query or the body are not read.
pub fn shown_token(request: &HttpRequest) -> Result<(Scheme, ShownToken), Problem> {
    let mut given = request.headers().get_all(header::AUTHORIZATION);
    let value = match (given.next(), given.next()) {
        (Some(value), None) => value.to_str().map_err(|_| Problem::new(Code::InvalidToken))?,
        (Some(_), Some(_)) => return Err(Problem::new(Code::InvalidToken)),
        (None, _) => return Err(Problem::new(Code::TokenRequired)),
    };
    let (scheme, token) = value.split_once(' ').ok_or_else(|| Problem::new(Code::TokenRequired))?;
    let text = token.trim_start().to_owned();
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok((Scheme::Bearer, ShownToken { text, proof: None }))
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Ok((Scheme::Dpop, ShownToken { text, proof: Some(shown_proof(request)) }))
    } else {
        Err(Problem::new(Code::TokenRequired))
    }
}
