use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::Deserialize;
use url::Url;

use super::value::{List, MINUTE, SECOND, Span, ZERO, or_cores, origin_of};
use crate::settings::{ForwardedHeader, ServerSettings, SettingsError};
use crate::tls::TlsFiles;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenServer {
    listen: SocketAddr,
    admin_listen: String,
    tls_certificate: String,
    tls_key: String,
    issuer: String,
    workers: usize,
    trusted_proxies: List,
    forwarded_header: ForwardedHeader,
    cors_origins: List,
    request_timeout: Span,
    shutdown_timeout: Span,
}

impl WrittenServer {
    pub(super) fn check(self) -> Result<ServerSettings, SettingsError> {
        let issuer_origin = check_issuer(&self.issuer)?;
        let mut origins = vec![issuer_origin];
        for origin in self.cors_origins.0 {
            match origin_of(&origin) {
                Some(parsed) if parsed == origin => origins.push(parsed),
                _ => {
                    let problem = format!(
                        "`{origin}` is no origin; write scheme and host only, https://app.example.com"
                    );
                    return Err(SettingsError::new("server.cors_origins", problem));
                }
            }
        }
        let proxy = |text: &String| {
            let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            parsed.map_err(|_| {
                SettingsError::new("server.trusted_proxies", format!("`{text}` is no address and no network"))
            })
        };
        Ok(ServerSettings {
            listen: self.listen,
            admin_listen: parse_admin_listen(&self.admin_listen, self.listen)?,
            tls: tls_files(self.tls_certificate, self.tls_key)?,
            forwarded_header: self.forwarded_header,
            workers: or_cores(self.workers, "server.workers", 1024)?,
            trusted_proxies: self.trusted_proxies.0.iter().map(proxy).collect::<Result<_, _>>()?,
            origins,
            request_timeout: self.request_timeout.within("server.request_timeout", SECOND / 10, MINUTE)?,
            shutdown_timeout: self.shutdown_timeout.within("server.shutdown_timeout", ZERO, 10 * MINUTE)?,
            issuer: self.issuer,
        })
    }
}

fn parse_admin_listen(written: &str, listen: SocketAddr) -> Result<Option<SocketAddr>, SettingsError> {
    const KEY: &str = "server.admin_listen";
    if written.is_empty() {
        return Ok(None);
    }
    let address: SocketAddr = written
        .parse()
        .map_err(|_| SettingsError::new(KEY, format!("`{written}` is no address and port")))?;
    if address == listen && listen.port() != 0 {
        return Err(SettingsError::new(KEY, "must be another address than server.listen; or leave it out"));
    }
    Ok(Some(address))
}

fn tls_files(certificate: String, key: String) -> Result<Option<TlsFiles>, SettingsError> {
    match (certificate.is_empty(), key.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(TlsFiles { certificate: certificate.into(), key: key.into() })),
        (false, true) => {
            Err(SettingsError::new("server.tls_key", "is missing; server.tls_certificate is set"))
        }
        (true, false) => {
            Err(SettingsError::new("server.tls_certificate", "is missing; server.tls_key is set"))
        }
    }
}

/// RFC 8414 section 2: a URL without query and fragment. Compared byte for byte by every verifier, so there is one way to
/// write it. Returns its origin.
fn check_issuer(issuer: &str) -> Result<String, SettingsError> {
    let wrong = |problem: &str| Err(SettingsError::new("server.issuer", problem));
    if issuer.ends_with('/') {
        return wrong("must not end with a slash");
    }
    if issuer.contains(['?', '#']) {
        return wrong("must have no query and no fragment");
    }
    let (Some(origin), Ok(url)) = (origin_of(issuer), Url::parse(issuer)) else {
        return wrong("must be an http:// or https:// URL");
    };
    match url.as_str().trim_end_matches('/') {
        canonical if canonical == issuer => Ok(origin),
        canonical => wrong(&format!("write it as {canonical}")),
    }
}
