//! What a node does unasked: follow the signing keys, rotate on schedule, clean up.
//!
//! The poll is what is relied on; the notification only makes it sooner. Each task ends when told.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::keys::{KeyStatus, Rotation, Trigger};
use crate::domain::oauth::BackchannelLogout;
use crate::domain::operations::AuditContext;
use crate::flows::clean_up;
use crate::flows::keys::{
    RotateKeys, RotateKeysError, flush_usage, keep_last_good, load_keyring, measure_propagation,
    record_retirements, repair_keys, rotate_keys, sync_clock,
};
use crate::flows::oauth::{claim_backchannel_logouts, notify_client};
use crate::keys::JwksDocument;
use crate::outbound::Outbound;
use crate::store::{KeysListener, StoreError};
use crate::telemetry;

/// Long enough to make a large key first, when none is in stock.
const CHANGES_WITHIN: Duration = Duration::from_secs(30);
const RESTOCK_EVERY: Duration = Duration::from_secs(5);
const CLEAN_UP_EVERY: Duration = Duration::from_mins(10);
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(1);
const LOOK_FOR_NEWS_EVERY: Duration = Duration::from_secs(1);
/// Clients told at once; one that does not answer takes a place for five seconds.
const TOLD_AT_ONCE: usize = 16;

/// Starts the tasks. They end soon after `stop` is cancelled.
pub fn start(app: &Arc<App>, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let until_stopped = |task| {
        let stop = stop.clone();
        async move {
            stop.run_until_cancelled_owned(task).await;
        }
    };
    tasks.spawn(until_stopped(boxed(follow_keys(Arc::clone(app)))));
    tasks.spawn(until_stopped(boxed(listen_for_keys(Arc::clone(app)))));
    tasks.spawn(until_stopped(boxed(keep_stock(Arc::clone(app)))));
    tasks.spawn(until_stopped(boxed(keep_usage(Arc::clone(app)))));
    tasks.spawn(until_stopped(boxed(keep_clean(Arc::clone(app)))));
    tasks.spawn(until_stopped(boxed(notify_clients(Arc::clone(app)))));
    tasks.spawn(until_stopped(boxed(keep_metrics())));
    tasks
}

fn boxed(
    task: impl Future<Output = ()> + Send + 'static,
) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(task)
}

