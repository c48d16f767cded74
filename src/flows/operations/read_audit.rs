use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::app::App;
use crate::domain::operations::{AuditFilter, AuditRecord};
use crate::store::StoreError;
use crate::store::operations::audit;

/// One page of events, newest first, and where the next begins.
pub struct AuditPage {
    pub events: Vec<AuditRecord>,
    pub next: Option<(DateTime<Utc>, Uuid)>,
}

pub async fn read_audit(
    app: &App,
    filter: &AuditFilter,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: u16,
) -> Result<AuditPage, StoreError> {
    let limit = usize::from(limit);
    let wanted = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let mut events = audit::page(&mut app.db.read().await?, filter, before, wanted).await?;
    let more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().filter(|_| more).map(|event| (event.at, event.id));
    Ok(AuditPage { events, next })
}
