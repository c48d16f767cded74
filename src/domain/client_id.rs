use std::fmt;

use uuid::Uuid;

/// An OAuth client's identifier (RFC 6749 section 2.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(String);

/// The text is no client identifier of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a client_id has 1 to 64 of A-Z, a-z, 0-9, `.`, `_`, `~` and `-`, begins with a letter or digit, and is neither \
     `chancery` nor a UUID"
)]
pub struct InvalidClientId;

impl ClientId {
    /// The client on whose behalf `/auth` issues tokens: Chancery's own login API.
    pub fn first_party() -> Self {
        Self("chancery".to_owned())
    }

    /// What a browser that is signed in at the hosted pages is. Nobody can register it, and it is issued no tokens.
    pub fn browser() -> Self {
        Self("chancery:browser".to_owned())
    }

    /// An identifier a client may be registered under.
    pub fn parse(text: &str) -> Result<Self, InvalidClientId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
        let is_good = (1..=64).contains(&text.len())
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && text.bytes().all(allowed)
            && text != Self::first_party().as_str()
            // A service's `sub` is its client_id, and nobody else's (RFC 9700 section 4.15).
            && Uuid::try_parse(text).is_err();
        if is_good { Ok(Self(text.to_owned())) } else { Err(InvalidClientId) }
    }

    /// An identifier for a client whose name nobody has chosen.
    pub fn random() -> Self {
        let (_, random) = Uuid::new_v4().as_u64_pair();
        Self(format!("c-{random:016x}"))
    }

    /// The identifier as a row carries it.
    pub fn new_unchecked(id: String) -> Self {
        Self(id)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_first_party(&self) -> bool {
        *self == Self::first_party()
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_can_be_written_anywhere() {
        for bad in [
            "",
            "chancery",
            "chancery:browser",
            "01931c4e-0000-7000-8000-000000000000",
            "a b",
            "-a",
            "a/b",
            &"a".repeat(65),
            "caf\u{e9}",
        ] {
            assert!(ClientId::parse(bad).is_err(), "{bad}");
        }
        assert!(ClientId::parse("grafana.prod-1_x~").is_ok());
        let (one, other) = (ClientId::random(), ClientId::random());
        assert!(one != other && ClientId::parse(one.as_str()).is_ok() && one.as_str().len() == 18);
    }
}
