use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret, SecretString};

use crate::app::App;
use crate::domain::ClientId;
use crate::domain::clients::{Client, ClientAuthMethod};
use crate::domain::operations::{Actor, AuditContext, AuditEvent};
use crate::flows::passwords::TooManyAttempts;
use crate::flows::passwords::charge_network;
use crate::store::operations::audit;
use crate::store::sessions::replay_guard;
use crate::store::{StoreError, clients};
use crate::throttle::{NetworkBudget, Subject};
use crate::tokens::{AssertionError, ClientAssertion, ClientSecret};

/// Wrong client secrets and assertions.
const CLIENT_SECRETS: NetworkBudget = NetworkBudget::new("client source");

/// What a client shows of itself (RFC 6749 section 2.3).
pub struct ClientCredentials {
    /// May be left out beside an assertion, which says it too.
    pub id: Option<String>,
    pub proof: Proof,
}

/// By what it shows that it is who it says.
pub enum Proof {
    Nothing,
    Secret(SecretString),
    /// A JWT under a key of its own (RFC 7523 section 2.2).
    Assertion(String),
}

/// Why it is not known who is asking.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateClientError {
    /// Unknown, without what proves who it is, with something wrong, or by a method that is not its own.
    #[error("the client is not known, or does not prove who it is")]
    InvalidClient,
    /// Signed by a key of the client's, and not good all the same.
    #[error("client_assertion is refused: {0}")]
    Assertion(AssertionError),
    #[error(transparent)]
    TooManyAttempts(#[from] TooManyAttempts),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Finds out which client is asking. A right secret costs no write, a right assertion one row for the minutes it is good.
///
/// Secrets have 256 random bits, so nobody guesses one; still each failure counts against the network it comes from, as
/// failed logins do.
pub async fn authenticate_client(
    app: &App,
    shown: &ClientCredentials,
    context: &AuditContext,
) -> Result<Client, AuthenticateClientError> {
    let Some(claimed) = claimed(shown) else {
        return refuse(app, None, AuthenticateClientError::InvalidClient, context).await;
    };
    let Some(client) = clients::by_id(&mut app.db.read().await?, &claimed.id).await? else {
        return refuse(app, None, AuthenticateClientError::InvalidClient, context).await;
    };
    let refused = match (&shown.proof, client.auth_method) {
        (Proof::Nothing, ClientAuthMethod::None) => None,
        (Proof::Secret(secret), ClientAuthMethod::SecretBasic | ClientAuthMethod::SecretPost) => {
            let is_right = is_secret_of(app, &client, secret).await?;
            (!is_right).then_some(AuthenticateClientError::InvalidClient)
        }
        (Proof::Assertion(_), ClientAuthMethod::PrivateKeyJwt) => {
            refusal(app, &client, claimed.assertion.as_ref()).await?
        }
        _ => Some(AuthenticateClientError::InvalidClient),
    };
    match refused {
        None => Ok(client),
        Some(why) => refuse(app, Some(&client), why, context).await,
    }
}

/// Who it says it is, and what is to prove it if that must be read first.
struct Claimed<'a> {
    id: ClientId,
    assertion: Option<ClientAssertion<'a>>,
}

/// `None` for what nobody can be.
fn claimed(shown: &ClientCredentials) -> Option<Claimed<'_>> {
    let (id, assertion) = match (&shown.proof, shown.id.as_deref()) {
        (Proof::Assertion(text), id) => {
            let assertion = ClientAssertion::parse(text).ok()?;
            // RFC 7521 section 4.2: beside an assertion it must be the same client.
            if id.is_some_and(|id| id != assertion.client()) {
                return None;
            }
            (assertion.client().to_owned(), Some(assertion))
        }
        (_, id) => (id?.to_owned(), None),
    };
    Some(Claimed { id: ClientId::parse(&id).ok()?, assertion })
}

async fn is_secret_of(app: &App, client: &Client, secret: &SecretString) -> Result<bool, StoreError> {
    let shown = ClientSecret::digest_of(secret.expose_secret());
    let live = clients::live_secrets(&mut app.db.read().await?, &client.id, app.clock.now()).await?;
    Ok(live.iter().any(|digest| verify_slices_are_equal(digest, &shown).is_ok()))
}

/// Why the assertion is not good, or not in its first use on any node. Who has shown a key of the client's may know.
async fn refusal(
    app: &App,
    client: &Client,
    assertion: Option<&ClientAssertion<'_>>,
) -> Result<Option<AuthenticateClientError>, StoreError> {
    let (Some(assertion), Some(keys)) = (assertion, &client.keys) else {
        return Ok(Some(AuthenticateClientError::InvalidClient));
    };
    let issuer = &app.settings.server.issuer;
    // RFC 9126 section 2 names the last.
    let audiences = [issuer.clone(), format!("{issuer}/oauth2/token"), format!("{issuer}/oauth2/par")];
    let error = match assertion.verify(keys, &audiences, app.clock.now()) {
        Err(error) => error,
        Ok(unused) => {
            let conn = &mut app.db.write().await?;
            match replay_guard::consume(conn, &unused.digest, unused.expires_at).await? {
                true => return Ok(None),
                false => AssertionError::Used,
            }
        }
    };
    tracing::debug!(event = "client_assertion_refused", client = client.id.as_str(), %error);
    Ok(Some(match error {
        AssertionError::BadSignature => AuthenticateClientError::InvalidClient,
        error => AuthenticateClientError::Assertion(error),
    }))
}

async fn refuse(
    app: &App,
    client: Option<&Client>,
    why: AuthenticateClientError,
    context: &AuditContext,
) -> Result<Client, AuthenticateClientError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if let Some((ip, policy)) = context.ip.zip(app.settings.max_failures_per_network) {
        let network = Subject::network(&app.master_keys, CLIENT_SECRETS, ip);
        charge_network(&mut tx, &network, &policy, now).await??;
    }
    // A name that is nobody's may be a password in the wrong field.
    let subject = client.map_or("unknown", |client| client.id.as_str());
    let context = AuditContext { actor: Actor::Anonymous, ..context.clone() };
    audit::append(&mut tx, AuditEvent::ClientRefused, &context, subject, None, now).await?;
    tx.commit().await?;
    Err(why)
}
