use chrono::{DateTime, Utc};

use super::{Client, ClientAuthMethod, GrantType};
use crate::domain::{ClientId, DisplayName, OAuthCode, OAuthError, Parameters, Scopes};

impl Client {
    /// A client that signs users in and asks for their consent.
    pub fn new(id: ClientId, name: DisplayName, auth_method: ClientAuthMethod, now: DateTime<Utc>) -> Self {
        Self { name, ..Self::with_defaults(id, auth_method, now) }
    }

    pub fn is_public(&self) -> bool {
        self.auth_method == ClientAuthMethod::None
    }

    /// Whether it has a secret to show.
    pub fn has_secret(&self) -> bool {
        matches!(self.auth_method, ClientAuthMethod::SecretBasic | ClientAuthMethod::SecretPost)
    }

    pub fn may(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }

    /// Whom its tokens may be for: its own list, or the server's.
    pub fn audiences_or<'a>(&'a self, servers: &'a [String]) -> &'a [String] {
        if self.audiences.is_empty() { servers } else { &self.audiences }
    }

    /// The scopes a request asks for. What the client may not have is an error, not silently less (RFC 6749 section 3.3 allows
    /// both). Without a scope it gets what it may have, except to be there when the user has left, and who the user is, which it
    /// must ask for by name. There is no empty scope (section 3.3), and nothing a user could agree to.
    pub fn asked_scopes(&self, parameters: &Parameters) -> Result<Scopes, OAuthError> {
        let wrong = |text| Err(OAuthError::new(OAuthCode::InvalidScope, text));
        let asked = match parameters.get("scope") {
            None => self.scopes.without(&Scopes::of_users()),
            Some(written) => Scopes::parse(written).or(wrong("this is no scope"))?,
        };
        match asked {
            asked if asked.is_empty() => wrong("name a scope"),
            asked if !self.scopes.includes(&asked) => wrong("the client may not ask for one of these scopes"),
            asked => Ok(asked),
        }
    }

    /// Whom its tokens are for, given the resources a request names.
    pub fn audience_for(&self, resources: &[impl ToString]) -> Vec<String> {
        match resources {
            [] => self.audiences.iter().take(1).cloned().collect(),
            named => named.iter().map(ToString::to_string).collect(),
        }
    }

    /// The resources a request names (RFC 8707 section 2), if the client's tokens may be for all of them. `servers` are the
    /// audiences of clients that have none of their own.
    pub fn resources<'p>(
        &self,
        parameters: &'p Parameters,
        servers: &[String],
    ) -> Result<Vec<&'p str>, OAuthError> {
        let (asked, known) = (parameters.all("resource"), self.audiences_or(servers));
        match asked.iter().all(|resource| known.iter().any(|audience| audience == resource)) {
            true => Ok(asked),
            false => {
                Err(OAuthError::new(OAuthCode::InvalidTarget, "the client has no tokens for this resource"))
            }
        }
    }
}
