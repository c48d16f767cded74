use chrono::{DateTime, TimeDelta, Utc};

use super::{Client, ClientAuthMethod, GrantType, InvalidClient, LoginUri, LogoutUri, RedirectUri};
use crate::domain::{ClientId, DisplayName, OAuthCode, OAuthError, Scopes};

/// What an application says of itself when it registers (RFC 7591 section 2), as far as anybody listens.
#[derive(Clone, Debug, Default)]
pub struct ClientMetadata {
    pub redirect_uris: Vec<String>,
    pub auth_method: Option<String>,
    pub grant_types: Option<Vec<String>>,
    pub response_types: Option<Vec<String>>,
    pub name: Option<String>,
    pub scope: Option<String>,
    pub post_logout_redirect_uris: Vec<String>,
    pub backchannel_logout_uri: Option<String>,
    pub backchannel_logout_session_required: bool,
    pub dpop_bound_access_tokens: bool,
    pub initiate_login_uri: Option<String>,
}

/// What every such client is, whatever it says.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationLimits<'a> {
    /// This server's own audience. A stranger's tokens are good for userinfo, and for no service.
    pub audience: &'a str,
    /// The server's life of access tokens.
    pub longest: TimeDelta,
}

impl ClientMetadata {
    /// The grants a stranger may use: none without a user, and none whose user may be somewhere else than the application, which
    /// nothing but the user's attention would keep from being a trap (RFC 8628 section 5.4).
    const GRANTS: [GrantType; 2] = [GrantType::AuthorizationCode, GrantType::RefreshToken];
    const CODE: &'static str = "code";

    /// The client that is registered: what cannot be granted is left out (RFC 7591 section 2), and what nothing is left of is
    /// refused. Its users are always asked.
    pub fn into_client(
        self,
        id: ClientId,
        limits: RegistrationLimits<'_>,
        now: DateTime<Utc>,
    ) -> Result<Client, OAuthError> {
        if self.response_types.is_some_and(|types| types.iter().all(|one| one != Self::CODE)) {
            return Err(unfit("response_types: only code is supported"));
        }
        // What says nothing is by the RFC's word a client of the code grant alone.
        let asked =
            self.grant_types.unwrap_or_else(|| vec![GrantType::AuthorizationCode.as_str().to_owned()]);
        let grant_types = asked.iter().filter_map(|name| GrantType::parse(name));
        let grant_types = grant_types.filter(|grant| Self::GRANTS.contains(grant)).collect();
        // Keys are taken from operators only: a key set is not part of what a stranger may say.
        let method = self.auth_method.as_deref().and_then(ClientAuthMethod::parse);
        let method = method.filter(|method| *method != ClientAuthMethod::PrivateKeyJwt);
        let named = self.name.as_deref().unwrap_or(id.as_str());
        let name = DisplayName::parse(named).map_err(|error| unfit(format!("client_name: {error}")))?;
        let scopes = match self.scope.as_deref() {
            None => Scopes::of_users(),
            Some(written) => {
                let asked =
                    Scopes::parse(written).map_err(|_| unfit("scope: these are not all scope tokens"))?;
                asked.intersection(&Scopes::of_users())
            }
        };
        if scopes.is_empty() {
            return Err(unfit("scope: none of these can be asked for"));
        }
        let redirect_uris =
            self.redirect_uris.iter().map(|uri| RedirectUri::parse(uri)).collect::<Result<_, _>>();
        let after = self.post_logout_redirect_uris.iter().map(|uri| RedirectUri::parse(uri));
        let told_at = self.backchannel_logout_uri.as_deref().map(LogoutUri::parse).transpose();
        let begun_at = self.initiate_login_uri.as_deref().map(LoginUri::parse).transpose();
        let client = Client {
            grant_types,
            redirect_uris: redirect_uris.map_err(|error| redirect(format!("redirect_uris: {error}")))?,
            post_logout_redirect_uris: after
                .collect::<Result<_, _>>()
                .map_err(|error| unfit(format!("post_logout_redirect_uris: {error}")))?,
            scopes,
            audiences: vec![limits.audience.to_owned()],
            backchannel_logout_uri: told_at
                .map_err(|error| unfit(format!("backchannel_logout_uri: {error}")))?,
            backchannel_logout_session_required: self.backchannel_logout_session_required,
            dpop_bound_access_tokens: self.dpop_bound_access_tokens,
            initiate_login_uri: begun_at.map_err(|error| unfit(format!("initiate_login_uri: {error}")))?,
            ..Client::new(id, name, method.unwrap_or(ClientAuthMethod::SecretBasic), now)
        };
        client.check(limits.longest).map_err(|error| match error {
            InvalidClient::NoRedirectUri | InvalidClient::TooMany("redirect_uris") => {
                redirect(format!("redirect_uris: {error}"))
            }
            other => unfit(format!("{}: {other}", other.member())),
        })?;
        Ok(client)
    }

