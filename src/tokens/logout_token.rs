use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::sign::sign;
use crate::keys::{Signer, SignerError};

/// The media type of a logout token. No ID token and no access token passes for one (OpenID Connect Back-Channel Logout section
/// 2.4).
const TYP: &str = "logout+jwt";

/// The claims of a logout token. A `nonce` must not be among them, so that none passes for an ID token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutClaims {
    pub iss: String,
    pub sub: String,
    /// The client.
    pub aud: String,
    /// Seconds since 1970, as `exp`.
    pub iat: i64,
    pub exp: i64,
    pub jti: Uuid,
    pub events: LogoutEvents,
    /// As in the ID tokens of the session that has ended.
    pub sid: String,
}

/// What has happened: exactly this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutEvents {
    #[serde(rename = "http://schemas.openid.net/event/backchannel-logout")]
    logout: Nothing,
}

/// An empty object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Nothing {}

/// A signed logout token. Shown to its client and to nobody else, so it cannot be printed.
pub struct LogoutToken(String);

impl LogoutToken {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LogoutToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogoutToken(..)")
    }
}

pub fn issue_logout_token(signer: &Signer, claims: &LogoutClaims) -> Result<LogoutToken, SignerError> {
    sign(signer, TYP, claims).map(LogoutToken)
}
