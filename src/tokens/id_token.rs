use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::sign::sign;
use crate::domain::keys::SigningAlgorithm;
use crate::keys::{Signer, SignerError};

/// The media type of an ID token. Access tokens have another, so neither passes for the other (RFC 8725 section 3.11).
pub(super) const TYP: &str = "JWT";

/// The claims of an ID token (OpenID Connect Core section 2): who signed in, when and how. Name and address come from userinfo,
/// unless the client has asked for them here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdClaims {
    pub iss: String,
    pub sub: String,
    /// The client.
    pub aud: String,
    /// Seconds since 1970, as `iat` and `auth_time`.
    pub exp: i64,
    pub iat: i64,
    pub auth_time: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_hash: Option<String>,
    /// Hints from before it existed have none.
    #[serde(default)]
    pub acr: String,
    pub amr: Vec<String>,
    /// The client's session, by which it is told of its end (OpenID Connect Back-Channel Logout section 2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
}

/// A signed ID token. Shown to its client and to nobody else, so it cannot be printed.
pub struct IdToken(String);

impl IdToken {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdToken(..)")
    }
}

pub fn issue_id_token(signer: &Signer, claims: &IdClaims) -> Result<IdToken, SignerError> {
    sign(signer, TYP, claims).map(IdToken)
}

/// The left half of the access token's digest, by the digest of the ID token's algorithm (OpenID Connect Core section
/// 3.1.3.6). For EdDSA with Ed25519 that is SHA-512.
pub fn at_hash(alg: SigningAlgorithm, access_token: &str) -> String {
    let with = match alg {
        SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 | SigningAlgorithm::Es256 => &digest::SHA256,
        SigningAlgorithm::EdDsa => &digest::SHA512,
    };
    let whole = digest::digest(with, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&whole.as_ref()[..whole.as_ref().len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_hash_is_the_specifications() {
        // The example of OpenID Connect Core, appendix A.3.
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(at_hash(SigningAlgorithm::Rs256, token), "77QmUPtjPfzWtF2AnpK9RQ");
        assert_eq!(at_hash(SigningAlgorithm::EdDsa, token).len(), 43);
    }
}
