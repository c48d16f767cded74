//! What a browser that is signed in holds in its cookie: `cbs_` and base64url of `session id 16 | MAC 16`.
//!
//! As with refresh tokens nothing secret is stored: the MAC is under a key derived from the master key. Whether the session
//! lives is in its row.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::domain::SessionId;
use crate::keys::{MasterKey, MasterKeys, Purpose};

/// The MAC in the cookie of a browser that is signed in. The salt is the session's id.
const BROWSER_SESSIONS: Purpose = Purpose::new("chancery/v1/browser-sessions");

const PREFIX: &str = "cbs_";
const LENGTH: usize = 32;

/// The value of the cookie. Cannot be printed.
pub struct BrowserToken(String);

impl BrowserToken {
    pub fn of(master_keys: &MasterKeys, session: SessionId) -> Self {
        let mut bytes = session.0.as_bytes().to_vec();
        bytes.extend_from_slice(&mac(master_keys.first(), session));
        Self(PREFIX.to_owned() + &URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The session of a genuine value. `None` for anything that Chancery did not write, byte for byte.
    pub fn open(master_keys: &MasterKeys, text: &str) -> Option<SessionId> {
        let encoded = text.strip_prefix(PREFIX)?;
        let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(encoded).ok()?.try_into().ok()?;
        let session = SessionId(Uuid::from_slice(&bytes[..16]).ok()?);
        let is_by =
            |master| constant_time::verify_slices_are_equal(&mac(master, session), &bytes[16..]).is_ok();
        master_keys.iter().any(is_by).then_some(session)
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BrowserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrowserToken(..)")
    }
}

fn mac(master: &MasterKey, session: SessionId) -> [u8; 16] {
    let key = master.derive(BROWSER_SESSIONS, session.0.as_bytes());
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*key), session.0.as_bytes());
    let mut cut = [0; 16];
    cut.copy_from_slice(&tag.as_ref()[..16]);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn master_keys() -> MasterKeys {
        MasterKeys::parse(["one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]).unwrap()
    }

    proptest! {
        #[test]
        fn only_what_we_wrote_is_a_session(id in any::<u128>(), at in 0usize..47, to in "[A-Za-z0-9_=+/ -]", text in "\\PC{0,60}") {
            let session = SessionId(Uuid::from_u128(id));
            let good = BrowserToken::of(&master_keys(), session).expose().to_owned();
            prop_assert_eq!(BrowserToken::open(&master_keys(), &good), Some(session));
            let mut altered = good.clone();
            altered.replace_range(at..=at, &to);
            if altered != good {
                prop_assert_eq!(BrowserToken::open(&master_keys(), &altered), None);
            }
            prop_assert_eq!(BrowserToken::open(&master_keys(), &(PREFIX.to_owned() + &text)), None);
            let other = MasterKeys::parse(["two:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="]).unwrap();
            prop_assert_eq!(BrowserToken::open(&other, &good), None);
        }
    }
}
