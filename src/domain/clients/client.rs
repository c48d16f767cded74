use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::ClientKeys;
use super::{ClientAuthMethod, GrantType, LoginUri, LogoutUri, RedirectUri};
use crate::domain::{ClientId, DisplayName, OAuthCode, OAuthError, Parameters, Scopes};

/// Who asks for tokens: an application or a service, as it is registered.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent settings, as RFC 7591 and others name them")]
pub struct Client {
    pub id: ClientId,
    pub name: DisplayName,
    pub auth_method: ClientAuthMethod,
    /// By which it proves who it is, if that is how it does.
    pub keys: Option<ClientKeys>,
    pub grant_types: BTreeSet<GrantType>,
    pub redirect_uris: Vec<RedirectUri>,
    pub post_logout_redirect_uris: Vec<RedirectUri>,
    /// All it may ask for.
    pub scopes: Scopes,
    /// Whom its tokens may be for; the first unless it asks for another (RFC 8707). Empty: the server's `tokens.audience`.
    pub audiences: Vec<String>,
    /// Shorter than the server's.
    pub access_token_ttl: Option<TimeDelta>,
    pub refresh_grace: Option<TimeDelta>,
    pub require_pkce: bool,
    /// Whether the user is asked before it gets anything. Not for one's own applications.
    pub require_consent: bool,
    pub backchannel_logout_uri: Option<LogoutUri>,
    /// Whether it tells sessions apart by `sid` when it is told; every logout token has one.
    pub backchannel_logout_session_required: bool,
    /// The services for which it may exchange tokens; the first unless it asks for another.
    pub exchange_audiences: Vec<String>,
    /// Whether it asks for authorization by pushing its requests and in no other way (RFC 9126 section 6).
    pub require_pushed: bool,
    /// Whether it gets no token that is not bound to a key (RFC 9449 section 5.2).
    pub dpop_bound_access_tokens: bool,
    /// Said by clients that register themselves, and told to whoever manages that registration.
    pub initiate_login_uri: Option<LoginUri>,
    pub created_at: DateTime<Utc>,
}

impl Client {
    /// A client that is like most: it signs users in, and tells them what it asks for.
    pub fn new(id: ClientId, name: DisplayName, auth_method: ClientAuthMethod, now: DateTime<Utc>) -> Self {
        Self {
            id,
            name,
            auth_method,
            keys: None,
            grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            scopes: Scopes::of_users(),
            audiences: Vec::new(),
            access_token_ttl: None,
            refresh_grace: None,
            require_pkce: true,
            require_consent: true,
            backchannel_logout_uri: None,
            backchannel_logout_session_required: false,
            exchange_audiences: Vec::new(),
            require_pushed: false,
            dpop_bound_access_tokens: false,
            initiate_login_uri: None,
            created_at: now,
        }
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
