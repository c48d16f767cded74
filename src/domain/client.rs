use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use url::{Host, Url};
use uuid::Uuid;

use super::{ClientKeys, DisplayName, OAuthCode, OAuthError, Parameters, Scopes, scope};

/// An OAuth client's identifier (RFC 6749 section 2.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(String);

/// The text is no client identifier of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a client_id has 1 to 64 of A-Z, a-z, 0-9, `.`, `_`, `~` and `-`, begins with a letter or digit, and is neither \
     `chancery` nor a UUID"
)]
pub struct InvalidClientId;

impl ClientId {
    /// The client on whose behalf `/auth` issues tokens: Chancery's own login API.
    pub fn first_party() -> Self {
        Self("chancery".to_owned())
    }

    /// What a browser that is signed in at the hosted pages is. Nobody can register it, and it is issued no tokens.
    pub fn browser() -> Self {
        Self("chancery:browser".to_owned())
    }

    /// An identifier a client may be registered under.
    pub fn parse(text: &str) -> Result<Self, InvalidClientId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
        let is_good = (1..=64).contains(&text.len())
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && text.bytes().all(allowed)
            && text != Self::first_party().as_str()
            // A service's `sub` is its client_id, and nobody else's (RFC 9700 section 4.15).
            && uuid::Uuid::try_parse(text).is_err();
        if is_good { Ok(Self(text.to_owned())) } else { Err(InvalidClientId) }
    }

    /// An identifier for a client whose name nobody has chosen.
    pub fn random() -> Self {
        let (_, random) = Uuid::new_v4().as_u64_pair();
        Self(format!("c-{random:016x}"))
    }

    /// The identifier as a row carries it.
    pub fn from_row(id: String) -> Self {
        Self(id)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_first_party(&self) -> bool {
        *self == Self::first_party()
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! names {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident $text:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$what])* $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }
    };
}

names! {
    /// How a client proves who it is at the token endpoint (RFC 7591 section 2, `token_endpoint_auth_method`).
    ClientAuthMethod {
        /// It cannot: a public client, such as an app on a phone or a page in a browser.
        None "none",
        SecretBasic "client_secret_basic",
        SecretPost "client_secret_post",
        /// By a JWT under a key of its own, of which only the public half is here (RFC 7523 section 2.2).
        PrivateKeyJwt "private_key_jwt",
    }
}

names! {
    /// By what a client may get tokens (RFC 7591 section 2, `grant_types`).
    GrantType {
        AuthorizationCode "authorization_code",
        ClientCredentials "client_credentials",
        RefreshToken "refresh_token",
        /// For a service that acts for a user towards another one (RFC 8693).
        TokenExchange "urn:ietf:params:oauth:grant-type:token-exchange",
        /// For devices that have no browser (RFC 8628).
        DeviceCode "urn:ietf:params:oauth:grant-type:device_code",
    }
}

/// Where an answer may be sent to. Compared as a string (RFC 9700 section 4.1.3), except the port of a loopback address
/// (RFC 8252 section 7.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUri(String);

/// Why a text is no redirect URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedirectUri {
    #[error("it is no absolute URI")]
    NotAbsolute,
    #[error("it has a fragment")]
    Fragment,
    #[error("it has a user name or password")]
    UserInfo,
    #[error("it has white space or control characters, or over 1000 characters")]
    Characters,
    #[error("http is for loopback addresses only; use https")]
    PlainHttp,
    #[error(
        "a scheme of one's own is a domain name in reverse, such as com.example.app (RFC 8252 section 7.1)"
    )]
    Scheme,
    #[error("it must be https, or http for a loopback address")]
    NotWeb,
    #[error("it must be https")]
    NotHttps,
}

