use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;
use zxcvbn::matching::patterns::MatchPattern;

use crate::domain::{DisplayName, Email};

/// No password is longer than this many code points; longer input is refused before anything is computed from it.
const MAX_LENGTH: usize = 256;
/// The longest code point is 4 bytes and NFC at most triples them.
const MAX_TYPED_BYTES: usize = MAX_LENGTH * 4 * 3;
/// No entry of the common-password list is longer, and no longer run is among the first guesses.
const LONGEST_COMMON: usize = 32;

/// A password somebody claims to have, in NFC, so it matches however it was typed. Cannot be printed.
pub struct CandidatePassword(SecretString);

impl CandidatePassword {
    /// `None` when the text is longer than any password can be; no stored hash can match it.
    pub fn parse(typed: &str) -> Option<Self> {
        let normal = normalise(typed)?;
        (length(&normal) <= MAX_LENGTH).then(|| Self(normal.into()))
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for CandidatePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CandidatePassword(..)")
    }
}

/// A password that may be set: long enough, not common, not the user's own name or address.
/// Composition rules are deliberately absent (NIST SP 800-63B-4 section 3.1.1.2). Cannot be printed.
pub struct NewPassword(SecretString);

/// Why a password may not be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRejected {
    #[error("a password needs at least {minimum} characters")]
    TooShort { minimum: usize },
    #[error("a password has at most {MAX_LENGTH} characters")]
    TooLong,
    #[error("this password is on the list of common passwords")]
    Common,
    #[error("a password must not be your own name or address")]
    Personal,
}

impl NewPassword {
    /// Checks a chosen password. `minimum` counts code points after NFC.
    pub fn parse(
        typed: &str,
        minimum: usize,
        email: &Email,
        name: Option<&DisplayName>,
    ) -> Result<Self, PasswordRejected> {
        let normal = normalise(typed).ok_or(PasswordRejected::TooLong)?;
        match length(&normal) {
            count if count < minimum => return Err(PasswordRejected::TooShort { minimum }),
            count if count > MAX_LENGTH => return Err(PasswordRejected::TooLong),
            _ => {}
        }
        if is_personal(&normal, email, name) {
            return Err(PasswordRejected::Personal);
        }
        if is_common(&normal) {
            return Err(PasswordRejected::Common);
        }
        Ok(Self(normal.into()))
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword(..)")
    }
}

fn normalise(typed: &str) -> Option<String> {
    (typed.len() <= MAX_TYPED_BYTES).then(|| typed.nfc().collect())
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Whether the whole password is one entry of the built-in lists (30 000 passwords, and common words and names), or
/// nothing but a sequence, a walk over the keyboard or one or two characters over and over, as such lists are full of.
fn is_common(password: &str) -> bool {
    if password.len() > LONGEST_COMMON {
        return false;
    }
    let estimate = zxcvbn::zxcvbn(password, &[]);
    let [whole] = estimate.sequence() else { return false };
    match &whole.pattern {
        MatchPattern::Dictionary(_) | MatchPattern::Sequence(_) | MatchPattern::Spatial(_) => true,
        MatchPattern::Repeat(repeat) => repeat.base_token.chars().count() <= 2,
        _ => false,
    }
}

fn is_personal(password: &str, email: &Email, name: Option<&DisplayName>) -> bool {
    let password = password.to_lowercase();
    let own_words = ["chancery", email.as_str(), email.local_part()];
    own_words.into_iter().any(|word| word == password)
        || name.is_some_and(|name| {
            let name = name.as_str().to_lowercase();
            name == password || name.split_whitespace().collect::<String>() == password
        })
}

/// A password's hash in PHC form (`$argon2id$…`), as stored. Kept out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    pub fn from_phc(phc: String) -> Self {
        Self(phc)
    }

    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(typed: &str) -> Result<NewPassword, PasswordRejected> {
        let name = DisplayName::parse("Ada Lovelace").unwrap();
        NewPassword::parse(typed, 8, &Email::parse("ada.byron@x.test").unwrap(), Some(&name))
    }

    #[test]
    fn length_is_counted_in_code_points_after_nfc() {
        assert!(matches!(check("seven7!"), Err(PasswordRejected::TooShort { minimum: 8 })));
        // Eight letters typed as twelve code points, and seven typed as fourteen.
        assert!(check("o\u{308}wa\u{308}qu\u{308}zo\u{308}x").is_ok());
        assert!(check(&"o\u{308}".repeat(7)).is_err());
        assert!(check(&"\u{1f510}qz".repeat(85)).is_ok());
        assert!(matches!(check(&"xq".repeat(129)), Err(PasswordRejected::TooLong)));
        assert!(matches!(check(&"x".repeat(10_000_000)), Err(PasswordRejected::TooLong)));
    }

    #[test]
    fn common_passwords_are_refused_in_any_case() {
        for common in [
            "password",
            "Password1",
            "12345678",
            "qwertyuiop",
            "trustno1",
            "baseball",
            "SUPERMAN",
            "1q2w3e4r",
            "aaaaaaaa",
            "abcdefgh",
            "letmein1",
        ] {
            assert!(matches!(check(common), Err(PasswordRejected::Common)), "{common}");
        }
    }

    #[test]
    fn own_words_are_refused_in_any_case() {
        for own in ["chancery", "ada.byron", "ADA.byron@x.test", "Ada Lovelace", "adalovelace"] {
            assert!(matches!(check(own), Err(PasswordRejected::Personal)), "{own}");
        }
    }

    #[test]
    fn there_are_no_composition_rules() {
        for fine in [
            "correct horse battery staple",
            "lower case only here",
            "Password123!",
            "93481726405918",
            "hunter2hunter2",
            "correct-horse-battery-staple",
            "S3cure!Passw0rd",
            "Sup3rS3cret!",
            "Tr0ub4dor&3",
            "TestPassword123!",
        ] {
            assert!(check(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn a_candidate_is_normalised_like_a_new_password_and_cut_nowhere() {
        let nfd = CandidatePassword::parse("scho\u{308}nes wetter").unwrap();
        assert_eq!(nfd.expose(), "sch\u{f6}nes wetter");
        let long = "x".repeat(256);
        assert_eq!(CandidatePassword::parse(&long).unwrap().expose(), long);
        assert!(CandidatePassword::parse(&"x".repeat(257)).is_none());
    }

    proptest! {
        #[test]
        fn a_password_is_compared_in_one_form_and_whole(text in "\\PC{1,300}") {
            use unicode_normalization::UnicodeNormalization;
            let decomposed: String = text.nfd().collect();
            let (one, two) = (CandidatePassword::parse(&text), CandidatePassword::parse(&decomposed));
            prop_assert_eq!(one.is_some(), two.is_some());
            if let (Some(one), Some(two)) = (one, two) {
                prop_assert_eq!(one.expose(), two.expose());
                let composed: String = text.nfc().collect();
                prop_assert_eq!(one.expose(), composed.as_str());
            }
        }
    }
}
