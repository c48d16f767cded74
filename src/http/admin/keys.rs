use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::keys::{Kid, Trigger};
use crate::domain::operations::Reason;
use crate::flows::keys::{RevokeKey, RotateKeys, list_keys, propagation_of, revoke_key, rotate_keys};
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::caller::{KeysRead, KeysRotate, RequireScope};
use crate::http::extract::network::ClientNetwork;
use crate::http::problem::{ErrorCode, Problem, ProblemView};
use crate::views::{KeyListView, PropagationView, RevocationView, RotationView};

/// All signing keys, newest first, as the database holds them now.
#[utoipa::path(get, path = "/admin/keys", tag = "admin", security(("bearer" = ["keys:read"])),
    responses((status = 200, body = KeyListView)))]
pub async fn list(app: AppData, _: RequireScope<KeysRead>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(list_keys(&app).await?))
}

/// Which services have fetched the set since this key was published: by user agent and network, over all nodes, those that
/// have not first. At most 1000.
#[utoipa::path(get, path = "/admin/keys/{kid}/propagation", tag = "admin", security(("bearer" = ["keys:read"])),
    params(("kid" = String, Path)),
    responses((status = 200, body = PropagationView)))]
pub async fn propagation(
    app: AppData,
    _: RequireScope<KeysRead>,
    kid: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let found = propagation_of(&app, &Kid::new(kid.into_inner())).await?;
    Ok(HttpResponse::Ok().json(found.ok_or_else(|| Problem::new(ErrorCode::NotFound))?))
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
    permit: RequireScope<KeysRotate>,
    http: HttpRequest,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let request: RotateRequest = body.json_or_default().await?;
    let idempotency_key = idempotency_key(&http)?;
    let rotation = RotateKeys {
        trigger: if request.force { Trigger::Forced } else { Trigger::Operator },
        reason: reason(request.reason.as_deref())?,
        dry_run: request.dry_run,
        idempotency_key,
        context: network.audit_context(permit.actor()),
    };
    Ok(HttpResponse::Ok().json(rotate_keys(&app, rotation).await?))
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// Kept in the audit table.
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// Only tell what it would cost.
    #[serde(default)]
    dry_run: bool,
}

/// Takes a stolen key out at once. If it signed, a key that was never published signs on, and the waiting key goes too.
/// Tokens under the key are refused by this server within seconds and by services when their cached set is renewed; sessions
/// live on and refresh. Revoking a key again changes nothing.
#[utoipa::path(post, path = "/admin/keys/{kid}/revoke", tag = "admin", security(("bearer" = ["keys:rotate"])),
    params(
        ("kid" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 printable characters"),
    ),
    request_body(content = RevokeRequest),
    responses(
        (status = 200, body = RevocationView),
        (status = 422, description = "`reason_required` or `idempotency_key_reused`", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub async fn revoke(
    app: AppData,
    permit: RequireScope<KeysRotate>,
    kid: web::Path<String>,
    http: HttpRequest,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let request: RevokeRequest = body.json_or_default().await?;
    let revocation = RevokeKey {
        kid: Kid::new(kid.into_inner()),
        reason: reason(request.reason.as_deref())?.ok_or_else(|| Problem::new(ErrorCode::ReasonRequired))?,
        dry_run: request.dry_run,
        idempotency_key: idempotency_key(&http)?,
        context: network.audit_context(permit.actor()),
    };
    Ok(HttpResponse::Ok().json(revoke_key(&app, revocation).await?))
}

fn reason(given: Option<&str>) -> Result<Option<Reason>, Problem> {
    let reason = given.filter(|reason| !reason.trim().is_empty()).map(Reason::parse);
    reason.transpose().map_err(|error| Problem::new(ErrorCode::InvalidParameter).detail(error))
}

fn idempotency_key(http: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(value) = http.headers().get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=255).contains(&key.len())).ok_or_else(|| {
        Problem::new(ErrorCode::InvalidParameter)
            .detail("an Idempotency-Key has 1 to 255 printable characters")
    })?;
    Ok(Some(key.to_owned()))
}
