use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use ipnet::IpNet;

use super::context::{ClientIp, request_id};
use crate::domain::{Actor, Consumer, Origin};
use crate::flows::Device;

/// Longest part of a `User-Agent` that is kept.
const USER_AGENT: usize = 256;

/// Where a request comes from.
pub struct Source {
    ip: Option<IpAddr>,
    user_agent: Option<String>,
}

impl Source {
    pub fn origin(&self, actor: Actor) -> Origin {
        Origin { actor, ip: self.ip, request_id: Some(request_id()) }
    }

    /// Who fetches the keys, as far as that is remembered.
    pub fn consumer(&self) -> Consumer {
        Consumer::new(self.ip, self.user_agent.as_deref())
    }

    pub fn device(self) -> Device {
        Device { ip: self.ip, user_agent: self.user_agent }
    }
}

impl FromRequest for Source {
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let ip = request.extensions().get::<ClientIp>().and_then(|found| found.0);
        let user_agent = request.headers().get(header::USER_AGENT).map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.chars().filter(|c| !c.is_control()).take(USER_AGENT).collect()
        });
        ready(Ok(Self { ip, user_agent }))
    }
}

/// The socket's address, unless that is a trusted proxy: then the right-most hop of `X-Forwarded-For` that is not one.
/// What cannot be read is not believed, and neither is anything left of it.
pub(super) fn client_ip(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
    if !is_trusted(&peer) {
        return Some(peer);
    }
    let lines =
        request.headers().get_all("x-forwarded-for").map(|value| value.to_str().unwrap_or("unreadable"));
    let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        let Some(ip) = parse_hop(hop.trim()) else { break };
        client = ip;
        if !is_trusted(&ip) {
            break;
        }
    }
    Some(client)
}

/// An address, in brackets or with a port or plain.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let parsed = bare.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
    parsed.ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn ip_of(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut request = TestRequest::default().peer_addr(format!("{peer}:1234").parse().unwrap());
        for line in forwarded {
            request = request.append_header(("x-forwarded-for", *line));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        client_ip(&request.to_http_request(), &trusted).unwrap().to_string()
    }

    #[test]
    fn an_untrusted_peer_is_believed_nothing() {
        assert_eq!(ip_of("192.0.2.7", &["198.51.100.1"], &["10.0.0.0/8"]), "192.0.2.7");
        assert_eq!(ip_of("192.0.2.7", &["198.51.100.1"], &[]), "192.0.2.7");
    }

    #[test]
    fn a_trusted_proxy_names_the_right_most_untrusted_hop() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(ip_of("10.0.0.1", &["203.0.113.9, 198.51.100.1"], &trusted), "198.51.100.1");
        assert_eq!(ip_of("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"], &trusted), "198.51.100.1");
        assert_eq!(ip_of("10.0.0.1", &["203.0.113.9", "198.51.100.1:4711"], &trusted), "198.51.100.1");
        assert_eq!(ip_of("10.0.0.1", &["[2001:db8::1]:443"], &trusted), "2001:db8::1");
        assert_eq!(ip_of("10.0.0.1", &["::ffff:198.51.100.1"], &trusted), "198.51.100.1");
    }

    #[test]
    fn garbage_is_no_error_and_no_way_around() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(ip_of("10.0.0.1", &["203.0.113.9, unknown"], &trusted), "10.0.0.1");
        assert_eq!(ip_of("10.0.0.1", &["203.0.113.9, garbage, 10.0.0.2"], &trusted), "10.0.0.2");
        assert_eq!(ip_of("10.0.0.1", &[""], &trusted), "10.0.0.1");
    }
}
