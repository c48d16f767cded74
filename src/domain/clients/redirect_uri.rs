use url::{Host, Url};

/// Where an answer may be sent to. Compared as a string (RFC 9700 section 4.1.3), except the port of a loopback address
/// (RFC 8252 section 7.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUri(String);

/// Why a text is no redirect URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedirectUri {
    #[error("it is no absolute URI")]
    NotAbsolute,
    #[error("it has a fragment")]
    Fragment,
    #[error("it has a user name or password")]
    UserInfo,
    #[error("it has white space or control characters, or over 1000 characters")]
    Characters,
    #[error("http is for loopback addresses only; use https")]
    PlainHttp,
    #[error(
        "a scheme of one's own is a domain name in reverse, such as com.example.app (RFC 8252 section 7.1)"
    )]
    Scheme,
    #[error("it must be https, or http for a loopback address")]
    NotWeb,
    #[error("it must be https")]
    NotHttps,
}

impl RedirectUri {
    const LOOPBACK: [&'static str; 2] = ["http://127.0.0.1", "http://[::1]"];

    pub fn parse(text: &str) -> Result<Self, InvalidRedirectUri> {
        let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b));
        if !is_plain || text.len() > 1000 {
            return Err(InvalidRedirectUri::Characters);
        }
        let url = Url::parse(text).map_err(|_| InvalidRedirectUri::NotAbsolute)?;
        if text.contains('#') {
            return Err(InvalidRedirectUri::Fragment);
        }
        // The parser drops a user name that is empty, so the text itself is looked at.
        let authority =
            text.split_once("//").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or(""));
        if !url.username().is_empty() || url.password().is_some() || authority.contains('@') {
            return Err(InvalidRedirectUri::UserInfo);
        }
        // A browser would make what lacks the slashes relative to this server.
        let is_web = matches!(url.scheme(), "http" | "https");
        let after = text.get(url.scheme().len() + 1..).unwrap_or_default();
        if is_web && (!after.starts_with("//") || after.starts_with("///")) {
            return Err(InvalidRedirectUri::NotAbsolute);
        }
        match url.scheme() {
            "https" => {}
            "http" => {
                let is_here = match url.host() {
                    Some(Host::Domain(name)) => name == "localhost",
                    Some(Host::Ipv4(ip)) => ip.is_loopback(),
                    Some(Host::Ipv6(ip)) => ip.is_loopback(),
                    None => false,
                };
                if !is_here {
                    return Err(InvalidRedirectUri::PlainHttp);
                }
            }
            own if own.contains('.') => {}
            _ => return Err(InvalidRedirectUri::Scheme),
        }
        Ok(Self(text.to_owned()))
    }

    pub fn new_unchecked(stored: String) -> Self {
        Self(stored)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request that names `presented` means this one.
    pub fn admits(&self, presented: &str) -> bool {
        if self.0 == presented {
            return true;
        }
        Self::LOOPBACK.iter().any(|host| {
            let rest = |uri| Some(without_port(str::strip_prefix(uri, host)?)).flatten();
            rest(&self.0).is_some_and(|registered| rest(presented) == Some(registered))
        })
    }

    /// What a page's `form-action` must name so that a form may end there: an origin, or a scheme.
    pub fn origin(&self) -> String {
        let url = Url::parse(&self.0).ok();
        let web = url.as_ref().filter(|url| matches!(url.scheme(), "http" | "https"));
        match (web, url.as_ref()) {
            (Some(url), _) => url.origin().ascii_serialization(),
            (None, Some(url)) => format!("{}:", url.scheme()),
            (None, None) => String::new(),
        }
    }
}

