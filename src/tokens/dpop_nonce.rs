//! Nonces for proofs of possession (RFC 9449 section 8): a MAC over the five minutes in which they are given out. Nothing is stored,
//! and every node makes and knows the same ones.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use crate::keys::{MasterKey, MasterKeys, Purpose};

/// The MAC that is the nonce.
const DPOP_NONCES: Purpose = Purpose::new("chancery/v1/dpop-nonces");

const WINDOW_S: i64 = 300;

/// The nonces under these master keys.
pub struct DpopNonces<'a>(pub &'a MasterKeys);

impl DpopNonces<'_> {
    /// What a client shall put into its next proof.
    pub fn current(&self, now: DateTime<Utc>) -> String {
        URL_SAFE_NO_PAD.encode(mac(self.0.first(), window(now)))
    }

    /// Whether it was given out in this window or the one before. The next is good, too: a node whose clock is ahead has begun it.
    pub fn is_good(&self, nonce: &str, now: DateTime<Utc>) -> bool {
        let Ok(shown) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
        let window = window(now);
        let is_by = |master: &MasterKey, window| {
            constant_time::verify_slices_are_equal(&mac(master, window), &shown).is_ok()
        };
        self.0.iter().any(|master| (window - 1..=window + 1).any(|window| is_by(master, window)))
    }
}

fn window(now: DateTime<Utc>) -> i64 {
    now.timestamp().div_euclid(WINDOW_S)
}

fn mac(master: &MasterKey, window: i64) -> [u8; 16] {
    let key = master.derive(DPOP_NONCES, b"");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*key), &window.to_be_bytes());
    let mut cut = [0; 16];
    cut.copy_from_slice(&tag.as_ref()[..16]);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn master_keys(lines: &[&str]) -> MasterKeys {
        MasterKeys::parse(lines.iter().copied()).unwrap()
    }

    const ONE: &str = "one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const TWO: &str = "two:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_nonce_is_good_in_its_window_and_the_next() {
        let master_keys = master_keys(&[ONE]);
        let nonces = DpopNonces(&master_keys);
        let nonce = nonces.current(at(0));
        assert_eq!(nonce, nonces.current(at(299)));
        assert_ne!(nonce, nonces.current(at(300)));
        for (seconds, is_good) in [(-301, false), (-1, true), (0, true), (599, true), (600, false)] {
            assert_eq!(nonces.is_good(&nonce, at(seconds)), is_good, "{seconds}");
        }
        assert!(!nonces.is_good("", at(0)));
    }

    #[test]
    fn a_master_key_that_no_longer_signs_is_still_known() {
        let nonce = DpopNonces(&master_keys(&[ONE])).current(at(0));
        assert!(DpopNonces(&master_keys(&[TWO, ONE])).is_good(&nonce, at(0)));
        assert!(!DpopNonces(&master_keys(&[TWO])).is_good(&nonce, at(0)));
    }

    proptest! {
        #[test]
        fn nothing_else_is_a_nonce(text in "[A-Za-z0-9_-]{0,30}") {
            let master_keys = master_keys(&[ONE]);
            let nonces = DpopNonces(&master_keys);
            prop_assert_eq!(nonces.is_good(&text, at(0)), text == nonces.current(at(0)));
        }
    }
}
