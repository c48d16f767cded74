//! Random texts that are remembered by their digest only: codes, client secrets, names of pushed requests, tokens of
//! registrations and what devices ask with. 256 bits each, so SHA-256 without salt or cost is as good as they are.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::oauth::CodeVerifier;

macro_rules! opaque {
    ($(#[$about:meta])* $name:ident $prefix:literal) => {
        $(#[$about])*
        pub struct $name(String);

        impl $name {
            pub const PREFIX: &str = $prefix;

            /// `None` when the operating system gives no randomness.
            pub fn random() -> Option<Self> {
                let mut bytes = [0; 32];
                rand::fill(&mut bytes).ok()?;
                Some(Self($prefix.to_owned() + &URL_SAFE_NO_PAD.encode(bytes)))
            }

            /// The digest of what somebody shows. Of what cannot be one it is the digest of nothing we know.
            pub fn digest_of(text: &str) -> Vec<u8> {
                digest(&SHA256, text.as_bytes()).as_ref().to_vec()
            }

            pub fn digest(&self) -> Vec<u8> {
                Self::digest_of(&self.0)
            }

            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

opaque! {
    /// An authorization code (RFC 6749 section 1.3.1). Cannot be printed.
    AuthorizationCodeSecret "cac_"
}
opaque! {
    /// A client's secret (RFC 6749 section 2.3.1). Cannot be printed.
    ClientSecret "ccs_"
}

opaque! {
    /// What a pushed authorization request is called (RFC 9126 section 2.2). Whoever knows it may use it, once. Cannot be printed.
    RequestUri "urn:ietf:params:oauth:request_uri:"
}

opaque! {
    /// What an application shows to manage its registration (RFC 7592 section 3). Cannot be printed.
    RegistrationToken "crg_"
}

opaque! {
    /// What a device asks with until somebody has let it in (RFC 8628 section 3.2). Cannot be printed.
    DeviceCode "cdc_"
}

/// The S256 transformation of a code verifier (RFC 7636 section 4.6).
pub fn challenge_of(verifier: &CodeVerifier) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s256_is_the_rfcs() {
        // The example of RFC 7636, appendix B.
        let verifier = CodeVerifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert_eq!(challenge_of(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn no_two_are_alike_and_none_is_printed() {
        let codes: std::collections::HashSet<String> =
            (0..10_000).map(|_| AuthorizationCodeSecret::random().unwrap().expose().to_owned()).collect();
        assert_eq!(codes.len(), 10_000);
        let secret = ClientSecret::random().unwrap();
        assert!(!format!("{secret:?}").contains(&secret.expose()[4..]));
        assert_eq!(ClientSecret::digest_of(secret.expose()), secret.digest());
    }
}
