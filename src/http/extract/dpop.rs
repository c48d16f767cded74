use actix_web::HttpRequest;
use actix_web::http::header;

use crate::flows::sessions::{PresentedProof, PresentedToken};
use crate::http::problem::{ErrorCode, Problem};
use crate::http::scheme::Scheme;

/// What the request's DPoP headers hold. One that is no text is no proof either.
pub fn presented_proof(request: &HttpRequest) -> PresentedProof {
    let text = |value: &header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    PresentedProof {
        texts: request.headers().get_all("dpop").map(text).collect(),
        method: request.method().to_string(),
        path: request.path().to_owned(),
    }
}

/// The token of the one `Authorization` header, and how it is shown. Tokens in the query or the body are not read.
pub fn presented_token(request: &HttpRequest) -> Result<(Scheme, PresentedToken), Problem> {
    let mut given = request.headers().get_all(header::AUTHORIZATION);
    let value = match (given.next(), given.next()) {
        (Some(value), None) => value.to_str().map_err(|_| Problem::new(ErrorCode::InvalidToken))?,
        (Some(_), Some(_)) => return Err(Problem::new(ErrorCode::InvalidToken)),
        (None, _) => return Err(Problem::new(ErrorCode::TokenRequired)),
    };
    let (scheme, token) = value.split_once(' ').ok_or_else(|| Problem::new(ErrorCode::TokenRequired))?;
    let text = token.trim_start().to_owned();
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok((Scheme::Bearer, PresentedToken { text, proof: None }))
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Ok((Scheme::Dpop, PresentedToken { text, proof: Some(presented_proof(request)) }))
    } else {
        Err(Problem::new(ErrorCode::TokenRequired))
    }
}
