//! What this node has seen since it last told the database: who fetched the JWK Set, and how many tokens were signed.
//!
//! Counting is in memory and never in a request's way; the background task writes it down at every poll, so that the
//! table holds what all nodes have seen. Bounded: a flood of invented user agents fills it and changes nothing else.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::domain::keys::{Consumer, IssuedTokens, JwksFetch, Kid};

/// User agents of one network in one batch; the table distinguishes fewer. Large enough that those it knows find room beside a
/// flood from the same address.
const CROWD: usize = 10 * Consumer::PER_NETWORK;

/// See the opening of this module.
#[derive(Default)]
pub struct UsageRecorder(Mutex<Batch>);

/// What was counted since the last batch was drained.
#[derive(Default)]
pub struct Batch {
    pub consumers: HashMap<Consumer, JwksFetch>,
    in_network: HashMap<String, usize>,
    pub issued: HashMap<(Kid, DateTime<Utc>), IssuedTokens>,
    /// Fetches without room in the batch.
    pub untracked: u64,
}

impl UsageRecorder {
    /// Somebody was given the JWK Set.
    pub fn fetched(&self, consumer: Consumer, fetch: JwksFetch) {
        self.write(|batch| batch.add_consumer(consumer, fetch));
    }

    /// A token was signed that expires then.
    pub fn issued(&self, kid: &Kid, expires_at: DateTime<Utc>) {
        let token = IssuedTokens { tokens: 1, last_expires_at: expires_at };
        self.write(|batch| batch.add_issued((kid.clone(), IssuedTokens::minute(expires_at)), token));
    }

    /// Returns what was counted, and begins a new batch.
    pub fn drain(&self) -> Batch {
        self.write(std::mem::take)
    }

    /// Adds a batch that could not be written to the next one.
    pub fn restore(&self, taken: Batch) {
        self.write(|batch| {
            batch.untracked += taken.untracked;
            taken.consumers.into_iter().for_each(|(consumer, fetch)| batch.add_consumer(consumer, fetch));
            taken.issued.into_iter().for_each(|(at, tokens)| batch.add_issued(at, tokens));
        });
    }

    fn write<T>(&self, change: impl FnOnce(&mut Batch) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.consumers.is_empty() && self.issued.is_empty() && self.untracked == 0
    }

    /// The many user agents of one network count as one, so that one network cannot fill the batch.
    fn add_consumer(&mut self, consumer: Consumer, fetch: JwksFetch) {
        if let Some(seen) = self.consumers.get_mut(&consumer) {
            *seen = seen.merge(fetch);
            return;
        }
        if self.consumers.len() >= Consumer::REMEMBERED {
            self.untracked += 1;
            return;
        }
        let neighbours = self.in_network.entry(consumer.network.clone()).or_default();
        if *neighbours >= CROWD {
            let seen = self.consumers.entry(consumer.others()).or_insert(fetch);
            *seen = seen.merge(fetch);
            return;
        }
        *neighbours += 1;
        self.consumers.insert(consumer, fetch);
    }

    /// Bounded by the keys that sign and the minutes a token may live.
    fn add_issued(&mut self, at: (Kid, DateTime<Utc>), tokens: IssuedTokens) {
        self.issued.entry(at).and_modify(|sum| *sum = sum.plus(tokens)).or_insert(tokens);
    }
}

impl fmt::Debug for UsageRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UsageRecorder(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(seconds)
    }

    #[test]
    fn a_flood_of_user_agents_costs_bounded_memory() {
        let usage_recorder = UsageRecorder::default();
        for n in 0..5000 {
            let consumer = Consumer::new(None, Some(&format!("agent {n}")));
            usage_recorder.fetched(consumer, JwksFetch { at: at(n), published_until: at(0) });
        }
        let elsewhere = Consumer::new(Some("203.0.113.7".parse().unwrap()), Some("legit"));
        usage_recorder.fetched(elsewhere.clone(), JwksFetch { at: at(9), published_until: at(9) });
        let batch = usage_recorder.drain();
        assert_eq!((batch.consumers.len(), batch.untracked), (CROWD + 2, 0));
        assert_eq!(batch.consumers[&elsewhere].published_until, at(9));
        assert!(usage_recorder.drain().is_empty());
    }

    #[test]
    fn a_flood_from_everywhere_costs_bounded_memory() {
        let usage_recorder = UsageRecorder::default();
        for n in 0..5000_u32 {
            let ip = std::net::IpAddr::from(n.to_be_bytes().map(|byte| byte.wrapping_add(1)));
            let consumer = Consumer { network: ip.to_string(), user_agent: String::new() };
            usage_recorder.fetched(consumer, JwksFetch { at: at(0), published_until: at(0) });
        }
        let batch = usage_recorder.drain();
        assert_eq!((batch.consumers.len(), batch.untracked), (1000, 4000));
    }

    #[test]
    fn what_comes_back_is_added_to_what_was_seen_since() {
        let usage_recorder = UsageRecorder::default();
        let (kid, consumer) = (Kid::new("k".to_owned()), Consumer::new(None, None));
        let see = |seconds| {
            usage_recorder.issued(&kid, at(seconds));
            usage_recorder
                .fetched(consumer.clone(), JwksFetch { at: at(seconds), published_until: at(100 - seconds) });
        };
        see(70);
        let taken = usage_recorder.drain();
        see(80);
        usage_recorder.restore(taken);
        let batch = usage_recorder.drain();
        assert_eq!(batch.issued[&(kid, at(60))], IssuedTokens { tokens: 2, last_expires_at: at(80) });
        assert_eq!(batch.consumers[&consumer], JwksFetch { at: at(80), published_until: at(30) });
    }
}
