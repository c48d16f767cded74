//! The description of a client's settings, one entry each.
//!
//! An entry makes the field of [`Client`], the field of [`ClientChange`] and the [`ClientSetting`]. The admin API, dynamic
//! registration, the command line, the audit detail and the OpenAPI document follow from the entry. The column is a line of
//! `client_columns!` in `store/clients/client_row.rs`. Rules that need two settings are in `check.rs`.
//!
//! An entry reads: documentation, field, type, default, name in JSON, flag of the command line, and the options that differ
//! from `SettingOptions::DEFAULT`.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::check::{MAX_REFRESH_GRACE_S, MIN_ACCESS_TOKEN_TTL_S};
use super::{
    ClientAuthMethod, ClientKeys, ClientSetting, GrantType, LoginUri, LogoutUri, RedirectUri, SetBy,
    SettingOptions, SettingType, Unset,
};
use crate::domain::{ClientId, DisplayName, Scopes};

macro_rules! client_settings {
    (|$id:ident| $(
        $(#[doc = $about:literal])+
        $field:ident: $type:ty = $default:expr,
        $name:literal, $flag:literal $(, $option:ident: $value:expr)*;
    )+) => {
        /// An application or a service that requests tokens.
        #[derive(Clone, Debug)]
        pub struct Client {
            pub id: ClientId,
            pub auth_method: ClientAuthMethod,
            pub created_at: DateTime<Utc>,
            $($(#[doc = $about])+ pub $field: $type,)+
        }

        /// New values of a client's settings. `None` keeps the value.
        #[derive(Clone, Debug, Default)]
        pub struct ClientChange {
            $(pub $field: Option<$type>,)+
        }

        impl ClientSetting {
            pub const ALL: &'static [Self] = &[$(Self {
                name: $name,
                flag: $flag,
                no_flag: concat!("no-", $flag),
                about: concat!($($about),+).trim_ascii_start(),
                shape: <$type as SettingType>::SHAPE,
                options: SettingOptions { $($option: $value,)* ..SettingOptions::DEFAULT },
                get: |client| client.$field.to_plain(),
                count: |client| client.$field.count(),
                put: |change, plain| {
                    change.$field = Some(<$type as SettingType>::parse(plain)?);
                    Ok(())
                },
            }),+];
        }

        impl Client {
            /// A client whose settings have their defaults. Its name is its id.
            pub fn with_defaults(id: ClientId, auth_method: ClientAuthMethod, now: DateTime<Utc>) -> Self {
                let $id = &id;
                Self { $($field: $default,)+ auth_method, created_at: now, id }
            }

            #[must_use]
            pub fn with(self, change: ClientChange) -> Self {
                Self { $($field: change.$field.unwrap_or(self.$field),)+ ..self }
            }
        }

        impl ClientChange {
            /// Names of the settings that change.
            pub fn names(&self) -> Vec<&'static str> {
                [$(self.$field.is_some().then_some($name)),+].into_iter().flatten().collect()
            }
        }
    };
}

