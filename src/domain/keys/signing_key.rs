use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

/// A key's identifier. Of a key made here it is the RFC 7638 SHA-256 thumbprint, so it can never come to mean another key;
/// an imported key keeps the one it was published under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kid(String);

impl Kid {
    pub fn new(kid: String) -> Self {
        Self(kid)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key signs with (RFC 7518 section 3.1; RFC 8037 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl SigningAlgorithm {
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// The `alg` of JOSE headers and JWKs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Names are compared as they are written (RFC 7515 section 4.1.1): `rs256` is no algorithm.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == name)
    }

    /// What clients may say that they have signed by: all of those, and the later name of the last one (RFC 9864 section 2.2).
    pub const OF_CLIENTS: [&str; 5] = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"];

    pub fn of_client(name: &str) -> Option<Self> {
        if name == "Ed25519" { Some(Self::EdDsa) } else { Self::parse(name) }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A signing key without its private half. Its status follows from its timestamps and `now`.
#[derive(Clone, Debug)]
pub struct SigningKey {
    pub kid: Kid,
    pub alg: SigningAlgorithm,
    /// The public key as a JWK (RFC 7517), as published.
    pub public_jwk: serde_json::Value,
    /// The longest life of any token this key may have signed.
    pub longest_life: TimeDelta,
    /// The column of the stored row that cannot be read. Such a key is in quarantine: it is not published and nothing of
    /// it is used; `alg` and `public_jwk` mean nothing.
    pub damage: Option<&'static str>,
    pub created_at: DateTime<Utc>,
    pub published_at: DateTime<Utc>,
    pub activated_at: Option<DateTime<Utc>>,
    pub demoted_at: Option<DateTime<Utc>>,
    pub retires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it came in from elsewhere: from another server, which may have signed with it, or from a drill.
    pub imported_at: Option<DateTime<Utc>>,
}

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// Published, does not sign.
    Next,
    /// Signs; there is exactly one.
    Current,
    /// Published until every token it signed is dead; verifies only.
    Previous,
    /// Gone from the JWKS.
    Retired,
    /// Gone at once.
    Revoked,
}

impl KeyStatus {
    pub const ALL: [Self; 5] = [Self::Next, Self::Current, Self::Previous, Self::Retired, Self::Revoked];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }

    fn is_published(self) -> bool {
        matches!(self, Self::Next | Self::Current | Self::Previous)
    }
}

impl SigningKey {
    /// A key that is published from `now` on and does not sign yet.
    pub fn next(
        kid: Kid,
        alg: SigningAlgorithm,
        public_jwk: serde_json::Value,
        longest_life: TimeDelta,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            kid,
            alg,
            public_jwk,
            longest_life,
            damage: None,
            created_at: now,
            published_at: now,
            activated_at: None,
            demoted_at: None,
            retires_at: None,
            revoked_at: None,
            imported_at: None,
        }
    }

    /// The same key as one that has signed, here or elsewhere, and only verifies until then.
    pub fn verifying_until(self, retires_at: DateTime<Utc>) -> Self {
        let since = Some(self.published_at);
        Self { activated_at: since, demoted_at: since, retires_at: Some(retires_at), ..self }
    }

    /// In the JWKS, and accepted by our own endpoints.
    pub fn is_published(&self, now: DateTime<Utc>) -> bool {
        self.damage.is_none() && self.status(now).is_published()
    }

    /// Whether a token of this server can be under it. Not so for a key that came in as previous, or that was taken back while
    /// it waited.
    pub fn may_have_signed_here(&self) -> bool {
        match (self.imported_at, self.activated_at) {
            (None, _) => true,
            (Some(_), None) => self.demoted_at.is_none(),
            (Some(_), activated_at) => activated_at != self.demoted_at,
        }
    }

    pub fn status(&self, now: DateTime<Utc>) -> KeyStatus {
        match self {
            Self { revoked_at: Some(_), .. } => KeyStatus::Revoked,
            Self { retires_at: Some(end), .. } if *end <= now => KeyStatus::Retired,
            Self { demoted_at: Some(_), .. } => KeyStatus::Previous,
            Self { activated_at: Some(_), .. } => KeyStatus::Current,
            _ => KeyStatus::Next,
        }
    }
}

/// The numbers rotation is decided by.
#[derive(Clone, Copy, Debug)]
pub struct KeyPolicy {
    /// σ: the oldest a node's view of the keys may be while it serves and signs by it.
    pub staleness: TimeDelta,
    /// A: the longest `max-age` the JWKS is served with.
    pub jwks_max_age: TimeDelta,
    /// M: how long a verifier may cache without refetching on an unknown kid.
    pub verifier_cache_ttl: TimeDelta,
    pub rotate_every: TimeDelta,
    /// How long past `exp` a token is still accepted.
    pub leeway: TimeDelta,
}

impl KeyPolicy {
    /// How long a next key is published before it may sign: σ + A + M. Then every verifier has fetched it.
    pub fn lead(&self) -> TimeDelta {
        self.staleness + self.jwks_max_age + self.verifier_cache_ttl
    }

