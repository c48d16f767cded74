use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// An e-mail address in its one canonical form: surrounding white space removed, NFKC, lower case, the domain in
/// IDNA ASCII. Two spellings of one address are equal, so the database's UNIQUE holds for people, not for bytes.
///
/// The local part must be ASCII after NFKC: look-alike letters (dotless i, Kelvin sign) would otherwise be a second
/// account that reads the same.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Email(String);

/// Why a text is no e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an e-mail address Chancery accepts (local-part@domain, ASCII local part, at most 254 characters)"
)]
pub struct InvalidEmail;

/// RFC 5321 section 4.5.3.1.
const MAX_LOCAL: usize = 64;
const MAX_TOTAL: usize = 254;

impl Email {
    /// Parses and canonicalises an address as typed by a person.
    pub fn parse(typed: &str) -> Result<Self, InvalidEmail> {
        // Compatibility forms are at most a few times longer; what is far too long is not worth normalising.
        if typed.len() > 4 * MAX_TOTAL {
            return Err(InvalidEmail);
        }
        let folded: String = typed.nfkc().collect::<String>().trim().to_lowercase();
        let (local, domain) = folded.rsplit_once('@').ok_or(InvalidEmail)?;
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| InvalidEmail)?;
        if !is_dot_atom(local) || local.len() > MAX_LOCAL || !is_host(&domain) {
            return Err(InvalidEmail);
        }
        let canonical = format!("{local}@{domain}");
        if canonical.len() > MAX_TOTAL { Err(InvalidEmail) } else { Ok(Self(canonical)) }
    }

    /// The address as stored; it was parsed before it was written.
    pub fn new_unchecked(canonical: String) -> Self {
        Self(canonical)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }
}

/// RFC 5322 section 3.2.3: dot-atom of ASCII `atext`.
fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| {
        !atom.is_empty()
            && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    })
}

/// IDNA has checked labels and lengths; an address also needs a domain that is not an IP literal or empty.
fn is_host(domain: &str) -> bool {
    !domain.is_empty() && !domain.ends_with('.') && !domain.split('.').next_back().is_some_and(is_number)
}

fn is_number(label: &str) -> bool {
    label.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_of_one_address_is_one_address() {
        for typed in [
            "alice@x.test",
            "Alice@x.test",
            "ALICE@X.TEST",
            " alice@x.test",
            "alice@x.test\u{a0}",
            "alice@x.test \t",
            "\u{ff41}lice@x.test",  // fullwidth a
            "alice\u{ff20}x.test",  // fullwidth @
            "alice@\u{ff38}.test",  // fullwidth X
            "\u{1d41a}lice@x.test", // mathematical bold a
        ] {
            assert_eq!(
                Email::parse(typed).map(|e| e.to_string()),
                Ok("alice@x.test".to_owned()),
                "{typed:?}"
            );
        }
    }

    #[test]
    fn international_domains_have_one_form() {
        let ascii = Email::parse("a@xn--mnchen-3ya.test");
        assert_eq!(Email::parse("a@m\u{fc}nchen.test"), ascii);
        assert_eq!(Email::parse("a@MU\u{308}NCHEN.test"), ascii);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for typed in [
            "",
            "@",
            "a@",
            "@b.test",
            "a",
            "a b@x.test",
            "a@b@c.test",
            ".a@x.test",
            "a..b@x.test",
            "a@x..test",
            "al\u{131}ce@x.test",
            "a\u{0}@x.test",
            "a@x.test\r\nBcc: b@x.test",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "\"a b\"@x.test",
            "a@-x.test",
            "a@x.test.",
        ] {
            assert_eq!(Email::parse(typed), Err(InvalidEmail), "{typed:?}");
        }
        assert!(Email::parse(&format!("{}@x.test", "a".repeat(65))).is_err());
        assert!(Email::parse(&"a".repeat(10_000_000)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_reads_back_as_itself(typed in "\\PC{0,30}@?\\PC{0,30}") {
            if let Ok(email) = Email::parse(&typed) {
                prop_assert_eq!(Email::parse(email.as_str()), Ok(email.clone()));
                prop_assert!(email.as_str().is_ascii() && email.as_str().len() <= 254);
                prop_assert!(!email.as_str().chars().any(|c| c.is_control() || c.is_whitespace()));
            }
        }

        #[test]
        fn plain_addresses_are_one_in_any_case(local in "[a-z0-9][a-z0-9._+-]{0,20}[a-z0-9]", domain in "[a-z]{1,20}\\.test") {
            let typed = format!("{local}@{domain}");
            if let Ok(email) = Email::parse(&typed) {
                prop_assert_eq!(Email::parse(&typed.to_uppercase()), Ok(email.clone()));
                prop_assert_eq!(email.as_str(), typed);
            }
        }
    }
}