impl RedirectUri {
    const LOOPBACK: [&'static str; 2] = ["http://127.0.0.1", "http://[::1]"];

    pub fn parse(text: &str) -> Result<Self, InvalidRedirectUri> {
        let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b));
        if !is_plain || text.len() > 1000 {
            return Err(InvalidRedirectUri::Characters);
        }
        let url = Url::parse(text).map_err(|_| InvalidRedirectUri::NotAbsolute)?;
        if text.contains('#') {
            return Err(InvalidRedirectUri::Fragment);
        }
        // The parser drops a user name that is empty, so the text itself is looked at.
        let authority =
            text.split_once("//").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or(""));
        if !url.username().is_empty() || url.password().is_some() || authority.contains('@') {
            return Err(InvalidRedirectUri::UserInfo);
        }
        // A browser would make what lacks the slashes relative to this server.
        let is_web = matches!(url.scheme(), "http" | "https");
        let after = text.get(url.scheme().len() + 1..).unwrap_or_default();
        if is_web && (!after.starts_with("//") || after.starts_with("///")) {
            return Err(InvalidRedirectUri::NotAbsolute);
        }
        match url.scheme() {
            "https" => {}
            "http" => {
                let is_here = match url.host() {
                    Some(Host::Domain(name)) => name == "localhost",
                    Some(Host::Ipv4(ip)) => ip.is_loopback(),
                    Some(Host::Ipv6(ip)) => ip.is_loopback(),
                    None => false,
                };
                if !is_here {
                    return Err(InvalidRedirectUri::PlainHttp);
                }
            }
            own if own.contains('.') => {}
            _ => return Err(InvalidRedirectUri::Scheme),
        }
        Ok(Self(text.to_owned()))
    }

    pub fn from_row(stored: String) -> Self {
        Self(stored)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request that names `presented` means this one.
    pub fn admits(&self, presented: &str) -> bool {
        if self.0 == presented {
            return true;
        }
        Self::LOOPBACK.iter().any(|host| {
            let rest = |uri| Some(without_port(str::strip_prefix(uri, host)?)).flatten();
            rest(&self.0).is_some_and(|registered| rest(presented) == Some(registered))
        })
    }

    /// What a page's `form-action` must name so that a form may end there: an origin, or a scheme.
    pub fn origin(&self) -> String {
        let url = Url::parse(&self.0).ok();
        let web = url.as_ref().filter(|url| matches!(url.scheme(), "http" | "https"));
        match (web, url.as_ref()) {
            (Some(url), _) => url.origin().ascii_serialization(),
            (None, Some(url)) => format!("{}:", url.scheme()),
            (None, None) => String::new(),
        }
    }
}

/// Where a client hears that a session of its has ended (OpenID Connect Back-Channel Logout section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutUri(String);

impl LogoutUri {
    pub fn parse(text: &str) -> Result<Self, InvalidRedirectUri> {
        let uri = RedirectUri::parse(text)?;
        let is_web = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if is_web { Ok(Self(uri.0)) } else { Err(InvalidRedirectUri::NotWeb) }
    }