    /// When a key published at `published_at` may sign.
    pub fn eligible_at(&self, published_at: DateTime<Utc>) -> DateTime<Utc> {
        published_at + self.lead()
    }

    /// When a key demoted at `demoted_at` may leave the JWKS: a node that has not heard yet signs with it for at
    /// most σ more, and what it signed then lives at most `longest_life`, and is accepted for `leeway` more.
    pub fn retires_at(&self, demoted_at: DateTime<Utc>, longest_life: TimeDelta) -> DateTime<Utc> {
        demoted_at + self.staleness + longest_life + self.leeway
    }

    /// When a waiting key that is taken back at `now` may leave the JWKS. It has signed nothing here, so at once; one that was
    /// imported may have signed elsewhere.
    pub fn withdrawn_until(&self, key: &SigningKey, now: DateTime<Utc>) -> DateTime<Utc> {
        if key.imported_at.is_some() { self.retires_at(now, key.longest_life) } else { now }
    }

    /// When the schedule rotates a key activated at `activated_at`.
    pub fn due_at(&self, activated_at: DateTime<Utc>) -> DateTime<Utc> {
        activated_at + self.rotate_every
    }
}

/// All keys of one database, of which exactly one is current and exactly one is next.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<SigningKey>,
    current: usize,
    next: usize,
}

/// The database does not hold exactly one current and one next key.
#[derive(Debug, thiserror::Error)]
#[error("the database holds {current} current and {next} next signing keys; there must be one of each")]
pub struct KeySetBroken {
    current: usize,
    next: usize,
}

/// Whether the waiting key may sign yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eligibility {
    Eligible,
    NotBefore(DateTime<Utc>),
}

/// What sets a rotation off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The schedule: only when due, never before the gate.
    Schedule,
    /// An operator: at once if the gate allows it.
    Operator,
    /// An operator who overrides the gate.
    Forced,
    /// The current key cannot sign any more: as soon as the gate allows it.
    Repair,
}

/// What the revocation of a key takes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The key signs. The waiting key lay in the same place and goes too; two keys that were never published come.
    CurrentAndNext,
    /// The key waits. Another comes in its place, and its lead begins anew.
    Next,
    /// The key signs no more and has no successor to make.
    Alone,
    /// It was revoked before.
    Done,
}

/// What to do about a wish to rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Promote next, demote current. `early`: only force got it past the gate.
    Proceed {
        early: bool,
    },
    NotEligible(DateTime<Utc>),
    NotDue(DateTime<Utc>),
}

