use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ReachView;
use crate::domain::keys::{KeyPolicy, KeySet, Kid, KnownConsumer, SigningKey};

/// A signing key. Its private half is in no answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// The RFC 7638 SHA-256 thumbprint, or what an imported key was called before.
    pub kid: String,
    #[schema(example = "RS256")]
    pub alg: String,
    #[schema(example = "current", pattern = "^(next|current|previous|retired|revoked)$")]
    pub status: String,
    pub created_at: DateTime<Utc>,
    pub published_at: DateTime<Utc>,
    /// When the key may sign without breaking a verifier's cache.
    pub eligible_at: DateTime<Utc>,
    pub activated_at: Option<DateTime<Utc>>,
    pub demoted_at: Option<DateTime<Utc>>,
    /// When the key leaves the JWKS.
    pub retires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// How many known consumers have fetched a set with this key. On published keys of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<ReachView>,
    /// Why the key is in quarantine, when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl KeyView {
    pub fn of(key: &SigningKey, policy: &KeyPolicy, now: DateTime<Utc>) -> Self {
        Self {
            kid: key.kid.to_string(),
            alg: key.alg.as_str().to_owned(),
            status: key.status(now).as_str().to_owned(),
            created_at: key.created_at,
            published_at: key.published_at,
            eligible_at: policy.eligible_at(key.published_at),
            activated_at: key.activated_at,
            demoted_at: key.demoted_at,
            retires_at: key.retires_at,
            revoked_at: key.revoked_at,
            propagation: None,
            problem: key.damage.map(|column| format!("column {column} cannot be read")),
        }
    }
}

/// Every key, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyListView {
    pub keys: Vec<KeyView>,
    /// When the schedule rotates next.
    pub next_rotation_at: DateTime<Utc>,
}

impl KeyListView {
    /// `problems` are those of keys in quarantine, by kid.
    pub fn of(
        set: &KeySet,
        known: &[KnownConsumer],
        problems: &[(Kid, String)],
        policy: &KeyPolicy,
        now: DateTime<Utc>,
    ) -> Self {
        let view = |key: &SigningKey| KeyView {
            propagation: key.is_published(now).then(|| ReachView::of(known, key.published_at)),
            problem: problems.iter().find(|(kid, _)| *kid == key.kid).map(|(_, problem)| problem.clone()),
            ..KeyView::of(key, policy, now)
        };
        Self { keys: set.all().iter().map(view).collect(), next_rotation_at: set.scheduled_at(policy) }
    }
}
