//! The one shared state of a node, a line per field. Flows take it; nothing in it is another node's concern.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::keys::{JwksDocument, KeyFactory, Keyring, MasterKeys};
use crate::passwords::Hasher;
use crate::settings::Settings;
use crate::store::Db;
use crate::usage_recorder::UsageRecorder;

/// Of a pool of ten this leaves most to those who need no password checked.
const PASSWORD_TURNS: usize = 3;

/// A node.
pub struct App {
    pub settings: Settings,
    pub clock: Clock,
    pub db: Db,
    pub master_keys: MasterKeys,
    /// This node's view of the signing keys; `None` only before the first has been read.
    pub keyring: ArcSwapOption<Keyring>,
    /// What was served before a restart, while the database has not been read since.
    pub last_good: ArcSwapOption<JwksDocument>,
    pub key_factory: Arc<KeyFactory>,
    pub hasher: Hasher,
    /// Password checks may be many; only so many of them ask the database at once, so that others get their turn.
    pub password_turns: Semaphore,
    /// What this node has seen and not yet told the database.
    pub usage_recorder: UsageRecorder,
    keyring_tickets: AtomicU64,
    /// In microseconds since 1970.
    database_back_us: AtomicI64,
    started: AtomicBool,
    draining: AtomicBool,
}

impl App {
    pub fn new(
        settings: Settings,
        clock: Clock,
        db: Db,
        master_keys: MasterKeys,
        key_factory: KeyFactory,
    ) -> std::io::Result<Self> {
        let hasher = Hasher::start(settings.passwords.hasher)?;
        Ok(Self {
            settings,
            clock,
            db,
            master_keys,
            keyring: ArcSwapOption::empty(),
            last_good: ArcSwapOption::empty(),
            key_factory: Arc::new(key_factory),
            hasher,
            password_turns: Semaphore::new(PASSWORD_TURNS),
            usage_recorder: UsageRecorder::default(),
            keyring_tickets: AtomicU64::new(0),
            database_back_us: AtomicI64::new(i64::MIN),
            started: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        })
    }

    /// The database is away, or has just come back.
    pub fn record_database_away(&self) {
        self.database_back_us.store(self.clock.now().timestamp_micros(), Ordering::Relaxed);
    }

    /// When the database was last seen to be away, as far as this node has noticed.
    pub fn database_back_at(&self) -> DateTime<Utc> {
        let back_us = self.database_back_us.load(Ordering::Relaxed);
        DateTime::from_timestamp_micros(back_us).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// A number for one reading of the keys, higher than any before.
    pub fn next_keyring_ticket(&self) -> u64 {
        self.keyring_tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// The key set to serve: this node's view, or what it served before.
    pub fn jwks(&self) -> Option<Arc<JwksDocument>> {
        let view = self.keyring.load_full().map(|keyring| Arc::clone(keyring.jwks()));
        view.or_else(|| self.last_good.load_full()).filter(|document| !document.is_empty())
    }

    /// The `Cache-Control` of that key set. A node that is cut off from the database may have missed a change, so nobody should
    /// keep its answer for long.
    pub fn jwks_cache_control(&self, document: &JwksDocument) -> String {
        let (policy, now) = (&self.settings.key_policy, self.clock.now());
        let is_fresh = self.keyring.load().as_ref().is_some_and(|keyring| !keyring.is_stale(policy, now));
        document.cache_control(now, (!is_fresh).then_some(policy.staleness))
    }

    /// The database has been looked at and everything is as it must be.
    pub fn finish_start(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// Until then the node serves the key set it kept, and nothing else.
    pub fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// From now on the node says it is not ready, so that balancers send no more.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
