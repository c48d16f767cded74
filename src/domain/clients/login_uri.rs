use url::Url;

use super::{InvalidRedirectUri, RedirectUri};

/// Where a third party can start a sign-in to a client (OpenID Connect Core section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginUri(String);

impl LoginUri {
    pub fn parse(text: &str) -> Result<Self, InvalidRedirectUri> {
        let uri = RedirectUri::parse(text)?;
        let is_https = Url::parse(text).is_ok_and(|url| url.scheme() == "https");
        if is_https { Ok(Self(uri.as_str().to_owned())) } else { Err(InvalidRedirectUri::NotHttps) }
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
    fn it_is_https() {
        assert!(LoginUri::parse("https://app.example.com/begin?x=1").is_ok());
        for bad in
            ["http://127.0.0.1/begin", "com.example.app:/begin", "https://app.example.com/#x", "/begin", ""]
        {
            assert!(LoginUri::parse(bad).is_err(), "{bad}");
        }
    }
}
