//! The checks of an authorization request, in the order in which they are made. The return address is known by then, so
//! whatever is wrong is told to the client.

use chrono::TimeDelta;

use super::{AuthorizationRequest, ClaimsRequest, CodeChallenge, ResponseMode};
use crate::domain::clients::{Client, GrantType};
use crate::domain::{OAuthCode, OAuthError, Parameters, Scopes, Thumbprint, scope};

/// Longest `state`, hint and the like that is taken.
const MAX_LENGTH: usize = 2048;
/// It comes back in the ID token, which must be good as a hint.
const MAX_NONCE: usize = 512;
/// The request travels in a page's form.
const MAX_TOTAL: usize = 8192;
/// Longest `max_age` that means anything.
const MAX_AGE: i64 = 10 * 366 * 86_400;

type Check = fn(&mut AuthorizationRequest, &Client, &Parameters) -> Result<(), OAuthError>;

pub const CHECKS: &[(&str, Check)] = &[
    ("nothing is said twice", each_once),
    ("nothing is too long", lengths),
    ("no request objects", no_request_objects),
    ("the client may use codes", client_may_use_codes),
    ("response_type", response_type),
    ("response_mode", response_mode),
    ("scope", scopes),
    ("claims", claims),
    ("resource", resources),
    ("code_challenge", code_challenge),
    ("dpop_jkt", dpop_jkt),
    ("prompt", prompt),
    ("max_age", max_age),
    ("nonce and hints", nonce_and_hints),
];

fn each_once(_: &mut AuthorizationRequest, _: &Client, parameters: &Parameters) -> Result<(), OAuthError> {
    parameters.each_once()
}

fn lengths(_: &mut AuthorizationRequest, _: &Client, parameters: &Parameters) -> Result<(), OAuthError> {
    if parameters.iter().any(|(_, value)| value.len() > MAX_LENGTH) {
        return Err(OAuthError::invalid_request("a parameter has over 2048 bytes"));
    }
    let total: usize = parameters.iter().map(|(name, value)| name.len() + value.len()).sum();
    if total > MAX_TOTAL {
        return Err(OAuthError::invalid_request("the parameters have over 8192 bytes together"));
    }
    Ok(())
}

/// OpenID Connect Core section 6: such servers say so, and ask nobody for anything.
fn no_request_objects(
    _: &mut AuthorizationRequest,
    _: &Client,
    parameters: &Parameters,
) -> Result<(), OAuthError> {
    let refused = |code| Err(OAuthError::new(code, "give the parameters themselves"));
    if parameters.get("request").is_some() {
        return refused(OAuthCode::RequestNotSupported);
    }
    if parameters.get("request_uri").is_some() {
        return refused(OAuthCode::RequestUriNotSupported);
    }
    if parameters.get("registration").is_some() {
        return refused(OAuthCode::RegistrationNotSupported);
    }
    Ok(())
}

fn client_may_use_codes(
    _: &mut AuthorizationRequest,
    client: &Client,
    _: &Parameters,
) -> Result<(), OAuthError> {
    match client.may(GrantType::AuthorizationCode) {
        true => Ok(()),
        false => {
            Err(OAuthError::new(OAuthCode::UnauthorizedClient, "the client is not registered for codes"))
        }
    }
}

fn response_type(
    _: &mut AuthorizationRequest,
    _: &Client,
    parameters: &Parameters,
) -> Result<(), OAuthError> {
    match parameters.require("response_type")? {
        "code" => Ok(()),
        _ => Err(OAuthError::new(OAuthCode::UnsupportedResponseType, "response_type must be code")),
    }
}

/// A fragment is for tokens, and there are none in answers to this endpoint.
fn response_mode(
    _: &mut AuthorizationRequest,
    _: &Client,
    parameters: &Parameters,
) -> Result<(), OAuthError> {
    let known = |asked: &str| ResponseMode::ALL.iter().any(|mode| mode.as_str() == asked);
    match parameters.get("response_mode") {
        None => Ok(()),
        Some(asked) if known(asked) => Ok(()),
        Some(_) => Err(OAuthError::invalid_request("response_mode must be query or form_post")),
    }
}

fn scopes(
    request: &mut AuthorizationRequest,
    client: &Client,
    parameters: &Parameters,
) -> Result<(), OAuthError> {
    request.scopes = client.asked_scopes(parameters)?;
    Ok(())
}