    pub fn from_row(stored: String) -> Self {
        Self(stored)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where somebody else may send a user who is to sign in to a client (OpenID Connect Core section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginUri(String);

impl LoginUri {
    pub fn parse(text: &str) -> Result<Self, InvalidRedirectUri> {
        let uri = RedirectUri::parse(text)?;
        let is_https = Url::parse(text).is_ok_and(|url| url.scheme() == "https");
        if is_https { Ok(Self(uri.0)) } else { Err(InvalidRedirectUri::NotHttps) }
    }

    pub fn from_row(stored: String) -> Self {
        Self(stored)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What follows host and port. `None` where neither a port nor a path follows, but more of a host.
fn without_port(rest: &str) -> Option<&str> {
    let path = match rest.strip_prefix(':') {
        Some(after) => {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let port: u16 = after[..digits].parse().ok()?;
            if port == 0 {
                return None;
            }
            &after[digits..]
        }
        None => rest,
    };
    (path.is_empty() || path.starts_with(['/', '?'])).then_some(path)
}

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
    pub access_life: Option<TimeDelta>,
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
    pub access_life: Option<Option<TimeDelta>>,
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
            ("access_token_life", self.access_life.is_some()),
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
    #[error("must be at least 1 s and must not exceed the server's tokens.access_life")]
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
            access_life: None,
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
            access_life: change.access_life.unwrap_or(self.access_life),
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

    /// Whom its tokens are for, given the resource a request names.
    pub fn audience_for(&self, resource: Option<&str>) -> Vec<String> {
        match resource {
            Some(resource) => vec![resource.to_owned()],
            None => self.audiences.iter().take(1).cloned().collect(),
        }
    }

    /// The resource a request names (RFC 8707 section 2), if the client's tokens may be for it. `servers` are the audiences of
    /// clients that have none of their own.
    pub fn resource<'p>(
        &self,
        parameters: &'p Parameters,
        servers: &[String],
    ) -> Result<Option<&'p str>, OAuthError> {
        match parameters.get("resource") {
            Some(asked) if !self.audiences_or(servers).iter().any(|audience| audience == asked) => {
                Err(OAuthError::new(OAuthCode::InvalidTarget, "the client has no tokens for this resource"))
            }
            asked => Ok(asked),
        }
    }

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
        if self.access_life.is_some_and(|life| life < TimeDelta::seconds(1) || life > longest) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uri(text: &str) -> RedirectUri {
        RedirectUri::parse(text).unwrap()
    }

    #[test]
    fn a_redirect_uri_is_compared_as_a_string() {
        let registered = uri("https://app.example.com/cb?x=1");
        assert!(registered.admits("https://app.example.com/cb?x=1"));
        for other in [
            "https://app.example.com/cb",
            "https://app.example.com/cb?x=1&y=2",
            "https://app.example.com/CB?x=1",
            "https://APP.example.com/cb?x=1",
            "https://app.example.com:443/cb?x=1",
            "https://app.example.com/./cb?x=1",
            "https://app.example.com/cb?x=%31",
            "https://app.example.com/cb?x=1#",
            "https://user@app.example.com/cb?x=1",
            "https://app.example.com.evil.test/cb?x=1",
            "http://app.example.com/cb?x=1",
            " https://app.example.com/cb?x=1",
        ] {
            assert!(!registered.admits(other), "{other}");
        }
    }

    #[test]
    fn of_a_loopback_address_the_port_may_differ_and_nothing_else() {
        for registered in ["http://127.0.0.1/cb", "http://127.0.0.1:8000/cb"] {
            let registered = uri(registered);
            for good in ["http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb"] {
                assert!(registered.admits(good), "{good}");
            }
            for bad in [
                "http://127.0.0.1:0/cb",
                "http://127.0.0.1:65536/cb",
                "http://127.0.0.1:/cb",
                "http://127.0.0.1:80@evil.test/cb",
                "http://127.0.0.1.evil.test/cb",
                "http://127.0.0.1evil/cb",
                "http://127.0.0.2:80/cb",
                "http://localhost:80/cb",
                "http://[::1]:80/cb",
                "https://127.0.0.1:80/cb",
                "http://127.0.0.1:80/cb2",
                "http://127.0.0.1:80/cb?x",
            ] {
                assert!(!registered.admits(bad), "{bad}");
            }
        }
        assert!(uri("http://[::1]/cb").admits("http://[::1]:9/cb"));
        assert!(!uri("http://localhost/cb").admits("http://localhost:9/cb"));
        assert!(!uri("http://localhost/cb").admits("http://127.0.0.1/cb"));
    }

    #[test]
    fn what_is_no_redirect_uri_cannot_be_registered() {
        for bad in [
            "",
            "/cb",
            "https:",
            "https:a.test/cb",
            "https:/a.test/cb",
            "https:///a.test/cb",
            "https://a.test/#x",
            "https://a.test/#",
            "https://u:p@a.test/",
            "https://@a.test/",
            "http://a.test/cb",
            "http://10.0.0.1/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp:/cb",
            "https://a.test/ cb",
            "https://a.test/\ncb",
            "https://a.test/caf\u{e9}",
        ] {
            assert!(RedirectUri::parse(bad).is_err(), "{bad}");
        }
        for good in [
            "https://a.test",
            "http://localhost:3000/cb",
            "http://[::1]/",
            "com.example.app:/cb",
            "https://a.test/cb?x=1",
        ] {
            assert!(RedirectUri::parse(good).is_ok(), "{good}");
        }
        assert_eq!(uri("https://a.test:8443/cb?x").origin(), "https://a.test:8443");
        assert_eq!(uri("com.example.app:/cb").origin(), "com.example.app:");
    }

    #[test]
    fn a_client_is_told_at_an_address_of_the_web() {
        for bad in [
            "com.example.app:/out",
            "http://a.test/out",
            "https://a.test/out#x",
            "https://u@a.test/out",
            "/out",
            "",
        ] {
            assert!(LogoutUri::parse(bad).is_err(), "{bad}");
        }
        for good in ["https://a.test/out?x=1", "http://127.0.0.1:8000/out", "http://localhost/out"] {
            assert_eq!(LogoutUri::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn a_client_id_can_be_written_anywhere() {
        for bad in [
            "",
            "chancery",
            "chancery:browser",
            "01931c4e-0000-7000-8000-000000000000",
            "a b",
            "-a",
            "a/b",
            &"a".repeat(65),
            "caf\u{e9}",
        ] {
            assert!(ClientId::parse(bad).is_err(), "{bad}");
        }
        assert!(ClientId::parse("grafana.prod-1_x~").is_ok());
        let (one, other) = (ClientId::random(), ClientId::random());
        assert!(one != other && ClientId::parse(one.as_str()).is_ok() && one.as_str().len() == 18);
    }

    proptest! {
        #[test]
        fn only_the_registered_uri_is_admitted(presented in "\\PC{0,60}", port in 1u16..) {
            let registered = uri("http://127.0.0.1/cb");
            let with_port = format!("http://127.0.0.1:{port}/cb");
            prop_assert!(registered.admits(&with_port));
            if registered.admits(&presented) {
                prop_assert!(presented.starts_with("http://127.0.0.1") && presented.ends_with("/cb"));
            }
            prop_assert!(RedirectUri::parse(&presented).is_err() || !presented.contains(char::is_whitespace));
        }
    }
}