client_settings! {
    |id|

    /// Name that users see.
    name: DisplayName = DisplayName::from(id),
        "client_name", "name",
        set_by: SetBy::Everyone, required: true;

    /// Public keys of a client that authenticates by `private_key_jwt`: a JWK Set of RSA, P-256 and Ed25519 keys.
    keys: Option<ClientKeys> = None,
        "jwks", "jwks";

    /// Allowed grant types (RFC 7591 section 2).
    grant_types: BTreeSet<GrantType> = [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
        "grant_types", "grant-type",
        set_by: SetBy::Everyone, is_not_empty: true;

    /// Allowed redirect URIs.
    redirect_uris: Vec<RedirectUri> = Vec::new(),
        "redirect_uris", "redirect-uri",
        set_by: SetBy::Everyone;

    /// Allowed redirect URIs after sign-out.
    post_logout_redirect_uris: Vec<RedirectUri> = Vec::new(),
        "post_logout_redirect_uris", "post-logout-redirect-uri",
        set_by: SetBy::Everyone, unset: Unset::Nothing;

    /// Allowed scopes, separated by spaces.
    scopes: Scopes = Scopes::of_users(),
        "scope", "scope",
        set_by: SetBy::Everyone, example: Some("openid profile email offline_access");

    /// Audiences that the client's tokens may have. The first is the default of a request (RFC 8707).
    audiences: Vec<String> = Vec::new(),
        "audience", "audience",
        unset: Unset::Server("tokens.audience");

    /// Lifetime of access tokens, at most that of the server.
    access_token_ttl: Option<TimeDelta> = None,
        "access_token_ttl", "access-token-ttl",
        unset: Unset::Server("tokens.access_token_ttl"), bounds: (MIN_ACCESS_TOKEN_TTL_S, None);

    /// How long a used refresh token is still accepted.
    refresh_grace: Option<TimeDelta> = None,
        "refresh_grace", "refresh-grace",
        unset: Unset::Server("sessions.refresh_grace"), bounds: (0, Some(MAX_REFRESH_GRACE_S));

    /// Whether PKCE is required. Without PKCE a confidential client must send an OpenID Connect request with a nonce.
    require_pkce: bool = true,
        "require_pkce", "pkce";

    /// Whether users are asked for consent before the client gets tokens.
    require_consent: bool = true,
        "require_consent", "consent";

    /// Where the server sends logout tokens (OpenID Connect Back-Channel Logout).
    backchannel_logout_uri: Option<LogoutUri> = None,
        "backchannel_logout_uri", "backchannel-logout-uri",
        set_by: SetBy::Everyone, unset: Unset::Nothing;

    /// Whether the client needs `sid` in logout tokens. The server always sends `sid`.
    backchannel_logout_session_required: bool = false,
        "backchannel_logout_session_required", "backchannel-logout-session-required",
        set_by: SetBy::Everyone, takes_bool: true;

    /// Audiences for which the client may exchange its users' tokens (RFC 8693). The first is the default of a request.
    exchange_audiences: Vec<String> = Vec::new(),
        "exchange_audiences", "exchange-audience",
        unset: Unset::Nothing;

    /// Whether authorization requests must be pushed (RFC 9126).
    require_pushed: bool = false,
        "require_pushed_authorization_requests", "require-par";

    /// Whether every access token must be bound to a key of the client (DPoP, RFC 9449 section 5.2).
    dpop_bound_access_tokens: bool = false,
        "dpop_bound_access_tokens", "require-dpop",
        set_by: SetBy::Everyone;

    /// Https URI where a third party can start a sign-in to the client (OpenID Connect Core section 4).
    initiate_login_uri: Option<LoginUri> = None,
        "initiate_login_uri", "initiate-login-uri",
        set_by: SetBy::Registration, unset: Unset::Nothing;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clients::PlainValue;

    fn client(change: ClientChange) -> Client {
        let id = ClientId::parse("a").unwrap();
        Client::with_defaults(id, ClientAuthMethod::None, DateTime::UNIX_EPOCH).with(change)
    }

    #[test]
    fn every_setting_can_be_read_and_written_back_by_itself() {
        let uri = || RedirectUri::parse("https://a.test/").unwrap();
        let full = client(ClientChange {
            name: Some(DisplayName::parse("A").unwrap()),
            keys: Some(Some(ClientKeys::new(Vec::new()))),
            redirect_uris: Some(vec![uri()]),
            post_logout_redirect_uris: Some(vec![uri(), uri()]),
            scopes: Some(Scopes::parse("openid b").unwrap()),
            audiences: Some(vec!["a".to_owned()]),
            access_token_ttl: Some(Some(TimeDelta::minutes(1))),
            backchannel_logout_uri: Some(Some(LogoutUri::parse("https://a.test/out").unwrap())),
            initiate_login_uri: Some(Some(LoginUri::parse("https://a.test/in").unwrap())),
            ..ClientChange::default()
        });
        for setting in ClientSetting::ALL {
            for plain in [(setting.get)(&full), (setting.get)(&client(ClientChange::default()))] {
                let mut change = ClientChange::default();
                (setting.put)(&mut change, plain.clone()).unwrap();
                assert_eq!(change.names(), [setting.name]);
                assert_eq!((setting.get)(&client(change)), plain, "{}", setting.name);
            }
        }
        assert_eq!((ClientSetting::by_name("post_logout_redirect_uris").unwrap().count)(&full), 2);
    }

    #[test]
    fn a_value_of_another_shape_is_refused() {
        for setting in ClientSetting::ALL {
            let plain = match (setting.get)(&client(ClientChange::default())) {
                PlainValue::Flag(_) => PlainValue::Seconds(1),
                _ => PlainValue::Flag(true),
            };
            assert!(setting.check(plain).is_err(), "{}", setting.name);
        }
    }

    #[test]
    fn names_and_flags_are_unique() {
        let names: BTreeSet<&str> = ClientSetting::ALL.iter().map(|setting| setting.name).collect();
        let flags: BTreeSet<&str> =
            ClientSetting::ALL.iter().flat_map(|setting| [setting.flag, setting.no_flag]).collect();
        assert_eq!((names.len(), flags.len()), (ClientSetting::ALL.len(), 2 * ClientSetting::ALL.len()));
    }
}
