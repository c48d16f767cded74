use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret, SecretString};

use super::check_password::TooManyAttempts;
use crate::app::App;
use crate::domain::{Actor, AuditEvent, Client, ClientId, Origin};
use crate::store::source_attempts::{self, SourceCharge};
use crate::store::{StoreError, audit, clients};
use crate::throttle::Subject;
use crate::tokens::ClientSecret;

/// What a client shows of itself (RFC 6749 section 2.3).
pub struct ClientCredentials {
    pub id: String,
    pub secret: Option<SecretString>,
}

/// Why it is not known who is asking.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateClientError {
    /// Unknown, without its secret, with a wrong one, or with one that it does not have.
    #[error("the client is not known, or its secret is wrong")]
    InvalidClient,
    #[error(transparent)]
    TooManyAttempts(#[from] TooManyAttempts),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Finds out which client is asking. A right secret costs no write.
///
/// Secrets have 256 random bits, so nobody guesses one; still each failure counts against the network it comes from, as
/// failed logins do.
pub async fn authenticate_client(
    app: &App,
    shown: &ClientCredentials,
    origin: &Origin,
) -> Result<Client, AuthenticateClientError> {
    let Ok(id) = ClientId::parse(&shown.id) else { return refuse(app, None, origin).await };
    let mut conn = app.db.read().await?;
    let Some(client) = clients::by_id(&mut conn, &id).await? else {
        drop(conn);
        return refuse(app, None, origin).await;
    };
    let is_right = match &shown.secret {
        None => client.is_public(),
        Some(_) if client.is_public() => false,
        Some(secret) => {
            let shown = ClientSecret::digest_of(secret.expose_secret());
            let live = clients::live_secrets(&mut conn, &id, app.clock.now()).await?;
            live.iter().any(|digest| verify_slices_are_equal(digest, &shown).is_ok())
        }
    };
    drop(conn);
    if is_right { Ok(client) } else { refuse(app, Some(&client), origin).await }
}

async fn refuse(
    app: &App,
    client: Option<&Client>,
    origin: &Origin,
) -> Result<Client, AuthenticateClientError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if let Some((ip, policy)) = origin.ip.zip(app.settings.source_failures) {
        let source = Subject::client_source(&app.masters, ip);
        match source_attempts::charge(&mut tx, source.as_bytes(), &policy, now, now).await? {
            SourceCharge::Charged => {
                source_attempts::settle(&mut tx, source.as_bytes(), &policy, true, now).await?;
            }
            SourceCharge::InFlight => {}
            SourceCharge::Refused { retry_after } => return Err(TooManyAttempts { retry_after }.into()),
        }
    }
    // A name that is nobody's may be a password in the wrong field.
    let subject = client.map_or("unknown", |client| client.id.as_str());
    let origin = Origin { actor: Actor::Anonymous, ..origin.clone() };
    audit::append(&mut tx, AuditEvent::ClientRefused, &origin, subject, None, now).await?;
    tx.commit().await?;
    Err(AuthenticateClientError::InvalidClient)
}