impl KeySet {
    /// Empty is no set: a server without keys makes some before anything else.
    pub fn new(mut keys: Vec<SigningKey>) -> Result<Self, KeySetBroken> {
        // Newest first; of keys made together, as the first two are, the one less far in its life.
        let age = |key: &SigningKey| (key.created_at, key.demoted_at.is_none(), key.activated_at.is_none());
        keys.sort_by_key(|key| std::cmp::Reverse(age(key)));
        // Which key is current or next does not depend on the time; only retirement does.
        let positions = |wanted| {
            let is = move |(_, key): &(usize, &SigningKey)| key.status(DateTime::<Utc>::MIN_UTC) == wanted;
            keys.iter().enumerate().filter(is).map(|(at, _)| at).collect::<Vec<_>>()
        };
        match (&positions(KeyStatus::Current)[..], &positions(KeyStatus::Next)[..]) {
            (&[current], &[next]) => Ok(Self { keys, current, next }),
            (current, next) => Err(KeySetBroken { current: current.len(), next: next.len() }),
        }
    }

    pub fn current(&self) -> &SigningKey {
        &self.keys[self.current]
    }

    pub fn next(&self) -> &SigningKey {
        &self.keys[self.next]
    }

    pub fn find(&self, kid: &Kid) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == *kid)
    }

    /// Marks what is found to be damaged; `find` is asked of every key that is not yet known to be, and names the column.
    pub fn quarantine(&mut self, mut find: impl FnMut(&SigningKey) -> Option<&'static str>) {
        for key in self.keys.iter_mut().filter(|key| key.damage.is_none()) {
            key.damage = find(key);
        }
    }

    /// Every key ever, newest first.
    pub fn all(&self) -> &[SigningKey] {
        &self.keys
    }

    /// The keys the JWKS holds at `now`, newest first.
    pub fn published(&self, now: DateTime<Utc>) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter().filter(move |key| key.is_published(now))
    }

    pub fn previous(&self, now: DateTime<Utc>) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter().filter(move |key| key.status(now) == KeyStatus::Previous)
    }

    pub fn eligibility(&self, policy: &KeyPolicy, now: DateTime<Utc>) -> Eligibility {
        match policy.eligible_at(self.next().published_at) {
            at if at <= now => Eligibility::Eligible,
            at => Eligibility::NotBefore(at),
        }
    }

    /// When the schedule will rotate next: when due, but not before the gate.
    pub fn scheduled_at(&self, policy: &KeyPolicy) -> DateTime<Utc> {
        let current = self.current();
        policy
            .due_at(current.activated_at.unwrap_or(current.created_at))
            .max(policy.eligible_at(self.next().published_at))
    }

    /// What revoking `kid` takes with it. `None` when there is no such key.
    pub fn revocation(&self, kid: &Kid, now: DateTime<Utc>) -> Option<Revocation> {
        Some(match self.find(kid)?.status(now) {
            KeyStatus::Current => Revocation::CurrentAndNext,
            KeyStatus::Next => Revocation::Next,
            KeyStatus::Previous | KeyStatus::Retired => Revocation::Alone,
            KeyStatus::Revoked => Revocation::Done,
        })
    }

    /// The one place that says whether to rotate. Pure, so it is asked twice: before and inside the transaction.
    pub fn decide(&self, policy: &KeyPolicy, trigger: Trigger, now: DateTime<Utc>) -> Rotation {
        let scheduled = self.scheduled_at(policy);
        match (trigger, self.eligibility(policy, now)) {
            (Trigger::Schedule, _) if now < scheduled => Rotation::NotDue(scheduled),
            (Trigger::Forced, Eligibility::NotBefore(_)) => Rotation::Proceed { early: true },
            (_, Eligibility::NotBefore(at)) => Rotation::NotEligible(at),
            (_, Eligibility::Eligible) => Rotation::Proceed { early: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: KeyPolicy = KeyPolicy {
        staleness: TimeDelta::seconds(5),
        jwks_max_age: TimeDelta::minutes(5),
        verifier_cache_ttl: TimeDelta::minutes(15),
        rotate_every: TimeDelta::days(30),
        leeway: TimeDelta::seconds(60),
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn key(kid: &str) -> SigningKey {
        SigningKey {
            kid: Kid::new(kid.to_owned()),
            alg: SigningAlgorithm::Rs256,
            public_jwk: serde_json::Value::Null,
            longest_life: TimeDelta::minutes(10),
            damage: None,
            created_at: at(0),
            published_at: at(0),
            activated_at: None,
            demoted_at: None,
            retires_at: None,
            revoked_at: None,
            imported_at: None,
        }
    }

    fn fresh_set() -> KeySet {
        KeySet::new(vec![key("next"), SigningKey { activated_at: Some(at(0)), ..key("current") }]).unwrap()
    }

    #[test]
    fn an_algorithm_survives_its_own_name_and_no_other() {
        for alg in SigningAlgorithm::ALL {
            assert_eq!(SigningAlgorithm::parse(alg.as_str()), Some(alg));
        }
        for other in ["", "none", "HS256", "RS512", "rs256", "EDDSA", "Ed25519"] {
            assert_eq!(SigningAlgorithm::parse(other), None, "{other}");
        }
    }

    #[test]
    fn status_follows_from_the_timestamps() {
        let mut key = key("k");
        assert_eq!(key.status(at(1)), KeyStatus::Next);
        key.activated_at = Some(at(1));
        assert_eq!(key.status(at(1)), KeyStatus::Current);
        (key.demoted_at, key.retires_at) = (Some(at(10)), Some(at(20)));
        assert_eq!(key.status(at(19)), KeyStatus::Previous);
        assert_eq!(key.status(at(20)), KeyStatus::Retired);
        key.revoked_at = Some(at(15));
        assert_eq!(key.status(at(16)), KeyStatus::Revoked);
    }

    #[test]
    fn the_gate_opens_when_every_cache_must_have_the_next_key() {
        let lead = 5 + 300 + 900;
        let set = fresh_set();
        assert_eq!(set.decide(&POLICY, Trigger::Operator, at(lead - 1)), Rotation::NotEligible(at(lead)));
        assert_eq!(set.decide(&POLICY, Trigger::Operator, at(lead)), Rotation::Proceed { early: false });
        assert_eq!(set.decide(&POLICY, Trigger::Forced, at(lead - 1)), Rotation::Proceed { early: true });
        assert_eq!(set.decide(&POLICY, Trigger::Forced, at(lead)), Rotation::Proceed { early: false });
    }

    #[test]
    fn the_schedule_waits_for_its_day_and_for_the_gate() {
        let set = fresh_set();
        let due = 30 * 86_400;
        assert_eq!(set.decide(&POLICY, Trigger::Schedule, at(due - 1)), Rotation::NotDue(at(due)));
        assert_eq!(set.decide(&POLICY, Trigger::Schedule, at(due)), Rotation::Proceed { early: false });
        let hasty = KeyPolicy { rotate_every: TimeDelta::seconds(1), ..POLICY };
        assert_eq!(set.decide(&hasty, Trigger::Schedule, at(2)), Rotation::NotDue(at(1205)));
    }

    #[test]
    fn a_demoted_key_outlives_every_token_it_signed() {
        assert_eq!(POLICY.retires_at(at(0), TimeDelta::minutes(10)), at(5 + 600 + 60));
    }

    #[test]
    fn a_set_has_one_current_and_one_next() {
        assert!(KeySet::new(vec![]).is_err());
        assert!(KeySet::new(vec![key("a"), key("b")]).is_err());
        let retired = SigningKey {
            activated_at: Some(at(0)),
            demoted_at: Some(at(1)),
            retires_at: Some(at(2)),
            ..key("old")
        };
        let current = SigningKey { activated_at: Some(at(1)), ..key("current") };
        let set = KeySet::new(vec![key("next"), current, retired]).unwrap();
        assert_eq!(set.published(at(1)).count(), 3);
        assert_eq!(set.published(at(2)).count(), 2);
    }
}
