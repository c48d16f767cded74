use chrono::TimeDelta;
use uuid::Uuid;

use crate::app::App;
use crate::domain::clients::Client;
use crate::domain::oauth::BackchannelLogout;
use crate::flows::keys::{LoadKeyringError, fresh_keyring};
use crate::keys::SignerError;
use crate::outbound::{Outbound, OutboundError};
use crate::store::oauth::backchannel_logouts;
use crate::store::{StoreError, clients};
use crate::tokens::{LogoutClaims, LogoutEvents, LogoutToken, issue_logout_token};

/// A client looks at a logout token when it arrives.
const LIFE: TimeDelta = TimeDelta::minutes(2);

/// What became of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    Delivered,
    /// The client does not want to hear it: it is not asked again.
    Refused,
    /// It did not answer, or could not: it is told later.
    Failed,
    /// So often or so long that nobody tries any more, or nobody may.
    GivenUp,
    /// There is nobody to tell any more.
    Nobody,
}

impl DeliveryOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
            Self::Nobody => "nobody",
        }
    }
}

/// Why nobody was told. The notice comes back by itself.
#[derive(Debug, thiserror::Error)]
pub enum NotifyClientError {
    #[error(transparent)]
    Keys(#[from] LoadKeyringError),
    #[error(transparent)]
    Sign(#[from] SignerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes up to `most` notices that are due, so that no other node tells of them too.
pub async fn claim_backchannel_logouts(app: &App, most: usize) -> Result<Vec<BackchannelLogout>, StoreError> {
    let now = app.clock.now();
    // Mostly nobody is to be told anything, and who only looks keeps no writer waiting.
    if !backchannel_logouts::any_due(&mut app.db.read().await?, now).await? {
        return Ok(Vec::new());
    }
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    backchannel_logouts::claim(&mut app.db.write().await?, now, now + BackchannelLogout::LEASE, most).await
}

/// Tells a client that a session of its has ended (OpenID Connect Back-Channel Logout section 2.5), and writes down what came of
/// it.
pub async fn notify_client(
    app: &App,
    outbound: &Outbound,
    notice: &BackchannelLogout,
) -> Result<DeliveryOutcome, NotifyClientError> {
    let client = clients::by_id(&mut app.db.read().await?, &notice.client).await?;
    let uri = client.as_ref().and_then(|client| client.backchannel_logout_uri.clone());
    let (Some(client), Some(uri)) = (client, uri) else {
        backchannel_logouts::finish(&mut app.db.write().await?, notice).await?;
        return Ok(DeliveryOutcome::Nobody);
    };
    let token = logout_token(app, &client, notice).await?;
    let answer = outbound.post_form(uri.as_str(), &[("logout_token", token.expose())]).await;
    let now = app.clock.now();
    let next = notice.next_attempt(now);
    let told = match (&answer, next) {
        (Ok(200..=299), _) => DeliveryOutcome::Delivered,
        (Ok(408 | 429), Some(_)) => DeliveryOutcome::Failed,
        (Ok(400..=499), _) => DeliveryOutcome::Refused,
        (Err(OutboundError::Forbidden), _) | (_, None) => DeliveryOutcome::GivenUp,
        (_, Some(_)) => DeliveryOutcome::Failed,
    };
    let mut conn = app.db.write().await?;
    match (told, next) {
        (DeliveryOutcome::Failed, Some(next)) => {
            backchannel_logouts::put_off(&mut conn, notice, next).await?
        }
        _ => backchannel_logouts::finish(&mut conn, notice).await?,
    };
    if matches!(told, DeliveryOutcome::Refused | DeliveryOutcome::GivenUp) {
        let why = answer.map_or_else(|error| error.to_string(), |status| format!("status {status}"));
        let (client, session, attempts) = (client.id.as_str(), notice.session, notice.attempts);
        tracing::warn!(event = "backchannel_logout_given_up", client, %session, attempts, %why);
    }
    Ok(told)
}

async fn logout_token(
    app: &App,
    client: &Client,
    notice: &BackchannelLogout,
) -> Result<LogoutToken, NotifyClientError> {
    let keyring = fresh_keyring(app).await?;
    let now = app.clock.now();
    // Keys stay published for as long as an access token lives.
    let life = LIFE.min(app.settings.tokens.access_token_ttl + app.settings.tokens.leeway);
    let claims = LogoutClaims {
        iss: app.settings.server.issuer.clone(),
        sub: notice.user.to_string(),
        aud: client.id.to_string(),
        iat: now.timestamp(),
        exp: (now + life).timestamp(),
        jti: Uuid::new_v4(),
        events: LogoutEvents::default(),
        sid: notice.session.to_string(),
    };
    Ok(issue_logout_token(keyring.signer()?, &claims)?)
}
