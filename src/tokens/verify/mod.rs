use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use uuid::Uuid;

use super::access::{AccessClaims, Act};
use super::{IdClaims, TYP, id_token};
use crate::domain::keys::SigningAlgorithm;
use crate::keys::Keyring;

/// Ours are about 900 characters. What is far longer is not worth decoding.
const MAX_LENGTH: usize = 8 * 1024;

/// What a token must say to be accepted here.
pub struct Expected<'a> {
    pub issuer: &'a str,
    /// `None` where the caller looks at it, as introspection does.
    pub audience: Option<&'a str>,
    /// How far `exp` and `nbf` may be passed; at most 60 s.
    pub leeway: TimeDelta,
}

/// Why a token is refused. For our logs; the caller only ever hears `invalid_token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("not a JWT of ours")]
    Malformed,
    #[error("no key of this kid signs or has signed")]
    UnknownKey,
    #[error("the key of this kid does not sign yet, as far as this node knows")]
    WaitingKey,
    #[error("the algorithm is not the key's")]
    WrongAlgorithm,
    #[error("the signature does not fit")]
    BadSignature,
    #[error("another issuer's token")]
    WrongIssuer,
    #[error("a token for another audience")]
    WrongAudience,
    #[error("expired")]
    Expired,
    #[error("not valid yet")]
    NotYetValid,
}

/// Our tokens carry these header members and no others, so `crit`, `jwk`, `jku`, `x5c` and the like are refused for
/// being there at all (RFC 8725 sections 3.10 and 3.11; RFC 7515 section 4.1.11).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: String,
    typ: String,
    kid: String,
}

/// The one function that accepts an access token: one algorithm, the key's own; issuer, audience, `typ`, times. Whether
/// session and user still live is for the caller to ask.
pub fn verify(
    token: &str,
    keyring: &Keyring,
    expected: &Expected<'_>,
    now: DateTime<Utc>,
) -> Result<AccessClaims, TokenError> {
    if token.len() > MAX_LENGTH {
        return Err(TokenError::Malformed);
    }
    let header = strict_header(token, TYP)?;
    let (algorithm, key) = keyring.verifying(&header.kid, now).ok_or(TokenError::UnknownKey)?;
    if header.alg != algorithm.as_str() {
        return Err(TokenError::WrongAlgorithm);
    }
    let claims =
        jsonwebtoken::decode::<AccessClaims>(token, key, &signature_only(algorithm)).map_err(refusal)?.claims;
    if !is_somebodys(&claims) {
        return Err(TokenError::Malformed);
    }
    check(&claims, expected, now)?;
    // Last, so that only a token that is good in all else makes anyone look again.
    if keyring.is_waiting(&header.kid) {
        return Err(TokenError::WaitingKey);
    }
    Ok(claims)
}

/// Reads an ID token that a client shows as a hint: genuine and ours, of whatever age, for one of our clients (OpenID Connect
/// RP-Initiated Logout section 2). Its key may have left the set since, for people stay signed in for longer than tokens live. It
/// proves nothing about whoever shows it.
pub fn verify_hint(token: &str, keyring: &Keyring, issuer: &str) -> Result<IdClaims, TokenError> {
    if token.len() > MAX_LENGTH {
        return Err(TokenError::Malformed);
    }
    let header = strict_header(token, id_token::TYP)?;
    if keyring.is_waiting(&header.kid) {
        return Err(TokenError::WaitingKey);
    }
    let (algorithm, key) = keyring.remembered(&header.kid).ok_or(TokenError::UnknownKey)?;
    if header.alg != algorithm.as_str() {
        return Err(TokenError::WrongAlgorithm);
    }
    let claims =
        jsonwebtoken::decode::<IdClaims>(token, &key, &signature_only(algorithm)).map_err(refusal)?.claims;
    if claims.iss == issuer { Ok(claims) } else { Err(TokenError::WrongIssuer) }
}

fn strict_header(token: &str, typ: &str) -> Result<StrictHeader, TokenError> {
    let mut parts = token.split('.');
    let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Malformed);
    };
    let bytes = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Malformed)?;
    let header: StrictHeader = serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)?;
    if header.typ == typ { Ok(header) } else { Err(TokenError::Malformed) }
}

/// The library checks the signature under exactly one algorithm. Claims are checked in [`check`]: the library takes a
/// missing `iss` or `aud` for a good one, and knows no clock but the machine's.
fn signature_only(algorithm: SigningAlgorithm) -> Validation {
    let mut validation = Validation::new(of_the_library(algorithm));
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

/// Whether what is before the last dot is signed by this key. Not by the library's reading of the header, which knows no `Ed25519`.
pub(super) fn is_signed_by(text: &str, key: &DecodingKey, algorithm: SigningAlgorithm) -> bool {
    let Some((signed, signature)) = text.rsplit_once('.') else { return false };
    jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, of_the_library(algorithm))
        .unwrap_or(false)
}

fn of_the_library(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::Rs256 => Algorithm::RS256,
        SigningAlgorithm::Ps256 => Algorithm::PS256,
        SigningAlgorithm::Es256 => Algorithm::ES256,
        SigningAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

fn refusal(error: jsonwebtoken::errors::Error) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::BadSignature,
        ErrorKind::InvalidAlgorithm => TokenError::WrongAlgorithm,
        _ => TokenError::Malformed,
    }
}

/// A user's token has a session; a service account's has none, and says so by naming itself. Who acts for a user is the client
/// the token was issued to.
fn is_somebodys(claims: &AccessClaims) -> bool {
    let is_theirs = |act: &Act| act.sub == claims.client_id && act.is_short();
    match claims.sid {
        Some(_) => {
            claims.sub.parse::<Uuid>().is_ok()
                && claims.auth_time.is_some()
                && claims.act.as_ref().is_none_or(is_theirs)
        }
        None => {
            claims.sub == claims.client_id
                && claims.auth_time.is_none()
                && claims.roles.is_none()
                && claims.act.is_none()
        }
    }
}

fn check(claims: &AccessClaims, expected: &Expected<'_>, now: DateTime<Utc>) -> Result<(), TokenError> {
    if claims.iss != expected.issuer {
        return Err(TokenError::WrongIssuer);
    }
    if expected.audience.is_some_and(|audience| !claims.aud.contains(audience)) {
        return Err(TokenError::WrongAudience);
    }
    let (now, leeway) = (now.timestamp(), expected.leeway.num_seconds());
    if claims.exp.saturating_add(leeway) <= now {
        return Err(TokenError::Expired);
    }
    let valid_from = claims.nbf.map_or(claims.iat, |nbf| nbf.max(claims.iat));
    if valid_from.saturating_sub(leeway) > now {
        return Err(TokenError::NotYetValid);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
