/// Which key it is: SHA-256 of its public half, in base64url (RFC 7638). As `jkt` what a token or a code is bound to (RFC 9449
/// section 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbprint(String);

impl Thumbprint {
    /// `None` for what no SHA-256 in base64url can be.
    pub fn parse(text: &str) -> Option<Self> {
        let is_base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (text.len() == 43 && text.bytes().all(is_base64url)).then(|| Self(text.to_owned()))
    }

    pub fn from_row(stored: String) -> Self {
        Self(stored)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}