    /// The same for one that is registered. Whether it keeps a secret was decided then.
    pub fn into_changed(self, before: &Client, limits: RegistrationLimits<'_>) -> Result<Client, OAuthError> {
        let after = self.into_client(before.id.clone(), limits, before.created_at)?;
        let auth_method = match after.is_public() == before.is_public() {
            true => after.auth_method,
            false => before.auth_method,
        };
        Ok(Client { auth_method, ..after })
    }
}

fn unfit(text: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::new(OAuthCode::InvalidClientMetadata, text)
}

fn redirect(text: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::new(OAuthCode::InvalidRedirectUri, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RegistrationLimits<'static> =
        RegistrationLimits { audience: "chancery", longest: TimeDelta::minutes(10) };

    fn least() -> ClientMetadata {
        ClientMetadata { redirect_uris: texts(&["https://app.test/cb"]), ..ClientMetadata::default() }
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|one| (*one).to_owned()).collect()
    }

    fn registered(metadata: ClientMetadata) -> Result<Client, &'static str> {
        let id = ClientId::parse("c-1").unwrap();
        metadata.into_client(id, LIMITS, DateTime::UNIX_EPOCH).map_err(|error| error.code.as_str())
    }

    #[test]
    fn whatever_a_stranger_says_it_is_a_strangers_client() {
        let client = registered(least()).unwrap();
        assert_eq!(client.grant_types, [GrantType::AuthorizationCode].into());
        assert_eq!((client.name.as_str(), client.auth_method), ("c-1", ClientAuthMethod::SecretBasic));
        assert_eq!(
            (&client.scopes, client.audiences.as_slice()),
            (&Scopes::of_users(), &["chancery".to_owned()][..])
        );
        assert!(client.require_consent && client.require_pkce);
        let greedy = ClientMetadata {
            grant_types: Some(texts(&[
                "client_credentials",
                "implicit",
                "urn:ietf:params:oauth:grant-type:token-exchange",
                "refresh_token",
                "authorization_code",
            ])),
            response_types: Some(texts(&["token", "code"])),
            scope: Some("openid keys:rotate orders:write".to_owned()),
            auth_method: Some("private_key_jwt".to_owned()),
            ..least()
        };
        let client = registered(greedy).unwrap();
        assert_eq!(client.grant_types, ClientMetadata::GRANTS.into());
        assert_eq!(client.scopes.to_string(), "openid");
        assert_eq!(client.auth_method, ClientAuthMethod::SecretBasic);
        assert!(client.require_consent && client.exchange_audiences.is_empty());
    }

    #[test]
    fn what_nothing_is_left_of_is_refused() {
        for bad in [
            &[][..],
            &["http://app.test/cb"],
            &["https://app.test/cb#x"],
            &["javascript:x"],
            &["https://a.test/"; 51],
        ] {
            let metadata = ClientMetadata { redirect_uris: texts(bad), ..ClientMetadata::default() };
            assert_eq!(registered(metadata).unwrap_err(), "invalid_redirect_uri", "{bad:?}");
        }
        let bad = [
            ClientMetadata { grant_types: Some(texts(&["client_credentials"])), ..least() },
            ClientMetadata { grant_types: Some(texts(&["refresh_token"])), ..least() },
            ClientMetadata { grant_types: Some(vec![]), ..least() },
            ClientMetadata { response_types: Some(texts(&["token"])), ..least() },
            ClientMetadata { response_types: Some(vec![]), ..least() },
            ClientMetadata { scope: Some("keys:read".to_owned()), ..least() },
            ClientMetadata { scope: Some("\"".to_owned()), ..least() },
            ClientMetadata { name: Some("a\nb".to_owned()), ..least() },
            ClientMetadata { post_logout_redirect_uris: texts(&["x"]), ..least() },
            ClientMetadata { backchannel_logout_uri: Some("com.app:/out".to_owned()), ..least() },
            ClientMetadata { initiate_login_uri: Some("http://127.0.0.1/begin".to_owned()), ..least() },
        ];
        for metadata in bad {
            assert_eq!(registered(metadata.clone()).unwrap_err(), "invalid_client_metadata", "{metadata:?}");
        }
    }

    #[test]
    fn a_secret_neither_comes_nor_goes_by_a_change() {
        let with = |method: &str| ClientMetadata { auth_method: Some(method.to_owned()), ..least() };
        let (secret, public) = (registered(least()).unwrap(), registered(with("none")).unwrap());
        let changed =
            |before: &Client, method| with(method).into_changed(before, LIMITS).unwrap().auth_method;
        assert_eq!(changed(&secret, "none"), ClientAuthMethod::SecretBasic);
        assert_eq!(changed(&secret, "client_secret_post"), ClientAuthMethod::SecretPost);
        assert_eq!(changed(&public, "client_secret_post"), ClientAuthMethod::None);
    }
}
