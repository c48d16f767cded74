//! What operators' machines ask: health and metrics. Nothing here tells of any user.

use std::time::Duration;

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::AppData;
use super::problem::{ErrorCode, Problem, ProblemView};
use crate::domain::keys::KeyStatus;
use crate::flows::keys::fresh_keyring;
use crate::telemetry;

/// Long enough for a slow database, short enough for an impatient balancer.
const PROBE: Duration = Duration::from_secs(2);

#[derive(Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// The process runs.
#[utoipa::path(get, path = "/health/live", tag = "operations", responses((status = 200, body = Health)))]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(OK)
}

/// The node can do its work: it has keys, the database takes writes, and it is not shutting down.
#[utoipa::path(get, path = "/health/ready", tag = "operations", responses(
    (status = 200, body = Health),
    (status = 503, body = ProblemView, content_type = "application/problem+json"),
))]
pub async fn ready(app: AppData) -> Result<HttpResponse, Problem> {
    if app.is_draining() {
        return Err(Problem::new(ErrorCode::NotReady));
    }
    if !app.is_started() {
        return Err(Problem::new(ErrorCode::DatabaseUnavailable));
    }
    let able = async {
        fresh_keyring(&app).await?.signer()?;
        app.db.probe_writable().await?;
        Ok::<_, Problem>(())
    };
    tokio::time::timeout(PROBE, able).await.map_err(|_| Problem::new(ErrorCode::DatabaseUnavailable))??;
    Ok(HttpResponse::Ok().json(OK))
}

/// Metrics in Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(app: AppData) -> HttpResponse {
    measure_keys(&app);
    let (size, idle) = app.db.pool_usage();
    metrics::gauge!("chancery_database_connections", "state" => "open").set(f64::from(size));
    metrics::gauge!("chancery_database_connections", "state" => "idle").set(u32::try_from(idle).unwrap_or(0));
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(telemetry::render_metrics())
}

fn measure_keys(app: &AppData) {
    let Some(keyring) = app.keyring.load_full() else { return };
    let (policy, now) = (&app.settings.key_policy, app.clock.now());
    #[expect(clippy::cast_precision_loss, reason = "seconds fit a gauge")]
    let seconds = |delta: chrono::TimeDelta| delta.num_milliseconds() as f64 / 1000.0;
    let since_1970 = |at: DateTime<Utc>| seconds(at - DateTime::UNIX_EPOCH);
    let set = keyring.set();
    for status in KeyStatus::ALL {
        let count = set.all().iter().filter(|key| key.status(now) == status).count();
        metrics::gauge!("chancery_signing_keys", "status" => status.as_str())
            .set(u32::try_from(count).unwrap_or(0));
    }
    // One series per status and not per kid, so that their number never grows.
    let activated_at = set.current().activated_at.unwrap_or(now);
    metrics::gauge!("chancery_signing_key_age_seconds").set(seconds(now - activated_at));
    metrics::gauge!("chancery_signing_key_next_age_seconds").set(seconds(now - set.next().published_at));
    metrics::gauge!("chancery_signing_key_next_eligible_in_seconds")
        .set(seconds(policy.eligible_at(set.next().published_at) - now).max(0.0));
    metrics::gauge!("chancery_signing_key_next_rotation_in_seconds")
        .set(seconds(set.scheduled_at(policy) - now));
    let retires_at = set.previous(now).filter_map(|key| key.retires_at).max();
    metrics::gauge!("chancery_signing_key_last_retirement_timestamp_seconds")
        .set(retires_at.map_or(0.0, since_1970));
    let revoked_at = set.all().iter().filter_map(|key| key.revoked_at).max();
    metrics::gauge!("chancery_signing_key_last_revocation_timestamp_seconds")
        .set(revoked_at.map_or(0.0, since_1970));
    metrics::gauge!("chancery_signing_keys_quarantined")
        .set(u32::try_from(keyring.faults().len()).unwrap_or(0));
    #[expect(clippy::cast_precision_loss, reason = "changes of keys are few")]
    metrics::gauge!("chancery_signing_keys_version").set(keyring.version() as f64);
    metrics::gauge!("chancery_signing_keys_read_age_seconds").set(seconds(now - keyring.read_at()));
}
