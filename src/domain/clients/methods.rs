macro_rules! names {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident $text:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$what])* $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            pub const TEXTS: &'static [&'static str] = &[$($text),+];

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
    /// How a client authenticates at the token endpoint (RFC 7591 section 2, `token_endpoint_auth_method`).
    ClientAuthMethod {
        /// A public client, such as an app on a phone or a page in a browser.
        None "none",
        SecretBasic "client_secret_basic",
        SecretPost "client_secret_post",
        /// A JWT signed with the client's own key; the server has the public half (RFC 7523 section 2.2).
        PrivateKeyJwt "private_key_jwt",
    }
}

names! {
    /// A grant type that a client may be allowed (RFC 7591 section 2, `grant_types`).
    GrantType {
        AuthorizationCode "authorization_code",
        ClientCredentials "client_credentials",
        RefreshToken "refresh_token",
        /// For a service that calls another service on behalf of a user (RFC 8693).
        TokenExchange "urn:ietf:params:oauth:grant-type:token-exchange",
        /// For devices without a browser (RFC 8628).
        DeviceCode "urn:ietf:params:oauth:grant-type:device_code",
    }
}
