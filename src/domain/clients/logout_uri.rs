use url::Url;

use super::{InvalidRedirectUri, RedirectUri};

/// Where the server sends logout tokens to a client (OpenID Connect Back-Channel Logout section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutUri(String);

impl LogoutUri {
    pub fn parse(text: &str) -> Result<Self, InvalidRedirectUri> {
        let uri = RedirectUri::parse(text)?;
        let is_web = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if is_web { Ok(Self(uri.as_str().to_owned())) } else { Err(InvalidRedirectUri::NotWeb) }
    }

    pub fn new_unchecked(stored: String) -> Self {
        Self(stored)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_at_an_address_of_the_web() {
        for bad in [
            "com.example.app:/out",
            "http://a.test/out",
            "https://a.test/out#x",
            "https://u@a.test/out",
            "/out",
            "",
        ] {
            assert!(LogoutUri::parse(bad).is_err(), "{bad}");
        }
        for good in ["https://a.test/out?x=1", "http://127.0.0.1:8000/out", "http://localhost/out"] {
            assert_eq!(LogoutUri::parse(good).unwrap().as_str(), good);
        }
    }
}
