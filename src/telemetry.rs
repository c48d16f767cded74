//! Logs and metrics: one structured line per event, metrics named `chancery_…` in base units.
//!
//! Secrets have types that print nothing, so no line can hold one by accident.

use std::io::IsTerminal;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, LogSettings};

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// From 100 µs to 5 s: a JWKS from memory, a hash, a request that gives up.
const LATENCIES: [f64; 12] = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Sends log lines to standard error. Called once, by the program; a second call changes nothing.
pub fn start_logging(settings: &LogSettings) {
    let filter = EnvFilter::try_new(&settings.level).unwrap_or_default();
    // What a client sends wrong is no error of ours, and the request that could be read has a line already.
    let quiet = "actix_http::h1::dispatcher=off".parse().ok();
    let filter = match quiet.filter(|_| !settings.level.contains("actix_http")) {
        Some(directive) => filter.add_directive(directive),
        None => filter,
    };
    let is_seen = std::io::stderr().is_terminal();
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_seen);
    let as_json = match settings.format {
        LogFormat::Auto => !is_seen,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let _ = if as_json {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        lines.try_init()
    };
}

/// Starts counting. Several servers in one process (as in tests) share the counters.
pub fn start_metrics() {
    METRICS.get_or_init(|| {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCIES)
            .unwrap_or_default()
            .build_recorder();
        let handle = recorder.handle();
        // Fails only when another recorder is installed, which then does the counting.
        let _ = metrics::set_global_recorder(recorder);
        handle
    });
}

/// Everything counted so far, in Prometheus text format.
pub fn render_metrics() -> String {
    METRICS.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Folds old samples together, so that memory stays flat when nobody scrapes.
pub fn upkeep() {
    if let Some(handle) = METRICS.get() {
        handle.run_upkeep();
    }
}
