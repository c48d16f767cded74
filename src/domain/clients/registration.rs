use chrono::{DateTime, TimeDelta, Utc};

use super::{Client, ClientAuthMethod, GrantType, InvalidClient, SettingValues};
use crate::domain::{ClientId, OAuthCode, OAuthError, Scopes};

/// The metadata that a client sends to register itself (RFC 7591 section 2).
#[derive(Clone, Debug, Default)]
pub struct ClientMetadata {
    pub auth_method: Option<String>,
    pub response_types: Option<Vec<String>>,
    pub settings: SettingValues,
}

/// The limits of every client that registers itself.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationLimits<'a> {
    /// This server's own audience: tokens of self-registered clients are for userinfo and for no service.
    pub audience: &'a str,
    /// The server's lifetime of access tokens.
    pub longest: TimeDelta,
}

impl ClientMetadata {
    /// The grant types of self-registered clients. Every token needs a user, and the device grant is left out because it lends
    /// itself to phishing (RFC 8628 section 5.4).
    const GRANTS: [GrantType; 2] = [GrantType::AuthorizationCode, GrantType::RefreshToken];
    const CODE: &'static str = "code";

    /// A client before its metadata is applied. The default grant type is the one of RFC 7591 section 2.
    pub fn defaults(id: ClientId, auth_method: ClientAuthMethod, now: DateTime<Utc>) -> Client {
        Client {
            grant_types: [GrantType::AuthorizationCode].into(),
            ..Client::with_defaults(id, auth_method, now)
        }
    }

    /// The client to register. Grant types, scopes and methods that a self-registered client cannot have are left out
    /// (RFC 7591 section 2); metadata without a usable grant type or scope is refused.
    pub fn into_client(
        self,
        id: ClientId,
        limits: RegistrationLimits<'_>,
        now: DateTime<Utc>,
    ) -> Result<Client, OAuthError> {
        if self.response_types.is_some_and(|types| types.iter().all(|one| one != Self::CODE)) {
            return Err(unfit("response_types: only code is supported"));
        }
        // A self-registered client has no key set: `jwks` is for operators only.
        let method = self.auth_method.as_deref().and_then(ClientAuthMethod::parse);
        let method = method.filter(|method| *method != ClientAuthMethod::PrivateKeyJwt);
        let change = self.settings.without_unknown_choices().parse().map_err(|error| match error.name {
            "redirect_uris" => redirect(error.to_string()),
            _ => unfit(error.to_string()),
        })?;
        let client = Self::defaults(id, method.unwrap_or(ClientAuthMethod::SecretBasic), now).with(change);
        let client = Client {
            grant_types: client
                .grant_types
                .iter()
                .copied()
                .filter(|one| Self::GRANTS.contains(one))
                .collect(),
            scopes: client.scopes.intersection(&Scopes::of_users()),
            audiences: vec![limits.audience.to_owned()],
            ..client
        };
        if client.scopes.is_empty() {
            return Err(unfit("scope: none of the scopes is allowed"));
        }
        client.check(limits.longest).map_err(|error| match error {
            InvalidClient::NoRedirectUri | InvalidClient::TooMany("redirect_uris") => {
                redirect(format!("redirect_uris: {error}"))
            }
            other => unfit(format!("{}: {other}", other.member())),
        })?;
        Ok(client)
    }

    /// The client with a replaced registration. A public client stays public, and a confidential client stays confidential.
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
    use crate::domain::clients::{ClientSetting, PlainValue};

    const LIMITS: RegistrationLimits<'static> =
        RegistrationLimits { audience: "chancery", longest: TimeDelta::minutes(10) };

    fn least() -> ClientMetadata {
        with("redirect_uris", list(&["https://app.test/cb"]), ClientMetadata::default())
    }

    fn with(name: &str, value: PlainValue, mut metadata: ClientMetadata) -> ClientMetadata {
        metadata.settings.push(ClientSetting::by_name(name).unwrap(), value);
        metadata
    }

    fn list(items: &[&str]) -> PlainValue {
        PlainValue::List(texts(items))
    }

    fn text(text: &str) -> PlainValue {
        PlainValue::Text(text.to_owned())
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn registered(metadata: ClientMetadata) -> Result<Client, &'static str> {
        let id = ClientId::parse("c-1").unwrap();
        metadata.into_client(id, LIMITS, DateTime::UNIX_EPOCH).map_err(|error| error.code.as_str())
    }

    #[test]
    fn of_several_wrong_values_the_first_setting_is_named() {
        let wrong = [("scope", text("a\"b")), ("redirect_uris", list(&["not a uri"]))];
        for order in [[0, 1], [1, 0]] {
            let metadata = order.into_iter().fold(ClientMetadata::default(), |metadata, at| {
                let (name, value) = &wrong[at];
                with(name, value.clone(), metadata)
            });
            assert_eq!(registered(metadata).unwrap_err(), "invalid_redirect_uri");
        }
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
        let grants = list(&[
            "client_credentials",
            "implicit",
            "urn:ietf:params:oauth:grant-type:token-exchange",
            "refresh_token",
            "authorization_code",
        ]);
        let greedy = with("scope", text("openid keys:rotate orders:write"), least());
        let greedy = ClientMetadata {
            response_types: Some(texts(&["token", "code"])),
            auth_method: Some("private_key_jwt".to_owned()),
            ..with("grant_types", grants, greedy)
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
            let metadata = with("redirect_uris", list(bad), ClientMetadata::default());
            assert_eq!(registered(metadata).unwrap_err(), "invalid_redirect_uri", "{bad:?}");
        }
        let bad = [
            ClientMetadata { response_types: Some(texts(&["token"])), ..least() },
            ClientMetadata { response_types: Some(texts(&[])), ..least() },
            with("grant_types", list(&["client_credentials"]), least()),
            with("grant_types", list(&["refresh_token"]), least()),
            with("grant_types", list(&[]), least()),
            with("scope", text("keys:read"), least()),
            with("scope", text("\""), least()),
            with("client_name", text("a\nb"), least()),
            with("post_logout_redirect_uris", list(&["x"]), least()),
            with("backchannel_logout_uri", text("com.app:/out"), least()),
            with("initiate_login_uri", text("http://127.0.0.1/begin"), least()),
        ];
        for metadata in bad {
            assert_eq!(registered(metadata.clone()).unwrap_err(), "invalid_client_metadata", "{metadata:?}");
        }
    }

    #[test]
    fn a_secret_neither_comes_nor_goes_by_a_change() {
        let by = |method: &str| ClientMetadata { auth_method: Some(method.to_owned()), ..least() };
        let (secret, public) = (registered(least()).unwrap(), registered(by("none")).unwrap());
        let changed = |before: &Client, method| by(method).into_changed(before, LIMITS).unwrap().auth_method;
        assert_eq!(changed(&secret, "none"), ClientAuthMethod::SecretBasic);
        assert_eq!(changed(&secret, "client_secret_post"), ClientAuthMethod::SecretPost);
        assert_eq!(changed(&public, "client_secret_post"), ClientAuthMethod::None);
    }
}
