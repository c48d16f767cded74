use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::operations::AuditRecord;

/// One recorded event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditView {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    #[schema(example = "key_revoked")]
    pub event: String,
    #[schema(example = "user:01931c4e-0000-7000-8000-000000000000")]
    pub actor: String,
    /// The address it came from.
    pub source: Option<String>,
    /// Also in the log and in the answer the caller got.
    pub request_id: Option<Uuid>,
    /// The kid, user, client or session it was done to.
    pub subject: String,
    /// What else is known, by event.
    #[schema(value_type = Option<Object>)]
    pub detail: Option<serde_json::Value>,
}

impl From<&AuditRecord> for AuditView {
    fn from(record: &AuditRecord) -> Self {
        Self {
            id: record.id,
            at: record.at,
            event: record.event.clone(),
            actor: record.actor.clone(),
            source: record.source.clone(),
            request_id: record.request_id,
            subject: record.subject.clone(),
            detail: record.detail.as_deref().and_then(|detail| serde_json::from_str(detail).ok()),
        }
    }
}
