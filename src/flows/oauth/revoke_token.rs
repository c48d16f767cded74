use super::introspect::IntrospectError;
use crate::app::App;
use crate::domain::SessionId;
use crate::domain::clients::Client;
use crate::domain::operations::{Actor, AuditContext, AuditEvent};
use crate::flows::sessions::{AuthenticateError, verified_claims};
use crate::store::operations::audit;
use crate::store::sessions;
use crate::tokens::{RefreshKeys, RefreshToken};

/// Ends what a token belongs to (RFC 7009): the session, and with it every token of it. A token of another client's, and what is
/// no token, changes nothing, and nobody is told. A service account's token has no session and ends by itself.
pub async fn revoke_token(
    app: &App,
    client: &Client,
    token: &str,
    context: &AuditContext,
) -> Result<(), IntrospectError> {
    let Some(id) = session_of(app, client, token).await? else { return Ok(()) };
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let Some(session) = sessions::by_id(&mut tx, id).await? else { return Ok(()) };
    if session.client_id == client.id && sessions::revoke_one(&mut tx, id, now).await? {
        let context = AuditContext { actor: Actor::Client(client.id.clone()), ..context.clone() };
        let detail = serde_json::json!({ "sid": id.0, "client": client.id.as_str() }).to_string();
        let subject = session.user_id.to_string();
        audit::append(&mut tx, AuditEvent::LoggedOut, &context, &subject, Some(&detail), now).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn session_of(app: &App, client: &Client, token: &str) -> Result<Option<SessionId>, IntrospectError> {
    if let Some(refresh) = RefreshToken::parse(token) {
        let is_theirs = RefreshKeys(&app.master_keys).is_genuine(&refresh, &client.id);
        return Ok(is_theirs.then_some(refresh.session));
    }
    match verified_claims(app, token, None).await {
        Ok(claims) => Ok(claims.sid.map(SessionId).filter(|_| claims.client_id == client.id.as_str())),
        Err(AuthenticateError::Keys(error)) => Err(error.into()),
        Err(AuthenticateError::Store(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}
