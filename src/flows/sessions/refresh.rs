use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::issue_tokens::{IssuedTokens, issue_tokens};
use super::prove_key::{KeyProof, ProveKeyError, proved_key_alone};
use crate::app::App;
use crate::domain::accounts::User;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::domain::sessions::{Session, SessionLimits, Verdict};
use crate::domain::{ClientId, Thumbprint};
use crate::flows::keys::{LoadKeyringError, fresh_keyring};
use crate::keys::{Keyring, SignerError};
use crate::store::StoreError;
use crate::store::accounts::users;
use crate::store::operations::audit;
use crate::store::sessions;
use crate::store::sessions::Advance;
use crate::tokens::{RefreshKeys, RefreshToken};

/// Why a refresh token gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Not genuine, used up, expired or revoked; the client must log in again.
    #[error("the refresh token is not valid ({0})")]
    Invalid(&'static str),
    /// The token is still good, for who proves to have its key.
    #[error("the refresh token is bound to a key")]
    Bound,
    #[error("the refresh token is bound to another key")]
    OtherKey,
    #[error(transparent)]
    Key(#[from] ProveKeyError),
    #[error("the session kept changing while it was read")]
    Contended,
    #[error(transparent)]
    Keys(#[from] LoadKeyringError),
    #[error(transparent)]
    Sign(#[from] SignerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Uses up a refresh token and gives its successor, with a fresh access token. The parent of the current token gets the
/// same successor again within the grace; anything older ends the session.
pub async fn refresh(
    app: &App,
    presented: &str,
    client: &ClientId,
    context: &AuditContext,
) -> Result<(User, IssuedTokens), RefreshError> {
    let by = Refresher { client, is_public: false, proof: None };
    let moved = move_on(app, presented, &by, &app.settings.sessions, context).await?;
    let tokens = issue_tokens(app, &moved.keyring, &moved.user, &moved.session, moved.now)?;
    Ok((moved.user, tokens))
}

/// Who refreshes, and what they prove to have.
pub(in crate::flows) struct Refresher<'a> {
    pub client: &'a ClientId,
    /// Whether its refresh tokens are bound to the key it has shown: it proves by nothing else who it is (RFC 9449 section 5).
    pub is_public: bool,
    pub proof: Option<&'a KeyProof>,
}

/// A session whose refresh token was good.
pub(in crate::flows) struct MovedOn {
    pub user: User,
    pub session: Session,
    /// The key that was shown.
    pub key: Option<Thumbprint>,
    pub keyring: Arc<Keyring>,
    pub now: DateTime<Utc>,
}

/// Uses up a refresh token, or forgives it.
pub(in crate::flows) async fn move_on(
    app: &App,
    presented: &str,
    by: &Refresher<'_>,
    limits: &SessionLimits,
    context: &AuditContext,
) -> Result<MovedOn, RefreshError> {
    // From here on the caller waits.
    let deadline = app.clock.deadline(app.settings.server.request_timeout);
    let token = RefreshToken::parse(presented).ok_or(RefreshError::Invalid("malformed"))?;
    if !RefreshKeys(&app.master_keys).is_genuine(&token, by.client) {
        return refuse_foreign(app, &token, context).await;
    }
    let keyring = fresh_keyring(app).await?;
    let now = app.clock.now();
    if let Some(proof) = by.proof {
        is_worth(app, &token, proof, limits).await?;
    }
    let key = proved_key_alone(app, by.proof).await?.cloned();
    let options = Advance {
        id: token.session,
        generation: token.generation,
        client: by.client,
        key: key.as_ref(),
        binds: by.is_public,
        master_key_id: app.master_keys.first().id(),
        now,
        deadline,
    };
    let session = consume(app, &options, limits, context).await?;
    let user = users::by_id(&mut app.db.read().await?, session.user_id).await?;
    let user = user.filter(User::may_act).ok_or(RefreshError::Invalid("user disabled"))?;
    Ok(MovedOn { user, session, key, keyring, now })
}

/// Whether there is a session for this proof: one that is shown for nothing is not used up, for that would be remembered.
async fn is_worth(
    app: &App,
    token: &RefreshToken,
    proof: &KeyProof,
    limits: &SessionLimits,
) -> Result<(), RefreshError> {
    let session = sessions::by_id(&mut app.db.read().await?, token.session).await?;
    let session = session.ok_or(RefreshError::Invalid("unknown session"))?;
    if !session.is_live(limits, app.clock.now()) {
        return Err(RefreshError::Invalid("session over"));
    }
    match session.dpop_jkt {
        Some(bound) if bound.as_str() != proof.jkt() => Err(RefreshError::OtherKey),
        _ => Ok(()),
    }
}

/// Moves the session on, or finds why not.
async fn consume(
    app: &App,
    options: &Advance<'_>,
    limits: &SessionLimits,
    context: &AuditContext,
) -> Result<Session, RefreshError> {
    let now = options.now;
    // Between the attempt and the look another request may move the session; then the picture is drawn anew.
    for _ in 0..5 {
        let mut conn = app.db.write().await?;
        let advanced = sessions::advance(&mut conn, options, limits).await?;
        if let Some(session) = advanced {
            return Ok(session);
        }
        let Some(session) = sessions::by_id(&mut conn, options.id).await? else {
            return Err(RefreshError::Invalid("unknown session"));
        };
        // Without the key the token is of no use to anybody, so whoever shows it without is no reason to end the session.
        if !session.is_open_to(options.key) {
            return Err(if options.key.is_some() { RefreshError::OtherKey } else { RefreshError::Bound });
        }
        match session.judge(options.client, options.generation, limits, app.database_back_at(), now) {
            Verdict::Current => {}
            Verdict::Replay => {
                if sessions::count_reuse(&mut conn, session.generation, options).await? {
                    return Ok(session);
                }
            }
            Verdict::Over => return Err(RefreshError::Invalid("session over")),
            Verdict::WrongClient => return Err(RefreshError::Invalid("wrong client")),
            Verdict::Reuse => {
                drop(conn);
                return end_misused(app, &session, AuditEvent::RefreshReuse, context, now).await;
            }
            Verdict::Ahead => {
                drop(conn);
                return end_misused(app, &session, AuditEvent::RefreshAhead, context, now).await;
            }
        }
    }
    Err(RefreshError::Contended)
}

/// Revokes the session: whoever holds the newest token may be the thief (RFC 9700 section 4.14.2).
async fn end_misused(
    app: &App,
    session: &Session,
    event: AuditEvent,
    context: &AuditContext,
    now: DateTime<Utc>,
) -> Result<Session, RefreshError> {
    let mut tx = app.db.begin().await?;
    if sessions::revoke(&mut tx, session.id, now).await? {
        let detail = serde_json::json!({ "user": session.user_id.to_string() }).to_string();
        audit::append(&mut tx, event, context, &session.id.to_string(), Some(&detail), now).await?;
        tx.commit().await?;
    }
    Err(RefreshError::Invalid(event.as_str()))
}

/// A token that is not this client's is either forged or another client's. The latter is worth an alarm and costs the
/// session nothing.
async fn refuse_foreign(
    app: &App,
    token: &RefreshToken,
    context: &AuditContext,
) -> Result<MovedOn, RefreshError> {
    let session = sessions::by_id(&mut app.db.read().await?, token.session).await?;
    let is_misused = |session: &Session| RefreshKeys(&app.master_keys).is_genuine(token, &session.client_id);
    if let Some(session) = session.filter(is_misused) {
        let event = AuditEvent::RefreshWrongClient;
        let mut tx = app.db.begin().await?;
        let detail = serde_json::json!({ "of": session.client_id.as_str() }).to_string();
        audit::append(&mut tx, event, context, &session.id.to_string(), Some(&detail), app.clock.now())
            .await?;
        tx.commit().await?;
    }
    Err(RefreshError::Invalid("not genuine"))
}
