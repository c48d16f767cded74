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

    /// Whether the client authenticates with a secret.
    pub fn has_secret(&self) -> bool {
        matches!(self.auth_method, ClientAuthMethod::SecretBasic | ClientAuthMethod::SecretPost)
    }

    pub fn may(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }

    /// The audiences that the client's tokens may have: the client's list, or the server's.
    pub fn audiences_or<'a>(&'a self, servers: &'a [String]) -> &'a [String] {
        if self.audiences.is_empty() { servers } else { &self.audiences }
    }

    /// The scopes of a request. A scope that the client is not allowed is an error (RFC 6749 section 3.3 also allows to leave it
    /// out). A request without scopes gets the client's allowed scopes without those of `Scopes::of_users`, which a request must
    /// name. An empty scope is an error (section 3.3).
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

    /// The audience of a token, given the resources of the request.
    pub fn audience_for(&self, resources: &[impl ToString]) -> Vec<String> {
        match resources {
            [] => self.audiences.iter().take(1).cloned().collect(),
            named => named.iter().map(ToString::to_string).collect(),
        }
    }

    /// The resources of a request (RFC 8707 section 2), each an allowed audience. `servers` are the audiences of a client
    /// without its own list.
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
