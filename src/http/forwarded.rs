use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use ipnet::IpNet;

use crate::settings::ForwardedHeader;

/// The socket's address, unless that is a trusted proxy: then the right-most hop of the configured header that is not one.
/// What cannot be read is not believed, and neither is anything left of it.
pub fn client_ip(request: &HttpRequest, trusted: &[IpNet], header: ForwardedHeader) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
    if !is_trusted(&peer) {
        return Some(peer);
    }
    let lines = |name| request.headers().get_all(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let hops: Vec<Option<IpAddr>> = match header {
        ForwardedHeader::XForwardedFor => lines("x-forwarded-for").flat_map(hops_of_list).collect(),
        ForwardedHeader::Forwarded => lines("forwarded").flat_map(hops_of_forwarded).collect(),
    };
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        let Some(ip) = hop else { break };
        client = ip;
        if !is_trusted(&ip) {
            break;
        }
    }
    Some(client)
}

fn hops_of_list(line: &str) -> Vec<Option<IpAddr>> {
    line.split(',').map(|hop| parse_hop(hop.trim())).collect()
}

/// The `for` of each element (RFC 7239 section 4). One without it, twice with it, `unknown` or hidden tells no address.
fn hops_of_forwarded(line: &str) -> Vec<Option<IpAddr>> {
    let Some(elements) = split_unquoted(line, ',') else { return vec![None] };
    elements.into_iter().map(hop_of_element).collect()
}

fn hop_of_element(element: &str) -> Option<IpAddr> {
    let pairs = split_unquoted(element, ';')?;
    let mut named = pairs.iter().filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
    });
    let (value, None) = (named.next()?, named.next()) else { return None };
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    parse_hop(quoted.unwrap_or(value))
}

/// Parts between separators that are in no quoted string; nothing when a string does not end.
fn split_unquoted(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if character == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + separator.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!quoted).then_some(parts)
}

/// An address, in brackets or with a port or plain.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bracketed = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let bare = bracketed.unwrap_or(hop);
    let parsed = bare.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
    parsed.ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    fn found(peer: &str, header: ForwardedHeader, lines: &[&str], trusted: &[&str]) -> String {
        let name = match header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        let mut request = TestRequest::default().peer_addr(format!("{peer}:1234").parse().unwrap());
        for line in lines {
            request = request.append_header((name, *line));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        client_ip(&request.to_http_request(), &trusted, header).unwrap().to_string()
    }

    fn ip_of(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        found(peer, ForwardedHeader::XForwardedFor, lines, trusted)
    }

    fn by_rfc(lines: &[&str]) -> String {
        found("10.0.0.1", ForwardedHeader::Forwarded, lines, &["10.0.0.0/8"])
    }

    #[test]
    fn an_untrusted_peer_is_believed_nothing() {
        assert_eq!(ip_of("192.0.2.7", &["198.51.100.1"], &["10.0.0.0/8"]), "192.0.2.7");
        assert_eq!(ip_of("192.0.2.7", &["198.51.100.1"], &[]), "192.0.2.7");
        let rfc = ForwardedHeader::Forwarded;
        assert_eq!(found("192.0.2.7", rfc, &["for=198.51.100.1"], &["10.0.0.0/8"]), "192.0.2.7");
    }

    #[test]
    fn a_trusted_proxy_names_the_right_most_untrusted_hop() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(ip_of("10.0.0.1", &["203.0.113.9, 198.51.100.1"], &trusted), "198.51.100.1");
        assert_eq!(ip_of("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"], &trusted), "198.51.100.1");
        assert_eq!(ip_of("10.0.0.1", &["203.0.113.9", "198.51.100.1:4711"], &trusted), "198.51.100.1");
        assert_eq!(ip_of("10.0.0.1", &["[2001:db8::1]:443"], &trusted), "2001:db8::1");
        assert_eq!(ip_of("10.0.0.1", &["[2001:db8::1]"], &trusted), "2001:db8::1");
        assert_eq!(ip_of("10.0.0.1", &["::ffff:198.51.100.1"], &trusted), "198.51.100.1");
    }

    #[test]
    fn garbage_is_no_error_and_no_way_around() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(ip_of("10.0.0.1", &["203.0.113.9, unknown"], &trusted), "10.0.0.1");
        assert_eq!(ip_of("10.0.0.1", &["203.0.113.9, garbage, 10.0.0.2"], &trusted), "10.0.0.2");
        assert_eq!(ip_of("10.0.0.1", &[""], &trusted), "10.0.0.1");
        assert_eq!(ip_of("10.0.0.1", &["203.0.113.9, [[198.51.100.1]]"], &trusted), "10.0.0.1");
    }

    #[test]
    fn the_standard_header_is_read_as_the_rfc_writes_it() {
        assert_eq!(by_rfc(&["for=192.0.2.60;proto=http;by=203.0.113.43"]), "192.0.2.60");
        assert_eq!(
            by_rfc(&["for=203.0.113.9, FOR = \"198.51.100.1:4711\" ; host=evil.test"]),
            "198.51.100.1"
        );
        assert_eq!(by_rfc(&[r#"for="[2001:db8:cafe::17]:4711""#]), "2001:db8:cafe::17");
        assert_eq!(by_rfc(&["for=203.0.113.9", "for=198.51.100.1", "for=10.0.0.2"]), "198.51.100.1");
        assert_eq!(by_rfc(&[r#"host="a,for=203.0.113.9";for=198.51.100.1"#]), "198.51.100.1");
    }

    #[test]
    fn what_names_no_address_ends_the_belief() {
        for blind in [
            "for=unknown",
            "for=_hidden",
            "proto=https",
            "for=1.2.3.4;for=5.6.7.8",
            r#"for="1.2.3.4"#,
            "",
            "=",
        ] {
            assert_eq!(by_rfc(&["for=203.0.113.9", blind]), "10.0.0.1", "{blind}");
        }
    }

    #[test]
    fn only_the_header_that_the_proxy_writes_is_read() {
        let request = TestRequest::default()
            .peer_addr("10.0.0.1:1".parse().unwrap())
            .append_header(("forwarded", "for=203.0.113.9"))
            .append_header(("x-forwarded-for", "198.51.100.1"))
            .to_http_request();
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let read = |header| client_ip(&request, &trusted, header).unwrap().to_string();
        assert_eq!(read(ForwardedHeader::XForwardedFor), "198.51.100.1");
        assert_eq!(read(ForwardedHeader::Forwarded), "203.0.113.9");
    }

    proptest! {
        #[test]
        fn whatever_a_client_prepends_the_proxys_own_word_counts(prefix in "[ -~]{0,60}") {
            // A proxy appends its own line; quotes and commas before it cannot swallow it.
            prop_assert_eq!(by_rfc(&[prefix.as_str(), "for=198.51.100.1"]), "198.51.100.1");
            prop_assert_eq!(ip_of("10.0.0.1", &[prefix.as_str(), "198.51.100.1"], &["10.0.0.0/8"]), "198.51.100.1");
        }

        #[test]
        fn nothing_makes_the_reader_panic(line in any::<String>()) {
            let _ = (hops_of_forwarded(&line), hops_of_list(&line));
        }
    }
}
