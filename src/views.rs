//! The JSON shapes others rely on: what HTTP answers, what `-o json` prints and what an Idempotency-Key remembers.
//!
//! Made from domain values, never from rows. Used by flows, http and cli.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{DisplayName, KeyPolicy, KeySet, KeyStatus, Session, SessionId, SigningKey, User};

/// A signing key. Its private half is in no answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// RFC 7638 SHA-256 thumbprint.
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
    pub fn of(set: &KeySet, policy: &KeyPolicy, now: DateTime<Utc>) -> Self {
        Self {
            keys: set.all().iter().map(|key| KeyView::of(key, policy, now)).collect(),
            next_rotation_at: set.scheduled_at(policy),
        }
    }
}

/// The keys as a rotation left them, or, for a dry run, as it would leave them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RotationView {
    pub current: KeyView,
    /// `null` in a dry run: that key is not made yet.
    pub next: Option<KeyView>,
    pub previous: Vec<KeyView>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

impl RotationView {
    pub fn of(set: &KeySet, policy: &KeyPolicy, now: DateTime<Utc>) -> Self {
        let view = |key: &SigningKey| KeyView::of(key, policy, now);
        Self {
            current: view(set.current()),
            next: Some(view(set.next())),
            previous: set.previous(now).map(view).collect(),
            dry_run: false,
        }
    }

    /// What a rotation at `now` would leave behind.
    pub fn foreseen(set: &KeySet, policy: &KeyPolicy, now: DateTime<Utc>) -> Self {
        let view = |key: &SigningKey| KeyView::of(key, policy, now);
        let promoted = SigningKey { activated_at: Some(now), ..set.next().clone() };
        let current = set.current();
        let demoted = SigningKey {
            demoted_at: Some(now),
            retires_at: Some(policy.retires_at(now, current.longest_life)),
            ..current.clone()
        };
        debug_assert_eq!(demoted.status(now), KeyStatus::Previous);
        let previous = std::iter::once(view(&demoted)).chain(set.previous(now).map(view)).collect();
        Self { current: view(&promoted), next: None, previous, dry_run: true }
    }
}

/// An account, without anything secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserView {
    pub id: Uuid,
    pub email: String,
    pub email_verified: bool,
    pub name: Option<String>,
    pub roles: Vec<String>,
    #[schema(example = "active", pattern = "^(active|disabled)$")]
    pub status: String,
    pub created_at: DateTime<Utc>,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.0,
            email: user.email.to_string(),
            email_verified: user.email_verified,
            name: user.name.as_ref().map(DisplayName::as_str).map(str::to_owned),
            roles: user.roles.names(),
            status: user.status.as_str().to_owned(),
            created_at: user.created_at,
        }
    }
}

/// One login that goes on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionView {
    pub id: Uuid,
    pub created_at: DateTime<Utc>,
    /// The last login or refresh.
    pub last_used_at: DateTime<Utc>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    /// Whether it is the one asking.
    pub current: bool,
}

impl SessionView {
    pub fn of(session: &Session, asking: SessionId) -> Self {
        Self {
            id: session.id.0,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            ip: session.ip.map(|ip| ip.to_string()),
            user_agent: session.user_agent.clone(),
            current: session.id == asking,
        }
    }
}

/// A time as every answer writes it.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
