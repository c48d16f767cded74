use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::AppData;
use super::super::body::Body;
use super::super::caller::{KeysRead, KeysRotate, Permit};
use super::super::problem::{Code, Problem, ProblemView};
use super::super::source::Source;
use crate::domain::{Reason, Trigger};
use crate::flows::{RotateKeys, load_keyring, rotate_keys};
use crate::views::{KeyListView, RotationView};

/// All signing keys, newest first, as the database holds them now.
#[utoipa::path(get, path = "/admin/keys", tag = "admin", security(("bearer" = ["keys:read"])),
    responses((status = 200, body = KeyListView)))]
pub async fn list(app: AppData, _: Permit<KeysRead>) -> Result<HttpResponse, Problem> {
    let keyring = load_keyring(&app).await?;
    Ok(HttpResponse::Ok().json(KeyListView::of(keyring.set(), &app.settings.key_policy, app.clock.now())))
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateRequest {
    /// Rotate although some verifier may not have the next key. Needs a reason.
    #[serde(default)]
    force: bool,
    /// Kept in the audit table.
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// Only tell what would happen.
    #[serde(default)]
    dry_run: bool,
}

/// Lets the next key sign and publishes a new next. With an `Idempotency-Key` header a repeated request gets the first
/// one's answer and rotates nothing.
#[utoipa::path(post, path = "/admin/keys/rotate", tag = "admin", security(("bearer" = ["keys:rotate"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 printable characters")),
    request_body(content = Option<RotateRequest>),
    responses(
        (status = 200, body = RotationView),
        (status = 409, description = "`key_not_eligible` with `eligible_at` and Retry-After, or `rotation_superseded`",
            body = ProblemView, content_type = "application/problem+json"),
        (status = 422, description = "`reason_required` or `idempotency_key_reused`", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub async fn rotate(
    app: AppData,
    permit: Permit<KeysRotate>,
    http: HttpRequest,
    source: Source,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let request: RotateRequest = body.json_or_default().await?;
    let idempotency_key = idempotency_key(&http)?;
    let reason = request.reason.as_deref().filter(|reason| !reason.trim().is_empty()).map(Reason::parse);
    let reason = reason.transpose().map_err(|error| Problem::new(Code::InvalidParameter).detail(error))?;
    let rotation = RotateKeys {
        trigger: if request.force { Trigger::Forced } else { Trigger::Operator },
        reason,
        dry_run: request.dry_run,
        idempotency_key,
        origin: source.origin(permit.actor()),
    };
    Ok(HttpResponse::Ok().json(rotate_keys(&app, rotation).await?))
}

fn idempotency_key(http: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(value) = http.headers().get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=255).contains(&key.len())).ok_or_else(|| {
        Problem::new(Code::InvalidParameter).detail("an Idempotency-Key has 1 to 255 printable characters")
    })?;
    Ok(Some(key.to_owned()))
}
