use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{KeyView, PropagationView};
use crate::domain::keys::{Impact, KeyPolicy, KeySet, KeyStatus, Kid, KnownConsumer, Revocation, SigningKey};

/// The keys as a rotation left them, or, for a dry run, as it would leave them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RotationView {
    pub current: KeyView,
    /// `null` in a dry run: that key is not made yet.
    pub next: Option<KeyView>,
    pub previous: Vec<KeyView>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// In a dry run: who has not fetched the key that would sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<PropagationView>,
}

impl RotationView {
    pub fn of(set: &KeySet, policy: &KeyPolicy, now: DateTime<Utc>) -> Self {
        let view = |key: &SigningKey| KeyView::of(key, policy, now);
        Self {
            current: view(set.current()),
            next: Some(view(set.next())),
            previous: set.previous(now).map(view).collect(),
            dry_run: false,
            propagation: None,
        }
    }

    /// What a rotation at `now` would leave behind.
    pub fn foreseen(set: &KeySet, known: &[KnownConsumer], policy: &KeyPolicy, now: DateTime<Utc>) -> Self {
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
        let propagation = Some(PropagationView::of(&promoted, known).missing_only());
        Self { current: view(&promoted), next: None, previous, dry_run: true, propagation }
    }
}

/// The keys as a revocation left them, or, for a dry run, as it would leave them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RevocationView {
    pub revoked: KeyView,
    /// The waiting key that went with it.
    pub dropped: Option<KeyView>,
    /// What signs now; `null` in a dry run where that key is not made yet.
    pub current: Option<KeyView>,
    /// `null` in a dry run where that key is not made yet.
    pub next: Option<KeyView>,
    pub previous: Vec<KeyView>,
    /// `null` when it could not be told soon enough: a revocation does not wait for it.
    pub impact: Option<ImpactView>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

impl RevocationView {
    /// `None` when `kid` is not in the set.
    pub fn of(
        set: &KeySet,
        kid: &Kid,
        impact: Option<ImpactView>,
        policy: &KeyPolicy,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let view = |key: &SigningKey| KeyView::of(key, policy, now);
        let revoked = set.find(kid)?;
        let went_along = |key: &&SigningKey| {
            key.kid != *kid && key.revoked_at == revoked.revoked_at && key.activated_at.is_none()
        };
        Some(Self {
            revoked: view(revoked),
            dropped: set.all().iter().find(went_along).map(view),
            current: Some(view(set.current())),
            next: Some(view(set.next())),
            previous: set.previous(now).map(view).collect(),
            impact,
            dry_run: false,
        })
    }

    /// What revoking `kid` at `now` would leave behind.
    pub fn foreseen(
        set: &KeySet,
        kid: &Kid,
        wanted: Revocation,
        impact: Option<ImpactView>,
        policy: &KeyPolicy,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let view = |key: &SigningKey| KeyView::of(key, policy, now);
        let gone = |key: &SigningKey| {
            let revoked_at = key.revoked_at.or(Some(now));
            view(&SigningKey { revoked_at, ..key.clone() })
        };
        let takes_all = wanted == Revocation::CurrentAndNext;
        let takes_next = takes_all || wanted == Revocation::Next;
        Some(Self {
            revoked: gone(set.find(kid)?),
            dropped: takes_all.then(|| gone(set.next())),
            current: (!takes_all).then(|| view(set.current())),
            next: (!takes_next).then(|| view(set.next())),
            previous: set.previous(now).filter(|key| key.kid != *kid).map(view).collect(),
            impact,
            dry_run: true,
        })
    }
}

/// What revoking a key costs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct ImpactView {
    /// Sessions that go on; each gets a token under another key at its next refresh.
    pub live_sessions: i64,
    /// Access tokens under the key that are not expired, to the minute; what other nodes signed since their last poll is
    /// not counted yet.
    pub valid_tokens: i64,
    pub last_expires_at: Option<DateTime<Utc>>,
    pub seconds_until_last_expires: Option<i64>,
}

impl ImpactView {
    pub fn of(impact: &Impact, now: DateTime<Utc>) -> Self {
        Self {
            live_sessions: impact.live_sessions,
            valid_tokens: impact.valid_tokens,
            last_expires_at: impact.last_expires_at,
            seconds_until_last_expires: impact.last_expires_at.map(|at| (at - now).num_seconds().max(0)),
        }
    }
}

/// What `revoke-all` revoked, or what a dry run would revoke.
#[derive(Clone, Debug, Serialize)]
pub struct RevokeAllView {
    pub dry_run: bool,
    pub sessions: i64,
    /// Access tokens that were not expired, as far as the nodes had told.
    pub valid_tokens: i64,
    pub last_expires_at: Option<DateTime<Utc>>,
    /// The kids of the keys that are gone.
    pub revoked: Vec<String>,
    /// Made when it is done.
    pub current: Option<KeyView>,
    pub next: Option<KeyView>,
}
