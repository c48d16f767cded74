use crate::domain::operations::{AuditContext, AuditEvent};

/// A security event, as it stands in the log: one line, when the transaction that wrote its row is committed. So neither is
/// without the other.
pub(super) struct PendingLogLine {
    pub event: AuditEvent,
    pub context: AuditContext,
    pub subject: String,
    pub detail: Option<String>,
}

impl PendingLogLine {
    pub(super) fn log(&self) {
        let Self { event, context, subject, detail } = self;
        let (actor, ip) = (&context.actor, context.ip.map(|ip| ip.to_string()));
        metrics::counter!("chancery_security_events_total", "event" => event.as_str()).increment(1);
        // The request's id is on every line of a request. A level is part of a line's fixed description, so there are two.
        if event.is_alarm() {
            tracing::warn!(target: "chancery::audit", event = event.as_str(), %actor, subject, ip, detail);
        } else {
            tracing::info!(target: "chancery::audit", event = event.as_str(), %actor, subject, ip, detail);
        }
    }
}
