use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rfc3339;
use crate::domain::keys::{KnownConsumer, SigningKey};

/// How far a key has come: of the consumers known, how many have fetched a set that holds it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReachView {
    pub known: usize,
    pub fetched: usize,
}

impl ReachView {
    pub(super) fn of(known: &[KnownConsumer], published_at: DateTime<Utc>) -> Self {
        let fetched = known.iter().filter(|consumer| consumer.has_fetched(published_at)).count();
        Self { known: known.len(), fetched }
    }
}

/// Who fetches the JWK Set: a user agent in a network. Full addresses are not kept.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ConsumerView {
    pub user_agent: String,
    #[schema(example = "203.0.113.0/24")]
    pub network: String,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    /// Whether it has fetched the set since the key was published.
    pub fetched: bool,
}

/// Which consumers have a key, those without it first and of them the one longest not seen first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PropagationView {
    pub kid: String,
    pub published_at: DateTime<Utc>,
    pub known: usize,
    pub fetched: usize,
    /// For people.
    #[schema(example = "3 of 41 known consumers have not fetched this key")]
    pub summary: String,
    pub consumers: Vec<ConsumerView>,
}

impl PropagationView {
    /// Consumers named in a dry run; the list of the key has them all.
    const NAMED: usize = 20;

    /// `known` by the time they were last seen.
    pub fn of(key: &SigningKey, known: &[KnownConsumer]) -> Self {
        let view = |known: &KnownConsumer| ConsumerView {
            user_agent: known.consumer.user_agent.clone(),
            network: known.consumer.network.clone(),
            first_seen_at: known.first_seen_at,
            last_seen_at: known.last_seen_at,
            fetched: known.has_fetched(key.published_at),
        };
        let mut consumers: Vec<ConsumerView> = known.iter().map(view).collect();
        consumers.sort_by_key(|consumer| consumer.fetched);
        let reach = ReachView::of(known, key.published_at);
        let missing: Vec<&ConsumerView> = consumers.iter().filter(|consumer| !consumer.fetched).collect();
        let summary = match missing.iter().map(|consumer| consumer.last_seen_at).max() {
            None if known.is_empty() => "no consumer is known yet".to_owned(),
            None => format!("all known consumers ({}) have fetched this key", reach.known),
            Some(last) => format!(
                "{} of {} known consumers have not fetched this key, last seen {}",
                missing.len(),
                reach.known,
                rfc3339(last)
            ),
        };
        Self {
            kid: key.kid.to_string(),
            published_at: key.published_at,
            known: reach.known,
            fetched: reach.fetched,
            summary,
            consumers,
        }
    }

    /// Only who is missing, and not all of them.
    pub(super) fn missing_only(mut self) -> Self {
        self.consumers.retain(|consumer| !consumer.fetched);
        self.consumers.truncate(Self::NAMED);
        self
    }
}
