use actix_web::HttpRequest;
use actix_web::http::header;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::OAuthProblem;
use crate::domain::clients::Client;
use crate::domain::operations::Actor;
use crate::domain::{OAuthError, Parameters};
use crate::flows::clients::{ClientCredentials, Proof, authenticate_client};
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::network::ClientNetwork;

/// A client's own request: who it is, and what it says.
pub struct ClientRequest {
    pub client: Client,
    pub parameters: Parameters,
}

impl ClientRequest {
    /// Reads a form and finds out whose it is (RFC 6749 section 2.3).
    pub async fn read(
        app: &AppData,
        http: &HttpRequest,
        network: &ClientNetwork,
        body: Body,
    ) -> Result<Self, OAuthProblem> {
        let parameters: Parameters = body.form().await?.into_iter().collect();
        parameters.each_once()?;
        let (presented, by_header) = credentials(http, &parameters)?;
        let context = network.audit_context(Actor::Anonymous);
        let client = authenticate_client(app, &presented, &context)
            .await
            .map_err(|error| OAuthProblem::of_client(error, by_header))?;
        Ok(Self { client, parameters })
    }
}

/// RFC 7523 section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What the client shows, and whether it did so by the `Authorization` header. In one way only.
fn credentials(
    http: &HttpRequest,
    parameters: &Parameters,
) -> Result<(ClientCredentials, bool), OAuthProblem> {
    let mut headers = http.headers().get_all(header::AUTHORIZATION);
    let (header, second) = (headers.next(), headers.next());
    let (id, secret) = (parameters.get("client_id"), parameters.get("client_secret"));
    let assertion = assertion(parameters)?;
    let ways = [header.is_some(), second.is_some(), secret.is_some(), assertion.is_some()];
    if ways.into_iter().filter(|way| *way).count() > 1 {
        return Err(OAuthError::invalid_request("the client shows who it is in two ways").into());
    }
    let Some(header) = header else {
        let proof = match (secret, assertion) {
            (Some(secret), _) => Proof::Secret(secret.into()),
            (None, Some(assertion)) => Proof::Assertion(assertion.to_owned()),
            (None, None) => Proof::Nothing,
        };
        // Only an assertion says by itself whose it is.
        if id.is_none() && !matches!(proof, Proof::Assertion(_)) {
            return Err(OAuthProblem::invalid_client(false));
        }
        return Ok((ClientCredentials { id: id.map(str::to_owned), proof }, false));
    };
    let refused = || OAuthProblem::invalid_client(true);
    let (user, password) = header.to_str().ok().and_then(basic).ok_or_else(refused)?;
    if id.is_some_and(|id| id != user) {
        return Err(OAuthError::invalid_request("client_id is not who the header says").into());
    }
    Ok((ClientCredentials { id: Some(user), proof: Proof::Secret(password.into()) }, true))
}

/// What it has signed to prove who it is.
fn assertion(parameters: &Parameters) -> Result<Option<&str>, OAuthProblem> {
    match (parameters.get("client_assertion_type"), parameters.get("client_assertion")) {
        (None, None) => Ok(None),
        (Some(JWT_BEARER), Some(assertion)) => Ok(Some(assertion)),
        (Some(_), Some(_)) => Err(OAuthProblem::invalid_client(false)),
        _ => {
            let text = "client_assertion and client_assertion_type go together";
            Err(OAuthError::invalid_request(text).into())
        }
    }
}

/// User and password of HTTP Basic, each of them form-encoded first (RFC 6749 section 2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((form_decoded(user)?, form_decoded(password)?))
}

fn form_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (rest.next()?, rest.next()?);
                let digit =
                    |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(high)? * 16 + digit(low)?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn basic_is_form_encoded_first() {
        let header = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(basic(&header("a%3Ab:c%25+%2B%C3%A9")), Some(("a:b".to_owned(), "c% +\u{e9}".to_owned())));
        assert_eq!(basic(&header("a:b:c")), Some(("a".to_owned(), "b:c".to_owned())));
        for bad in [
            "Basic",
            "Basic !",
            "Bearer YTpi",
            &header("nocolon"),
            &header("a:%"),
            &header("a:%zz"),
            &header("a:%ff"),
        ] {
            assert_eq!(basic(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(text in "\\PC{0,60}") {
            let _ = basic(&text);
            let _ = basic(&format!("Basic {}", STANDARD.encode(&text)));
        }

        #[test]
        fn what_a_client_encodes_comes_back(user in "\\PC{0,20}", password in "\\PC{0,40}") {
            let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let header = format!("basic {}", STANDARD.encode(format!("{}:{}", encode(&user), encode(&password))));
            prop_assert_eq!(basic(&header), Some((user, password)));
        }
    }
}
