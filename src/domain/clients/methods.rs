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
