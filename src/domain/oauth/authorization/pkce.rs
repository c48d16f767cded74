use crate::domain::thumbprint::is_sha256;

/// The transformed secret of an authorization request: S256 only (RFC 7636 section 4.2; `plain` is refused, RFC 9700 section
/// 2.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChallenge(String);

impl CodeChallenge {
    pub fn parse(text: &str) -> Option<Self> {
        is_sha256(text).then(|| Self(text.to_owned()))
    }

    pub fn new_unchecked(stored: String) -> Self {
        Self(stored)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The secret itself, as the token request brings it. Cannot be printed.
pub struct CodeVerifier(String);

impl CodeVerifier {
    /// `None` for what the RFC does not allow (section 4.1): 43 to 128 unreserved characters.
    pub fn parse(text: &str) -> Option<Self> {
        let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        ((43..=128).contains(&text.len()) && text.bytes().all(is_unreserved)).then(|| Self(text.to_owned()))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_letters_are_the_rfcs() {
        let is_verifier = |text: &str| CodeVerifier::parse(text).is_some();
        assert!(is_verifier(&"a".repeat(43)) && is_verifier(&"~".repeat(128)));
        assert!(
            !is_verifier(&"a".repeat(42)) && !is_verifier(&"a".repeat(129)) && !is_verifier(&"+".repeat(43))
        );
        let is_challenge = |text: &str| CodeChallenge::parse(text).is_some();
        assert!(is_challenge("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
        for bad in ["", &"a".repeat(42), &"a".repeat(44), &"=".repeat(43), &".".repeat(43)] {
            assert!(!is_challenge(bad), "{bad}");
        }
    }
}
