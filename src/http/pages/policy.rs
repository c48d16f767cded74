use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use url::Url;

/// What a browser may do with a page: its Content-Security-Policy.
pub(super) struct Policy<'a> {
    /// Where forms may lead besides this server, and what they lead to may redirect: Chromium asks at every redirect.
    pub form_to: &'a [String],
    /// The one script, if any.
    pub script: Option<&'static str>,
    pub logo: Option<&'a str>,
}

impl fmt::Display for Policy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("default-src 'none'; ")?;
        if let Some(script) = self.script {
            write!(f, "script-src 'sha256-{}'; ", BASE64_STANDARD.encode(sha256(script)))?;
        }
        f.write_str("style-src 'self'; img-src 'self' data:")?;
        let logo = self.logo.and_then(|logo| Url::parse(logo).ok()).filter(|url| url.scheme() == "https");
        if let Some(source) = logo.and_then(|url| source(&url.origin().ascii_serialization())) {
            write!(f, " {source}")?;
        }
        f.write_str("; form-action 'self'")?;
        for source in self.form_to.iter().filter_map(|origin| source(origin)) {
            write!(f, " {source}")?;
        }
        // A client on this very machine may redirect to another one here, such as a server to the pages it serves.
        if self.form_to.iter().any(|origin| origin.starts_with("http://")) {
            f.write_str(" http://localhost:* http://127.0.0.1:*")?;
        }
        f.write_str("; frame-ancestors 'none'; base-uri 'none'")
    }
}

/// An origin or a scheme as a policy may name it. `;` and `,` may stand in a host and would end the directive; an IPv6 address
/// cannot be written there at all (CSP3 section 2.3.1), so its scheme stands for it.
fn source(origin: &str) -> Option<String> {
    let is_plain =
        !origin.is_empty() && origin.bytes().all(|b| b.is_ascii_graphic() && !b";,'\"*".contains(&b));
    match origin.split_once("//[") {
        _ if !is_plain => None,
        Some((scheme, _)) => Some(scheme.to_owned()),
        None => Some(origin.to_owned()),
    }
}

pub(super) fn sha256(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref());
    bytes
}
