use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::ClientKeys;
use super::{Client, GrantType, LogoutUri, RedirectUri};
use crate::domain::{DisplayName, Scopes};

/// What is changed of a client. `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct ClientChange {
    pub name: Option<DisplayName>,
    pub keys: Option<ClientKeys>,
    pub grant_types: Option<BTreeSet<GrantType>>,
    pub redirect_uris: Option<Vec<RedirectUri>>,
    pub post_logout_redirect_uris: Option<Vec<RedirectUri>>,
    pub scopes: Option<Scopes>,
    pub audiences: Option<Vec<String>>,
    /// `Some(None)`: the server's.
    pub access_token_ttl: Option<Option<TimeDelta>>,
    /// `Some(None)`: the server's.
    pub refresh_grace: Option<Option<TimeDelta>>,
    pub require_pkce: Option<bool>,
    pub require_consent: Option<bool>,
    /// `Some(None)`: it is not told any more.
    pub backchannel_logout_uri: Option<Option<LogoutUri>>,
    pub backchannel_logout_session_required: Option<bool>,
    pub exchange_audiences: Option<Vec<String>>,
    pub require_pushed: Option<bool>,
    pub dpop_bound_access_tokens: Option<bool>,
}

impl ClientChange {
    /// What it touches, by the names of RFC 7591 and our own.
    pub fn members(&self) -> Vec<&'static str> {
        let touched = [
            ("client_name", self.name.is_some()),
            ("jwks", self.keys.is_some()),
            ("grant_types", self.grant_types.is_some()),
            ("redirect_uris", self.redirect_uris.is_some()),
            ("post_logout_redirect_uris", self.post_logout_redirect_uris.is_some()),
            ("scope", self.scopes.is_some()),
            ("audience", self.audiences.is_some()),
            ("access_token_life", self.access_token_ttl.is_some()),
            ("refresh_grace", self.refresh_grace.is_some()),
            ("require_pkce", self.require_pkce.is_some()),
            ("require_consent", self.require_consent.is_some()),
            ("backchannel_logout_uri", self.backchannel_logout_uri.is_some()),
            ("backchannel_logout_session_required", self.backchannel_logout_session_required.is_some()),
            ("exchange_audiences", self.exchange_audiences.is_some()),
            ("require_pushed_authorization_requests", self.require_pushed.is_some()),
            ("dpop_bound_access_tokens", self.dpop_bound_access_tokens.is_some()),
        ];
        touched.into_iter().filter_map(|(name, is_touched)| is_touched.then_some(name)).collect()
    }
}

impl Client {
    pub fn with(self, change: ClientChange) -> Self {
        Self {
            name: change.name.unwrap_or(self.name),
            keys: change.keys.or(self.keys),
            grant_types: change.grant_types.unwrap_or(self.grant_types),
            redirect_uris: change.redirect_uris.unwrap_or(self.redirect_uris),
            post_logout_redirect_uris: change
                .post_logout_redirect_uris
                .unwrap_or(self.post_logout_redirect_uris),
            scopes: change.scopes.unwrap_or(self.scopes),
            audiences: change.audiences.unwrap_or(self.audiences),
            access_token_ttl: change.access_token_ttl.unwrap_or(self.access_token_ttl),
            refresh_grace: change.refresh_grace.unwrap_or(self.refresh_grace),
            require_pkce: change.require_pkce.unwrap_or(self.require_pkce),
            require_consent: change.require_consent.unwrap_or(self.require_consent),
            backchannel_logout_uri: change.backchannel_logout_uri.unwrap_or(self.backchannel_logout_uri),
            backchannel_logout_session_required: change
                .backchannel_logout_session_required
                .unwrap_or(self.backchannel_logout_session_required),
            exchange_audiences: change.exchange_audiences.unwrap_or(self.exchange_audiences),
            require_pushed: change.require_pushed.unwrap_or(self.require_pushed),
            dpop_bound_access_tokens: change
                .dpop_bound_access_tokens
                .unwrap_or(self.dpop_bound_access_tokens),
            ..self
        }
    }
}
