use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::operations::AuditFilter;
use crate::flows::operations::read_audit;
use crate::http::AppData;
use crate::http::extract::caller::{AuditRead, RequireScope};
use crate::http::extract::parameters::{is_storable, page_limit, parse_query, read_cursor, write_cursor};
use crate::http::problem::{ErrorCode, Problem};
use crate::views::AuditView;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Only this event, such as `key_revoked`.
    event: Option<String>,
    /// Only what this one did, such as `operator:cli` or `user:` and an id.
    actor: Option<String>,
    /// Only what was done to this kid, user or session.
    subject: Option<String>,
    /// Only what came from this address.
    source: Option<String>,
    /// At this time or later.
    since: Option<DateTime<Utc>>,
    /// Before this time.
    until: Option<DateTime<Utc>>,
    /// Where the last page ended; from its answer.
    cursor: Option<String>,
    /// 1 to 200, 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

#[derive(Serialize, ToSchema)]
pub struct AuditList {
    events: Vec<AuditView>,
    /// `null` on the last page.
    next_cursor: Option<String>,
}

/// Longest text that is compared with a column.
const LONGEST: usize = 256;

/// What was done to keys, accounts and sessions, by whom and from where, newest first.
#[utoipa::path(get, path = "/admin/audit", tag = "admin", security(("bearer" = ["audit:read"])), params(AuditQuery),
    responses((status = 200, body = AuditList)))]
pub async fn list(
    app: AppData,
    _: RequireScope<AuditRead>,
    http: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let AuditQuery { event, actor, subject, source, since, until, cursor, limit } = parse_query(&http)?;
    for text in [&event, &actor, &subject, &source].into_iter().flatten() {
        if text.len() > LONGEST || text.contains('\0') {
            return Err(Problem::new(ErrorCode::InvalidParameter)
                .detail("no event, actor, subject or source is called so"));
        }
    }
    let before = cursor.as_deref().map(read_cursor).transpose()?;
    if ![since, until].iter().flatten().all(is_storable) {
        return Err(
            Problem::new(ErrorCode::InvalidParameter).detail("since and until must be between 1970 and 2096")
        );
    }
    let filter = AuditFilter { event, actor, subject, source, since, until };
    let page = read_audit(&app, &filter, before, page_limit(limit)?).await?;
    Ok(HttpResponse::Ok().json(AuditList {
        events: page.events.iter().map(AuditView::from).collect(),
        next_cursor: page.next.map(|(at, id)| write_cursor(at, id)),
    }))
}
