use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::sign::sign;
use crate::domain::Thumbprint;
use crate::keys::{Signer, SignerError};

/// The claims of an access token: the JWT profile of RFC 9068, and `sid` and `roles`. Nothing personal beyond that.
/// A token of a service account has no session and no user: its `sub` is its `client_id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    pub iss: String,
    /// The user's id, or the client's own.
    pub sub: String,
    pub aud: Audience,
    /// Seconds since 1970, as `iat`, `nbf` and `auth_time`.
    pub exp: i64,
    pub iat: i64,
    /// Optional when read: a later release stops writing `nbf`, and its tokens must be valid on a node of this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    pub jti: Uuid,
    pub client_id: String,
    pub scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amr: Option<Vec<String>>,
    /// The key it is bound to, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// Who acts for the user, where that is not the client the session belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
}

/// Who acts for a user, and who did before (RFC 8693 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// The client's id.
    pub sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Self>>,
}

impl Act {
    /// A token that has passed through more hands than this is exchanged no further.
    const MOST: usize = 3;

    /// `None` when they would be too many.
    pub fn by(client_id: &str, earlier: Option<Self>) -> Option<Self> {
        let act = Self { sub: client_id.to_owned(), act: earlier.map(Box::new) };
        act.is_short().then_some(act)
    }

    pub(super) fn is_short(&self) -> bool {
        std::iter::successors(Some(self), |act| act.act.as_deref()).nth(Self::MOST).is_none()
    }
}

/// Of whom the token is good (RFC 7800 section 3.1): who proves to have the key of this thumbprint (RFC 9449 section 6.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    pub jkt: String,
}

impl From<&Thumbprint> for Confirmation {
    fn from(key: &Thumbprint) -> Self {
        Self { jkt: key.as_str().to_owned() }
    }
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

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(one) => std::slice::from_ref(one).iter().map(String::as_str),
            Self::Many(many) => many.iter().map(String::as_str),
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
pub struct AccessToken {
    text: String,
    is_bound: bool,
}

impl AccessToken {
    pub(super) fn composed(text: String) -> Self {
        Self { text, is_bound: false }
    }

    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Its type, as the client is told (RFC 6749 section 7.1, RFC 9449 section 5).
    pub fn kind(&self) -> &'static str {
        if self.is_bound { "DPoP" } else { "Bearer" }
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

/// Signs the claims as an access token (RFC 9068 section 2.1).
pub fn issue(signer: &Signer, claims: &AccessClaims) -> Result<AccessToken, SignerError> {
    let text = sign(signer, super::TYP, claims)?;
    Ok(AccessToken { text, is_bound: claims.cnf.is_some() })
}