/// Reads the keys anew a little before the present view becomes too old to sign by, and rotates when it is time.
async fn follow_keys(app: Arc<App>) {
    let staleness = app.settings.key_policy.staleness.to_std().unwrap_or_default();
    let mut ticks = interval(staleness.mul_f64(0.8).max(Duration::from_millis(50)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut was_well, mut could_load) = (true, true);
    let (mut retired, mut kept) = (usize::MAX, None);
    loop {
        ticks.tick().await;
        let loaded = within(staleness, load(&app)).await;
        if loaded.is_err() || !could_load {
            app.record_database_away();
        }
        could_load = loaded.is_ok();
        let outcome = match loaded {
            Ok(()) => within(CHANGES_WITHIN, change_if_needed(&app, &mut retired)).await,
            failed => failed,
        };
        keep_for_restart(&app, &mut kept).await;
        // Said once when it begins and once when it ends, not at every tick.
        match (&outcome, was_well) {
            (Err(error), true) => tracing::error!(event = "keys_not_followed", %error),
            (Ok(()), false) => tracing::info!(event = "keys_followed_again"),
            _ => {}
        }
        was_well = outcome.is_ok();
    }
}

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A database host that vanished keeps a connection waiting for many minutes.
async fn within(limit: Duration, step: impl Future<Output = Outcome>) -> Outcome {
    tokio::time::timeout(limit, step).await.unwrap_or_else(|_| Err("the database does not answer".into()))
}

async fn load(app: &App) -> Outcome {
    sync_clock(app).await?;
    load_keyring(app).await?;
    Ok(())
}

/// Keeps the key set on disk when it has changed.
async fn keep_for_restart(app: &Arc<App>, kept: &mut Option<Arc<JwksDocument>>) {
    let Some(keyring) = app.keyring.load_full() else { return };
    let document = Arc::clone(keyring.jwks());
    // An embedded database is there or the whole machine is not.
    if app.db.is_embedded() || document.is_empty() || kept.as_ref() == Some(&document) {
        return;
    }
    let (app, written) = (Arc::clone(app), Arc::clone(&document));
    match tokio::task::spawn_blocking(move || keep_last_good(&app, &written)).await {
        Ok(Ok(())) => *kept = Some(document),
        Ok(Err(error)) => tracing::warn!(event = "jwks_cache_not_written", %error),
        Err(error) => tracing::warn!(event = "jwks_cache_not_written", %error),
    }
}

/// What is to be done about the keys as they are now.
async fn change_if_needed(app: &App, retired: &mut usize) -> Outcome {
    // One that fails keeps nobody from the next.
    let repaired = repair_keys(app).await;
    let rotated = rotate_if_due(app).await;
    let noted = record_what_left(app, retired).await;
    repaired?;
    rotated?;
    noted
}

async fn record_what_left(app: &App, retired: &mut usize) -> Outcome {
    let Some(keyring) = app.keyring.load_full() else { return Ok(()) };
    let now = app.clock.now();
    let gone = keyring.set().all().iter().filter(|key| key.status(now) == KeyStatus::Retired).count();
    if gone != *retired {
        record_retirements(app).await?;
        *retired = gone;
    }
    Ok(())
}

async fn rotate_if_due(app: &App) -> Outcome {
    let Some(keyring) = app.keyring.load_full() else { return Ok(()) };
    let now = app.clock.now();
    let decision = keyring.set().decide(&app.settings.key_policy, Trigger::Schedule, now);
    if !matches!(decision, Rotation::Proceed { .. }) {
        return Ok(());
    }
    let request = RotateKeys {
        trigger: Trigger::Schedule,
        reason: None,
        dry_run: false,
        idempotency_key: None,
        context: AuditContext::schedule(),
    };
    match rotate_keys(app, request).await {
        // Another node was faster; that is how it should be.
        Ok(_)
        | Err(
            RotateKeysError::NotDue(_) | RotateKeysError::NotEligible { .. } | RotateKeysError::Superseded,
        ) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Keeps keys ready, on a thread that may be busy with primes for a while.
async fn keep_stock(app: Arc<App>) {
    let mut ticks = interval(RESTOCK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let key_factory = Arc::clone(&app.key_factory);
        match tokio::task::spawn_blocking(move || key_factory.restock()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => continue,
            Ok(Err(error)) => tracing::error!(event = "no_key_in_stock", %error),
            Err(error) => tracing::error!(event = "no_key_in_stock", %error),
        }
        ticks.tick().await;
    }
}

async fn listen_for_keys(app: Arc<App>) {
    loop {
        match listen_once(&app).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(event = "listener_lost", %error),
        }
        sleep(LISTEN_AGAIN_AFTER).await;
    }
}

/// `Ok` when this database has no notifications.
async fn listen_once(app: &App) -> Result<(), StoreError> {
    let Some(mut listener) = KeysListener::open(&app.db).await? else { return Ok(()) };
    loop {
        listener.heard().await?;
        if let Err(error) = load_keyring(app).await {
            tracing::debug!(event = "keyring_not_loaded", %error);
        }
    }
}

/// Writes down at every poll what this node has seen.
async fn keep_usage(app: Arc<App>) {
    let mut ticks = interval(app.settings.key_policy.staleness.to_std().unwrap_or_default());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = flush_usage(&app).await {
            tracing::debug!(event = "usage_not_written", %error);
        }
        if let Err(error) = measure_propagation(&app).await {
            tracing::debug!(event = "propagation_not_measured", %error);
        }
    }
}

async fn keep_clean(app: Arc<App>) {
    let mut ticks = interval(CLEAN_UP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match clean_up(&app).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(event = "cleaned_up", removed),
            Err(error) => tracing::warn!(event = "clean_up_failed", %error),
        }
    }
}

/// Tells clients which of their sessions have ended. Whoever ended them has their answer by then.
async fn notify_clients(app: Arc<App>) {
    let mut ticks = interval(LOOK_FOR_NEWS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut outbound = None;
    let mut under_way = JoinSet::new();
    loop {
        while under_way.try_join_next().is_some() {}
        let free = TOLD_AT_ONCE - under_way.len();
        let claimed = match free {
            0 => Vec::new(),
            free => claim_backchannel_logouts(&app, free).await.unwrap_or_else(|error| {
                tracing::debug!(event = "backchannel_logouts_not_read", %error);
                Vec::new()
            }),
        };
        let (is_full, is_idle) = (claimed.len() == free, claimed.is_empty());
        if !is_idle && outbound.is_none() {
            outbound = prepare_outbound(&app);
        }
        if let Some(outbound) = &outbound {
            for notice in claimed {
                under_way.spawn(notify(Arc::clone(&app), Arc::clone(outbound), notice));
            }
        }
        match is_full {
            // There may be more.
            true => {
                under_way.join_next().await;
            }
            false => {
                ticks.tick().await;
            }
        }
    }
}

/// Reads the certificates of this machine, so it is left until somebody is to be told something.
fn prepare_outbound(app: &App) -> Option<Arc<Outbound>> {
    match Outbound::new(app.settings.oauth.backchannel_private_networks) {
        Ok(outbound) => Some(Arc::new(outbound)),
        Err(error) => {
            tracing::error!(event = "clients_not_notified", %error);
            None
        }
    }
}

async fn notify(app: Arc<App>, outbound: Arc<Outbound>, notice: BackchannelLogout) {
    match notify_client(&app, &outbound, &notice).await {
        Ok(outcome) => {
            metrics::counter!("chancery_backchannel_logouts_total", "outcome" => outcome.as_str())
                .increment(1);
        }
        Err(error) => {
            metrics::counter!("chancery_backchannel_logouts_total", "outcome" => "unavailable").increment(1);
            tracing::debug!(event = "client_not_notified", %error);
        }
    }
}

async fn keep_metrics() {
    let mut ticks = interval(UPKEEP_EVERY);
    loop {
        ticks.tick().await;
        telemetry::upkeep();
    }
}
