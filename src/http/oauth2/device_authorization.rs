use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::client::ClientRequest;
use super::error::{OAuthErrorView, OAuthProblem};
use crate::domain::oauth::DeviceGrant;
use crate::domain::operations::Actor;
use crate::flows::oauth::begin_device;
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::network::ClientNetwork;

#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read name by name")]
pub struct DeviceAuthorizationRequest {
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
    scope: Option<String>,
    /// May be there more than once (RFC 8707).
    resource: Option<String>,
}

/// RFC 8628 section 3.2.
#[derive(Serialize, ToSchema)]
pub struct DeviceAuthorizationAnswer {
    /// What the device asks the token endpoint with.
    #[schema(pattern = "^cdc_[A-Za-z0-9_-]{43}$")]
    device_code: String,
    /// What the device shows, for a person to type at `verification_uri`.
    #[schema(pattern = "^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$", example = "WDJB-MJHT")]
    user_code: String,
    verification_uri: String,
    /// The same with the code in it, for a QR code.
    verification_uri_complete: String,
    /// In seconds.
    expires_in: i64,
    /// Seconds to wait before asking again.
    interval: i64,
}

/// A device that has no browser begins to wait for somebody who has one (RFC 8628).
#[utoipa::path(post, path = "/oauth2/device_authorization", tag = "oauth2",
    request_body(content = DeviceAuthorizationRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = DeviceAuthorizationAnswer),
        (status = 400, body = OAuthErrorView),
        (status = 401, description = "`invalid_client`", body = OAuthErrorView),
        (status = 429, description = "`temporarily_unavailable`: too many from one network", body = OAuthErrorView),
    ))]
pub async fn begin(
    app: AppData,
    http: HttpRequest,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, OAuthProblem> {
    let ClientRequest { client, parameters } = ClientRequest::read(&app, &http, &network, body).await?;
    let context = network.audit_context(Actor::Client(client.id.clone()));
    let waiting = begin_device(&app, &client, &parameters, &context).await?;
    let (address, user_code) = (format!("{}/device", app.settings.server.issuer), waiting.user_code.shown());
    Ok(HttpResponse::Ok().json(DeviceAuthorizationAnswer {
        device_code: waiting.device_code.expose().to_owned(),
        verification_uri_complete: format!("{address}?user_code={user_code}"),
        verification_uri: address,
        user_code,
        expires_in: DeviceGrant::LIFE.num_seconds(),
        interval: DeviceGrant::INTERVAL.num_seconds(),
    }))
}
