use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::keys::{Signer, SignerError};

/// The claims of an access token: the JWT profile of RFC 9068, and `sid` and `roles`. Nothing personal beyond that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    pub iss: String,
    pub sub: Uuid,
    pub aud: Audience,
    /// Seconds since 1970, as `iat`, `nbf` and `auth_time`.
    pub exp: i64,
    pub iat: i64,
    pub nbf: i64,
    pub jti: Uuid,
    pub client_id: String,
    pub scope: String,
    pub sid: Uuid,
    pub auth_time: i64,
    pub roles: Vec<String>,
    pub amr: Vec<String>,
}

/// Whom a token is for: one service as a string, several as a list (RFC 7519 section 4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    pub fn of(audiences: &[String]) -> Self {
        match audiences {
            [one] => Self::One(one.clone()),
            many => Self::Many(many.to_vec()),
        }
    }

    pub fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

/// A signed access token. Shown to its owner and to nobody else, so it cannot be printed.
pub struct AccessToken(String);

impl AccessToken {
    pub(super) fn composed(text: String) -> Self {
        Self(text)
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

/// Signs the claims: header `alg`, `typ: at+jwt`, `kid`, in JWS compact serialisation (RFC 7515 section 7.1).
pub fn issue(signer: &Signer, claims: &AccessClaims) -> Result<AccessToken, SignerError> {
    let header = Header { alg: signer.alg().as_str(), typ: super::TYP, kid: signer.kid().as_str() };
    // Strings, integers and lists of them always serialise.
    let header = serde_json::to_vec(&header).unwrap_or_default();
    let payload = serde_json::to_vec(claims).unwrap_or_default();
    let mut token = String::with_capacity((header.len() + payload.len()) * 4 / 3 + 700);
    URL_SAFE_NO_PAD.encode_string(header, &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = signer.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(AccessToken(token))
}
