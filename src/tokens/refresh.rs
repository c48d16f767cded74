//! Refresh tokens: `crt_` and base64url of
//! `version 1 | session id 16 | generation 8 | MAC 16 | checksum 4`.
//!
//! The MAC is HMAC-SHA-256 over version, session, generation and client, cut to 128 bits, under a key derived from the
//! master key and the session id. Nothing secret is stored: a stolen database forges no token, the successor of a token
//! can be computed again, and garbage is told by its checksum before anything else is done.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::domain::{ClientId, SessionId};
use crate::keys::{MasterKey, MasterKeys, Purpose};

/// The MAC of one session's refresh tokens. The salt is the session's id.
const REFRESH_TOKENS: Purpose = Purpose::new("chancery/v1/refresh-tokens");

const PREFIX: &str = "crt_";
const VERSION: u8 = 1;
const CHECKED: usize = 1 + 16 + 8 + 16;
const LENGTH: usize = CHECKED + 4;

/// What a genuine-looking refresh token says. Whether it is genuine, [`RefreshKeys::is_genuine`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    pub session: SessionId,
    pub generation: i64,
    mac: [u8; 16],
}

/// A refresh token as it travels. Cannot be printed.
pub struct RefreshTokenText(String);

impl RefreshTokenText {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RefreshTokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshTokenText(..)")
    }
}

impl RefreshToken {
    /// Reads a token. `None` for anything that Chancery did not write, byte for byte.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let bytes: [u8; LENGTH] = bytes.try_into().ok()?;
        if bytes[0] != VERSION || bytes[CHECKED..] != checksum(&bytes[..CHECKED]) {
            return None;
        }
        Some(Self {
            session: SessionId(Uuid::from_slice(&bytes[1..17]).ok()?),
            generation: i64::from_be_bytes(bytes[17..25].try_into().ok()?),
            mac: bytes[25..CHECKED].try_into().ok()?,
        })
    }

    fn to_text(self) -> RefreshTokenText {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(VERSION);
        bytes.extend_from_slice(self.session.0.as_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.mac);
        bytes.extend_from_slice(&checksum(&bytes));
        RefreshTokenText(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }
}

/// Makes refresh tokens and knows those made under any configured master key.
pub struct RefreshKeys<'a>(pub &'a MasterKeys);

impl RefreshKeys<'_> {
    /// The token of one generation of one session. The same every time it is asked, as long as it is asked under the same
    /// master key: the one the session names or, where that is not configured, the first.
    pub fn token(
        &self,
        session: SessionId,
        generation: i64,
        client: &ClientId,
        master_key_id: Option<&str>,
    ) -> RefreshTokenText {
        let master = master_key_id.and_then(|id| self.0.by_id(id)).unwrap_or(self.0.first());
        let mac = mac(master, session, generation, client);
        RefreshToken { session, generation, mac }.to_text()
    }

    /// Whether Chancery made this token for this client. `client` must come from the session, not from the request: a
    /// token shown by another client is genuine, and misused.
    pub fn is_genuine(&self, token: &RefreshToken, client: &ClientId) -> bool {
        self.0.iter().any(|master| {
            let expected = mac(master, token.session, token.generation, client);
            aws_lc_rs::constant_time::verify_slices_are_equal(&expected, &token.mac).is_ok()
        })
    }
}

fn mac(master: &MasterKey, session: SessionId, generation: i64, client: &ClientId) -> [u8; 16] {
    let key = master.derive(REFRESH_TOKENS, session.0.as_bytes());
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &*key));
    context.update(&[VERSION]);
    context.update(session.0.as_bytes());
    context.update(&generation.to_be_bytes());
    context.update(client.as_str().as_bytes());
    let mut cut = [0; 16];
    cut.copy_from_slice(&context.sign().as_ref()[..16]);
    cut
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let mut sum = [0; 4];
    sum.copy_from_slice(&digest::digest(&digest::SHA256, bytes).as_ref()[..4]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn master_keys() -> MasterKeys {
        MasterKeys::parse(["one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]).unwrap()
    }

    fn token(generation: i64) -> String {
        let text = RefreshKeys(&master_keys()).token(
            SessionId(Uuid::from_u128(7)),
            generation,
            &ClientId::first_party(),
            None,
        );
        text.expose().to_owned()
    }

    #[test]
    fn a_token_is_64_characters_and_reads_back() {
        let text = token(3);
        assert_eq!(text.len(), 64);
        let read = RefreshToken::parse(&text).unwrap();
        assert_eq!((read.session, read.generation), (SessionId(Uuid::from_u128(7)), 3));
        assert!(RefreshKeys(&master_keys()).is_genuine(&read, &ClientId::first_party()));
        assert_eq!(text, token(3));
    }

    #[test]
    fn a_token_is_bound_to_its_client_generation_and_master_key() {
        let read = RefreshToken::parse(&token(3)).unwrap();
        let is_genuine = |master_keys: &MasterKeys, token: &RefreshToken, client: &str| {
            RefreshKeys(master_keys).is_genuine(token, &ClientId::new_unchecked(client.to_owned()))
        };
        assert!(!is_genuine(&master_keys(), &read, "other"));
        assert!(!is_genuine(&master_keys(), &RefreshToken { generation: 4, ..read }, "chancery"));
        let session = SessionId(Uuid::from_u128(8));
        assert!(!is_genuine(&master_keys(), &RefreshToken { session, ..read }, "chancery"));
        let other = "two:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
        assert!(!is_genuine(&MasterKeys::parse([other]).unwrap(), &read, "chancery"));
        let both = [other, "one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="];
        assert!(is_genuine(&MasterKeys::parse(both).unwrap(), &read, "chancery"));
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_token(at in 0usize..64, to in "[ -~]", extra in "[A-Za-z0-9_=-]{1,4}") {
            let good = token(9);
            let mut bytes = good.clone().into_bytes();
            bytes[at] = to.as_bytes()[0];
            let altered = String::from_utf8(bytes).unwrap();
            if altered != good {
                prop_assert!(RefreshToken::parse(&altered).is_none());
            }
            let longer = good.clone() + &extra;
            prop_assert!(RefreshToken::parse(&longer).is_none());
            prop_assert!(RefreshToken::parse(&good[..at]).is_none());
        }

        #[test]
        fn nothing_makes_the_reader_panic(text in "\\PC*") {
            let hostile = PREFIX.to_owned() + &text;
            prop_assert!(RefreshToken::parse(&hostile).is_none());
        }
    }
}
