//! The phases that grants share by which a user's session of a client begins.

use chrono::{DateTime, Utc};

use super::{GrantError, IdTokenOptions, TokenSet, build_token_set};
use crate::app::App;
use crate::domain::accounts::User;
use crate::domain::clients::Client;
use crate::domain::operations::{Actor, AuditContext, AuditEvent};
use crate::domain::sessions::{GrantedAccess, Session};
use crate::domain::{OAuthError, SessionId, Thumbprint, scope};
use crate::flows::sessions::BrowserUser;
use crate::flows::sessions::{ClientTokenOptions, issue_client_tokens};
use crate::keys::Keyring;
use crate::store::accounts::users;
use crate::store::operations::audit;
use crate::store::{StoreError, Tx, sessions};

/// Whoever agreed must still be signed in in their browser, and still be somebody.
pub(super) async fn browser_user(
    app: &App,
    tx: &mut Tx,
    browser: SessionId,
) -> Result<Result<BrowserUser, OAuthError>, GrantError> {
    let (limits, now) = (&app.settings.sessions, app.clock.now());
    let session = sessions::by_id(tx, browser).await?.filter(|session| session.is_live(limits, now));
    let Some(session) = session else { return Ok(Err(OAuthError::invalid_grant("the user has signed out"))) };
    let user = users::by_id(tx, session.user_id).await?.filter(User::may_act);
    Ok(match user {
        Some(user) => Ok(BrowserUser { session, user }),
        None => Err(OAuthError::invalid_grant("the user may not act any more")),
    })
}

/// A session of a client's that is about to begin.
pub(super) struct NewSession<'a> {
    pub session: SessionId,
    pub granted: GrantedAccess,
    /// Those of it that the first access token shall be for; all where it is empty.
    pub resources: Vec<&'a str>,
    pub id_token: IdTokenOptions,
    /// The key its tokens are bound to.
    pub key: Option<&'a Thumbprint>,
    pub now: DateTime<Utc>,
}

/// What a user has agreed to becomes a session, and its first tokens.
pub(super) async fn begin_session(
    app: &App,
    tx: &mut Tx,
    keyring: &Keyring,
    client: &Client,
    browser_user: BrowserUser,
    new_session: NewSession<'_>,
    context: &AuditContext,
) -> Result<TokenSet, GrantError> {
    let BrowserUser { session: browser, user } = browser_user;
    let NewSession { session: id, granted, resources, id_token, key, now } = new_session;
    let browser_id = browser.id;
    let session = Session {
        id,
        client_id: client.id.clone(),
        generation: 1,
        reuse_count: 0,
        created_at: now,
        last_used_at: now,
        expires_at: session_end(app, &browser, &granted, now),
        parent: Some(browser_id),
        granted: Some(granted),
        master_key_id: Some(app.master_keys.first().id().to_owned()),
        // A client that proves otherwise who it is may take another key next time (RFC 9449 section 5).
        dpop_jkt: key.filter(|_| client.is_public()).cloned(),
        ..browser
    };
    let options = ClientTokenOptions { client: Some(client), scopes: None, resources: &resources, key };
    let tokens = issue_client_tokens(app, keyring, &user, &session, &options, now)?;
    let token_set = build_token_set(app, keyring, client, (&user, &session), tokens, id_token, now)?;
    sessions::insert(tx, &session).await?;
    sessions::revoke_surplus(tx, browser_id, &client.id, now).await?;
    let detail = serde_json::json!({
        "sid": session.id.0, "client": client.id.as_str(), "scope": token_set.scope,
    });
    let context = AuditContext { actor: Actor::Client(client.id.clone()), ..context.clone() };
    let (event, subject) = (AuditEvent::SessionStarted, user.id.to_string());
    audit::append(tx, event, &context, &subject, Some(&detail.to_string()), now).await?;
    Ok(token_set)
}

/// A client that was promised to go on without the user goes on for as long as any session; others as long as the browser's.
fn session_end(app: &App, browser: &Session, granted: &GrantedAccess, now: DateTime<Utc>) -> DateTime<Utc> {
    let longest = now + app.settings.sessions.max_lifetime;
    match granted.scopes.contains(scope::OFFLINE_ACCESS) {
        true => longest,
        false => longest.min(browser.expires_at),
    }
}

/// Ends what came of a code that is shown a second time: one of the two who had it is a thief (RFC 6749 section 4.1.2).
pub(super) async fn end_reused(
    tx: &mut Tx,
    client: &Client,
    session: SessionId,
    context: &AuditContext,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if sessions::revoke(tx, session, now).await? {
        let detail = serde_json::json!({ "client": client.id.as_str() }).to_string();
        let (event, subject) = (AuditEvent::AuthorizationCodeReused, session.to_string());
        audit::append(tx, event, context, &subject, Some(&detail), now).await?;
    }
    Ok(())
}
