use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};

/// Who fetches the JWK Set, as far as it is remembered: a user agent in a network. A full address is never kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Consumer {
    pub network: String,
    pub user_agent: String,
}

/// What a consumer has fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwksFetch {
    pub at: DateTime<Utc>,
    /// The newest `published_at` in the set it got: it has every key published until then.
    pub published_until: DateTime<Utc>,
}

/// A consumer and all that is known of it.
#[derive(Clone, Debug)]
pub struct KnownConsumer {
    pub consumer: Consumer,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub published_until: DateTime<Utc>,
}

impl Consumer {
    /// Longest part of a user agent that is kept, in characters.
    const USER_AGENT: usize = 120;
    /// User agents told apart in one network; the rest of it counts as one.
    pub const PER_NETWORK: usize = 20;
    /// Consumers remembered in all.
    pub const REMEMBERED: usize = 1000;
    /// A consumer not seen for this long is forgotten.
    pub const REMEMBERED_FOR: TimeDelta = TimeDelta::days(30);

    pub fn new(ip: Option<IpAddr>, user_agent: Option<&str>) -> Self {
        let user_agent: String =
            user_agent.unwrap_or("").chars().filter(|c| !c.is_control()).take(Self::USER_AGENT).collect();
        Self { network: ip.map_or_else(|| "unknown".to_owned(), network), user_agent }
    }

    /// Where the many user agents of one network are counted together.
    pub fn others(&self) -> Self {
        Self { network: self.network.clone(), user_agent: "(others)".to_owned() }
    }
}

impl JwksFetch {
    /// Two fetches of one consumer as one.
    pub fn merge(self, other: Self) -> Self {
        Self { at: self.at.max(other.at), published_until: self.published_until.max(other.published_until) }
    }
}

impl KnownConsumer {
    /// Whether it has fetched a set that holds the keys published at this time.
    pub fn has_fetched(&self, published_at: DateTime<Utc>) -> bool {
        self.published_until >= published_at
    }
}

/// The /24 or /48 an address is in: large enough not to be a person, small enough to be a team.
fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{}/48", std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_network_of_an_address_is_kept() {
        let network = |ip: &str| Consumer::new(Some(ip.parse().unwrap()), None).network;
        assert_eq!(network("203.0.113.77"), "203.0.113.0/24");
        assert_eq!(network("::ffff:203.0.113.77"), "203.0.113.0/24");
        assert_eq!(network("2001:db8:1:2::3"), "2001:db8:1::/48");
    }

    #[test]
    fn a_user_agent_is_cut_and_cleaned() {
        let agent = format!("evil\r\n\u{1b}[31m{}", "x".repeat(500));
        let kept = Consumer::new(None, Some(&agent)).user_agent;
        assert!(kept.starts_with("evil[31mxxx") && kept.chars().count() == 120, "{kept}");
    }
}
