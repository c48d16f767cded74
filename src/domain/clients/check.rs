use chrono::TimeDelta;

use super::ClientKeys;
use super::{Client, ClientAuthMethod, GrantType};
use crate::domain::scope;

/// Why a client cannot be registered so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClient {
    #[error("must not be empty")]
    NoGrant,
    #[error("authorization_code needs at least one redirect URI")]
    NoRedirectUri,
    #[error("private_key_jwt needs a key set, and no other method has one")]
    Keys,
    #[error("refresh_token goes with authorization_code or with the device code")]
    RefreshAlone,
    #[error("client_credentials and token-exchange need a client that can keep a secret")]
    PublicService,
    #[error(
        "only a client that keeps a secret and asks for `openid` may do without PKCE (OAuth 2.1 section 7.6)"
    )]
    PkceNeeded,
    #[error("must be at least 1 s and must not exceed the server's tokens.access_token_ttl")]
    AccessLife,
    #[error("must be between 0 and 60 s")]
    RefreshGrace,
    #[error("an audience is 1 to 200 printable characters without space")]
    Audience,
    #[error("at most 2000 characters together")]
    ScopesTooLong,
    #[error("an audience is 1 to 200 printable characters without space")]
    ExchangeAudience,
    /// Of this member.
    #[error("at most 50")]
    TooMany(&'static str),
}

impl InvalidClient {
    /// What is wrong, by its name in RFC 7591 or our own.
    pub fn member(self) -> &'static str {
        match self {
            Self::NoGrant | Self::RefreshAlone => "grant_types",
            Self::NoRedirectUri => "redirect_uris",
            Self::Keys => "jwks",
            Self::PublicService => "token_endpoint_auth_method",
            Self::PkceNeeded => "require_pkce",
            Self::AccessLife => "access_token_life",
            Self::RefreshGrace => "refresh_grace",
            Self::Audience => "audience",
            Self::ScopesTooLong => "scope",
            Self::ExchangeAudience => "exchange_audiences",
            Self::TooMany(member) => member,
        }
    }
}

impl Client {
    /// Redirect URIs, audiences and scopes, of each.
    pub const MOST: usize = 50;

    /// Whether it may be registered as it is. `longest` is the server's own life of access tokens: keys are kept for that
    /// long after they stop signing, and for no longer.
    pub fn check(&self, longest: TimeDelta) -> Result<(), InvalidClient> {
        let is_web = self.may(GrantType::AuthorizationCode);
        if self.grant_types.is_empty() {
            return Err(InvalidClient::NoGrant);
        }
        if is_web && self.redirect_uris.is_empty() {
            return Err(InvalidClient::NoRedirectUri);
        }
        if self.keys.is_some() != (self.auth_method == ClientAuthMethod::PrivateKeyJwt) {
            return Err(InvalidClient::Keys);
        }
        if self.may(GrantType::RefreshToken) && !is_web && !self.may(GrantType::DeviceCode) {
            return Err(InvalidClient::RefreshAlone);
        }
        let is_service = self.may(GrantType::ClientCredentials) || self.may(GrantType::TokenExchange);
        if is_service && self.is_public() {
            return Err(InvalidClient::PublicService);
        }
        if !self.require_pkce && (self.is_public() || !self.scopes.contains(scope::OPENID)) {
            return Err(InvalidClient::PkceNeeded);
        }
        if self.access_token_ttl.is_some_and(|life| life < TimeDelta::seconds(1) || life > longest) {
            return Err(InvalidClient::AccessLife);
        }
        if self.refresh_grace.is_some_and(|grace| grace < TimeDelta::zero() || grace > TimeDelta::minutes(1))
        {
            return Err(InvalidClient::RefreshGrace);
        }
        let is_audience = |text: &String| {
            (1..=200).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"')
        };
        if !self.audiences.iter().all(is_audience) {
            return Err(InvalidClient::Audience);
        }
        if !self.exchange_audiences.iter().all(is_audience) {
            return Err(InvalidClient::ExchangeAudience);
        }
        let counts = [
            ("redirect_uris", self.redirect_uris.len()),
            ("post_logout_redirect_uris", self.post_logout_redirect_uris.len()),
            ("audience", self.audiences.len()),
            ("exchange_audiences", self.exchange_audiences.len()),
            ("scope", self.scopes.len()),
            ("jwks", self.keys.as_ref().map_or(0, ClientKeys::len)),
        ];
        // A token says them all, and has a size.
        if self.scopes.to_string().len() > 2000 {
            return Err(InvalidClient::ScopesTooLong);
        }
        match counts.into_iter().find(|(_, count)| *count > Self::MOST) {
            Some((member, _)) => Err(InvalidClient::TooMany(member)),
            None => Ok(()),
        }
    }
}
