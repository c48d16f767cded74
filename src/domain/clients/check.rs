use chrono::TimeDelta;

use super::{Client, ClientAuthMethod, ClientSetting, GrantType};
use crate::domain::scope;

pub(super) const MIN_ACCESS_TOKEN_TTL_S: u32 = 1;
pub(super) const MAX_REFRESH_GRACE_S: u32 = 60;

/// Why a client's settings do not go together.
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
    AccessTokenTtl,
    #[error("must be between 0 and 60 s")]
    RefreshGrace,
    #[error("an audience is 1 to 200 printable characters without space")]
    Audience,
    #[error("at most 2000 characters together")]
    ScopesTooLong,
    #[error("an audience is 1 to 200 printable characters without space")]
    ExchangeAudience,
    /// The setting has too many items.
    #[error("at most 50")]
    TooMany(&'static str),
}

impl InvalidClient {
    /// The name of the setting that is wrong.
    pub fn member(self) -> &'static str {
        match self {
            Self::NoGrant | Self::RefreshAlone => "grant_types",
            Self::NoRedirectUri => "redirect_uris",
            Self::Keys => "jwks",
            Self::PublicService => "token_endpoint_auth_method",
            Self::PkceNeeded => "require_pkce",
            Self::AccessTokenTtl => "access_token_ttl",
            Self::RefreshGrace => "refresh_grace",
            Self::Audience => "audience",
            Self::ScopesTooLong => "scope",
            Self::ExchangeAudience => "exchange_audiences",
            Self::TooMany(member) => member,
        }
    }
}

impl Client {
    /// Maximum length of every list, and of the scopes and the keys.
    pub const MAX_ITEMS: usize = 50;

    /// Checks that the settings go together. `longest` is the server's lifetime of access tokens: a retired signing key stays
    /// published for that time, so a longer token would outlive its key.
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
        let shortest = TimeDelta::seconds(MIN_ACCESS_TOKEN_TTL_S.into());
        if self.access_token_ttl.is_some_and(|ttl| ttl < shortest || ttl > longest) {
            return Err(InvalidClient::AccessTokenTtl);
        }
        let longest_grace = TimeDelta::seconds(MAX_REFRESH_GRACE_S.into());
        if self.refresh_grace.is_some_and(|grace| grace < TimeDelta::zero() || grace > longest_grace) {
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
        // Every scope is written into the token, and a token must fit into a header.
        if self.scopes.to_string().len() > 2000 {
            return Err(InvalidClient::ScopesTooLong);
        }
        match ClientSetting::ALL.iter().find(|setting| (setting.count)(self) > Self::MAX_ITEMS) {
            Some(setting) => Err(InvalidClient::TooMany(setting.name)),
            None => Ok(()),
        }
    }
}
