use std::fmt;

/// An OAuth client's identifier (RFC 6749 section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientId(String);

impl ClientId {
    /// The client on whose behalf `/auth` issues tokens: Chancery's own login API.
    pub fn first_party() -> Self {
        Self("chancery".to_owned())
    }

    /// The identifier as a session row carries it.
    pub fn from_row(id: String) -> Self {
        Self(id)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