/// What is asked for by name is granted, agreed to and kept as the scope that has it. A request that is not OpenID Connect's has
/// no such parameter.
fn claims(
    request: &mut AuthorizationRequest,
    client: &Client,
    parameters: &Parameters,
) -> Result<(), OAuthError> {
    let Some(written) = parameters.get("claims").filter(|_| request.is_openid()) else { return Ok(()) };
    let mut claims = ClaimsRequest::parse(written)?;
    claims.retain(|scope| client.scopes.contains(scope));
    let named: Vec<&str> = claims.userinfo.union(&claims.id_token).map(|claim| claim.scope()).collect();
    request.scopes = request.scopes.union(&Scopes::from_claim(&named.join(" ")));
    request.claims = claims;
    Ok(())
}

fn resources(
    request: &mut AuthorizationRequest,
    client: &Client,
    parameters: &Parameters,
) -> Result<(), OAuthError> {
    let resources = client.resources(parameters, &request.rules.audience)?;
    request.resources = resources.into_iter().map(str::to_owned).collect();
    Ok(())
}

fn code_challenge(
    request: &mut AuthorizationRequest,
    client: &Client,
    parameters: &Parameters,
) -> Result<(), OAuthError> {
    let wrong = |text| Err(OAuthError::invalid_request(text));
    match (parameters.get("code_challenge"), parameters.get("code_challenge_method")) {
        (Some(challenge), Some("S256")) => {
            let Some(challenge) = CodeChallenge::parse(challenge) else {
                return wrong("code_challenge is no SHA-256 in base64url");
            };
            request.challenge = Some(challenge);
        }
        (Some(_), _) => return wrong("code_challenge_method must be S256"),
        (None, Some(_)) => return wrong("code_challenge is missing"),
        (None, None) if client.require_pkce => return wrong("code_challenge is missing (RFC 7636)"),
        // Who may do without it has the nonce in its place (OAuth 2.1 section 7.6), which OpenID Connect leaves to the client.
        (None, None) if !request.is_openid() => {
            return wrong("without code_challenge (RFC 7636) there must be scope openid and a nonce");
        }
        (None, None) if request.rules.needs_nonce && parameters.get("nonce").is_none() => {
            return wrong("without code_challenge (RFC 7636) there must be a nonce");
        }
        (None, None) => {}
    }
    Ok(())
}

fn dpop_jkt(
    request: &mut AuthorizationRequest,
    _: &Client,
    parameters: &Parameters,
) -> Result<(), OAuthError> {
    let Some(written) = parameters.get("dpop_jkt") else { return Ok(()) };
    let wrong = || OAuthError::invalid_request("dpop_jkt is no SHA-256 thumbprint in base64url");
    request.dpop_jkt = Some(Thumbprint::parse(written).ok_or_else(wrong)?);
    Ok(())
}

fn prompt(request: &mut AuthorizationRequest, _: &Client, parameters: &Parameters) -> Result<(), OAuthError> {
    for word in parameters.get("prompt").unwrap_or_default().split(' ').filter(|word| !word.is_empty()) {
        match word {
            "none" => request.prompt.none = true,
            "login" | "select_account" => request.prompt.login = true,
            "consent" => request.prompt.consent = true,
            _ => {
                return Err(OAuthError::invalid_request(
                    "prompt must be none, login, consent or select_account",
                ));
            }
        }
    }
    if request.prompt.none && (request.prompt.login || request.prompt.consent) {
        return Err(OAuthError::invalid_request("prompt none goes with nothing else"));
    }
    Ok(())
}

fn max_age(
    request: &mut AuthorizationRequest,
    _: &Client,
    parameters: &Parameters,
) -> Result<(), OAuthError> {
    let Some(written) = parameters.get("max_age") else { return Ok(()) };
    let seconds = written.parse::<i64>().ok().filter(|seconds| (0..=MAX_AGE).contains(seconds));
    let seconds = seconds.ok_or_else(|| OAuthError::invalid_request("max_age is no number of seconds"))?;
    request.max_age = Some(TimeDelta::seconds(seconds));
    Ok(())
}

fn nonce_and_hints(
    request: &mut AuthorizationRequest,
    _: &Client,
    parameters: &Parameters,
) -> Result<(), OAuthError> {
    if parameters.get("nonce").is_some_and(|nonce| nonce.len() > MAX_NONCE) {
        return Err(OAuthError::invalid_request("nonce has over 512 bytes"));
    }
    request.nonce = parameters.get("nonce").map(str::to_owned);
    request.login_hint = parameters.get("login_hint").map(str::to_owned);
    request.id_token_hint = parameters.get("id_token_hint").map(str::to_owned);
    // Nobody is there to be asked, and nobody has said that they may be named.
    if request.id_token_hint.is_some() && !request.scopes.contains(scope::OPENID) {
        return Err(OAuthError::invalid_request("id_token_hint goes with scope openid"));
    }
    Ok(())
}
