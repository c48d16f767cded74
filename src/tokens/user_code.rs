use std::fmt;

use aws_lc_rs::{hmac, rand};

use crate::keys::{MasterKey, Purpose};

/// The MAC by which a user code is stored.
const USER_CODES: Purpose = Purpose::new("chancery/v1/user-codes");

/// Consonants, so that no word comes about, and none that looks like a figure (RFC 8628 section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;
/// The highest multiple of twenty that is a byte: what is above would make some letters likelier than others.
const FAIR_BELOW: u8 = 240;

/// The code by which somebody says which device is theirs. 20^8 of them are few, so guesses are counted. Cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    /// `None` when the operating system gives no randomness.
    pub fn random() -> Option<Self> {
        let mut code = String::with_capacity(LENGTH);
        while code.len() < LENGTH {
            let mut bytes = [0; 16];
            rand::fill(&mut bytes).ok()?;
            let fair = bytes.into_iter().filter(|byte| *byte < FAIR_BELOW);
            let letters = fair.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
            code.extend(letters.take(LENGTH - code.len()));
        }
        Some(Self(code))
    }

    /// As somebody typed it, in small letters or large, with or without hyphens and spaces.
    pub fn parse(typed: &str) -> Option<Self> {
        let letters = typed.chars().filter(|c| !c.is_whitespace() && !c.is_ascii_punctuation());
        let code: String = letters.take(LENGTH + 1).map(|c| c.to_ascii_uppercase()).collect();
        let is_code = code.len() == LENGTH && code.bytes().all(|letter| LETTERS.contains(&letter));
        is_code.then_some(Self(code))
    }

    /// The letters alone.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// As people read it.
    pub fn shown(&self) -> String {
        format!("{}-{}", &self.0[..LENGTH / 2], &self.0[LENGTH / 2..])
    }

    /// What is kept of it. A digest could be tried out in seconds by whoever has the database.
    pub fn mac(&self, master: &MasterKey) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*master.derive(USER_CODES, b""));
        hmac::sign(&key, self.0.as_bytes()).as_ref().to_vec()
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::MasterKeys;
    use proptest::prelude::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code = UserCode::parse("WDJBMJHT").unwrap();
        for typed in ["wdjb-mjht", " WDJB MJHT ", "w.d.j.b/mjht", "WDJB\u{a0}MJHT"] {
            assert_eq!(UserCode::parse(typed), Some(code.clone()), "{typed}");
        }
        for wrong in
            ["", "WDJBMJH", "WDJBMJHTT", "ADJBMJHT", "WDJB-MJH1", "\u{17f}DJBMJHT", "WDJB\u{2010}MJHT"]
        {
            assert_eq!(UserCode::parse(wrong), None, "{wrong}");
        }
        assert_eq!(code.shown(), "WDJB-MJHT");
        assert!(!format!("{code:?}").contains("WDJB"));
    }

    #[test]
    fn all_letters_come_and_no_two_codes_are_alike() {
        let codes: std::collections::HashSet<String> =
            (0..2000).map(|_| UserCode::random().unwrap().expose().to_owned()).collect();
        assert!(codes.len() >= 1999, "20^8 of them");
        assert!(LETTERS.iter().all(|letter| codes.iter().any(|code| code.starts_with(char::from(*letter)))));
        assert!(codes.iter().all(|code| UserCode::parse(code).is_some()));
    }

    #[test]
    fn what_is_kept_depends_on_the_master_key() {
        let master_keys = MasterKeys::parse([
            "one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
            "two:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",
        ])
        .unwrap();
        let code = UserCode::parse("WDJBMJHT").unwrap();
        let macs: Vec<Vec<u8>> = master_keys.iter().map(|master| code.mac(master)).collect();
        assert!(macs[0] != macs[1] && macs[0] == code.mac(master_keys.first()));
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(typed in "\\PC{0,20}") {
            if let Some(code) = UserCode::parse(&typed) {
                prop_assert_eq!(UserCode::parse(&code.shown()), Some(code));
            }
        }
    }
}