/// What follows host and port. `None` where neither a port nor a path follows, but more of a host.
fn without_port(rest: &str) -> Option<&str> {
    let path = match rest.strip_prefix(':') {
        Some(after) => {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let port: u16 = after[..digits].parse().ok()?;
            if port == 0 {
                return None;
            }
            &after[digits..]
        }
        None => rest,
    };
    (path.is_empty() || path.starts_with(['/', '?'])).then_some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uri(text: &str) -> RedirectUri {
        RedirectUri::parse(text).unwrap()
    }

    #[test]
    fn a_redirect_uri_is_compared_as_a_string() {
        let registered = uri("https://app.example.com/cb?x=1");
        assert!(registered.admits("https://app.example.com/cb?x=1"));
        for other in [
            "https://app.example.com/cb",
            "https://app.example.com/cb?x=1&y=2",
            "https://app.example.com/CB?x=1",
            "https://APP.example.com/cb?x=1",
            "https://app.example.com:443/cb?x=1",
            "https://app.example.com/./cb?x=1",
            "https://app.example.com/cb?x=%31",
            "https://app.example.com/cb?x=1#",
            "https://user@app.example.com/cb?x=1",
            "https://app.example.com.evil.test/cb?x=1",
            "http://app.example.com/cb?x=1",
            " https://app.example.com/cb?x=1",
        ] {
            assert!(!registered.admits(other), "{other}");
        }
    }

    #[test]
    fn of_a_loopback_address_the_port_may_differ_and_nothing_else() {
        for registered in ["http://127.0.0.1/cb", "http://127.0.0.1:8000/cb"] {
            let registered = uri(registered);
            for good in ["http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb"] {
                assert!(registered.admits(good), "{good}");
            }
            for bad in [
                "http://127.0.0.1:0/cb",
                "http://127.0.0.1:65536/cb",
                "http://127.0.0.1:/cb",
                "http://127.0.0.1:80@evil.test/cb",
                "http://127.0.0.1.evil.test/cb",
                "http://127.0.0.1evil/cb",
                "http://127.0.0.2:80/cb",
                "http://localhost:80/cb",
                "http://[::1]:80/cb",
                "https://127.0.0.1:80/cb",
                "http://127.0.0.1:80/cb2",
                "http://127.0.0.1:80/cb?x",
            ] {
                assert!(!registered.admits(bad), "{bad}");
            }
        }
        assert!(uri("http://[::1]/cb").admits("http://[::1]:9/cb"));
        assert!(!uri("http://localhost/cb").admits("http://localhost:9/cb"));
        assert!(!uri("http://localhost/cb").admits("http://127.0.0.1/cb"));
    }

    #[test]
    fn what_is_no_redirect_uri_cannot_be_registered() {
        for bad in [
            "",
            "/cb",
            "https:",
            "https:a.test/cb",
            "https:/a.test/cb",
            "https:///a.test/cb",
            "https://a.test/#x",
            "https://a.test/#",
            "https://u:p@a.test/",
            "https://@a.test/",
            "http://a.test/cb",
            "http://10.0.0.1/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp:/cb",
            "https://a.test/ cb",
            "https://a.test/\ncb",
            "https://a.test/caf\u{e9}",
        ] {
            assert!(RedirectUri::parse(bad).is_err(), "{bad}");
        }
        for good in [
            "https://a.test",
            "http://localhost:3000/cb",
            "http://[::1]/",
            "com.example.app:/cb",
            "https://a.test/cb?x=1",
        ] {
            assert!(RedirectUri::parse(good).is_ok(), "{good}");
        }
        assert_eq!(uri("https://a.test:8443/cb?x").origin(), "https://a.test:8443");
        assert_eq!(uri("com.example.app:/cb").origin(), "com.example.app:");
    }

    proptest! {
        #[test]
        fn only_the_registered_uri_is_admitted(presented in "\\PC{0,60}", port in 1u16..) {
            let registered = uri("http://127.0.0.1/cb");
            let with_port = format!("http://127.0.0.1:{port}/cb");
            prop_assert!(registered.admits(&with_port));
            if registered.admits(&presented) {
                prop_assert!(presented.starts_with("http://127.0.0.1") && presented.ends_with("/cb"));
            }
            prop_assert!(RedirectUri::parse(&presented).is_err() || !presented.contains(char::is_whitespace));
        }
    }
}
