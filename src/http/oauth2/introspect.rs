use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::client::ClientRequest;
use super::error::{OAuthErrorView, OAuthProblem};
use crate::domain::sessions::Session;
use crate::flows::oauth::{Introspection, introspect as flow};
use crate::http::AppData;
use crate::http::extract::body::Body;
use crate::http::extract::network::ClientNetwork;
use crate::tokens::{AccessClaims, Act};

/// The key a token is bound to (RFC 9449 section 6.2).
#[derive(Serialize, ToSchema)]
pub struct ConfirmationView {
    jkt: String,
}

#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read name by name")]
pub struct IntrospectionRequest {
    token: String,
    /// Not needed: a token says of itself what it is.
    token_type_hint: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
}

/// RFC 7662 section 2.2. Of a token that is not good there is `active` alone.
#[derive(Default, Serialize, ToSchema)]
pub struct IntrospectionAnswer {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    nbf: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    aud: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    auth_time: Option<i64>,
    /// Who acts for the user, and who did before (RFC 8693 section 4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    act: Option<Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cnf: Option<ConfirmationView>,
}

#[derive(Serialize, ToSchema)]
pub struct Actor {
    /// The client.
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, no_recursion)]
    act: Option<Box<Self>>,
}

impl From<&Act> for Actor {
    fn from(act: &Act) -> Self {
        Self { sub: act.sub.clone(), act: act.act.as_deref().map(|earlier| Box::new(Self::from(earlier))) }
    }
}

impl IntrospectionAnswer {
    fn access(claims: &AccessClaims, scope: String) -> Self {
        Self {
            active: true,
            scope: Some(scope),
            client_id: Some(claims.client_id.clone()),
            token_type: Some(if claims.cnf.is_some() { "DPoP" } else { "Bearer" }),
            exp: Some(claims.exp),
            iat: Some(claims.iat),
            nbf: claims.nbf,
            sub: Some(claims.sub.clone()),
            aud: Some(claims.aud.iter().map(str::to_owned).collect()),
            iss: Some(claims.iss.clone()),
            jti: Some(claims.jti.to_string()),
            sid: claims.sid.map(|sid| sid.to_string()),
            auth_time: claims.auth_time,
            act: claims.act.as_ref().map(Actor::from),
            cnf: claims.cnf.as_ref().map(|bound| ConfirmationView { jkt: bound.jkt.clone() }),
        }
    }

    fn refresh(session: &Session, exp: i64, issuer: &str) -> Self {
        Self {
            active: true,
            scope: session.granted.as_ref().map(|grant| grant.scopes.to_string()),
            client_id: Some(session.client_id.to_string()),
            token_type: Some("refresh_token"),
            exp: Some(exp),
            iat: Some(session.last_used_at.timestamp()),
            sub: Some(session.user_id.to_string()),
            iss: Some(issuer.to_owned()),
            sid: Some(session.id.to_string()),
            auth_time: Some(session.auth_time.timestamp()),
            ..Self::default()
        }
    }
}

/// Whether a token is good, asked by a service that holds it. Only a client that keeps a secret may ask, of its own tokens and
/// of those for one of its audiences.
#[utoipa::path(post, path = "/oauth2/introspect", tag = "oauth2",
    request_body(content = IntrospectionRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = IntrospectionAnswer),
        (status = 400, body = OAuthErrorView),
        (status = 401, description = "`invalid_client`", body = OAuthErrorView),
    ))]
pub async fn introspect(
    app: AppData,
    http: HttpRequest,
    network: ClientNetwork,
    body: Body,
) -> Result<HttpResponse, OAuthProblem> {
    let ClientRequest { client, parameters } = ClientRequest::read(&app, &http, &network, body).await?;
    if client.is_public() {
        return Err(OAuthProblem::invalid_client(false));
    }
    let token = parameters.require("token")?;
    let answer = match flow(&app, &client, token).await? {
        Introspection::Inactive => IntrospectionAnswer::default(),
        Introspection::Access { claims, scope } => IntrospectionAnswer::access(&claims, scope),
        Introspection::Refresh { session, exp } => {
            IntrospectionAnswer::refresh(&session, exp, &app.settings.server.issuer)
        }
    };
    Ok(HttpResponse::Ok().json(answer))
}
