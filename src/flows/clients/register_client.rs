use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::ExposeSecret;

use super::create_client::detail;
use crate::app::App;
use crate::domain::clients::{Client, ClientMetadata, RegistrationLimits};
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::domain::{ClientId, OAuthError};
use crate::flows::passwords::TooManyAttempts;
use crate::flows::passwords::charge_network_alone;
use crate::settings::Registration;
use crate::store::clients::client_registrations;
use crate::store::operations::audit;
use crate::store::{StoreError, clients};
use crate::throttle::NetworkBudget;
use crate::tokens::{ClientSecret, RegistrationToken};

/// Clients that register themselves.
const CLIENT_REGISTRATIONS: NetworkBudget = NetworkBudget::new("client registration source");

/// Why an application was not registered, or its registration not changed.
#[derive(Debug, thiserror::Error)]
pub enum RegisterClientError {
    /// Nobody can register themselves here.
    #[error("registration is off")]
    Off,
    /// It is for those who hold a token, and this is not it.
    #[error("the token is not the one to register with")]
    NotAllowed,
    #[error(transparent)]
    Metadata(#[from] OAuthError),
    #[error(transparent)]
    TooManyAttempts(#[from] TooManyAttempts),
    #[error("the operating system gives no randomness")]
    NoRandomness,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An application that has just registered itself, and what it is told but once.
#[derive(Debug)]
pub struct Registered {
    pub client: Client,
    pub secret: Option<ClientSecret>,
    pub token: RegistrationToken,
}

/// Whether whoever shows this token, or none, may register an application.
pub fn may_register(app: &App, shown: Option<&str>) -> Result<(), RegisterClientError> {
    match (&app.settings.oauth.registration, shown) {
        (Registration::Off, _) => Err(RegisterClientError::Off),
        (Registration::Open, _) => Ok(()),
        (Registration::Token(_), None) => Err(RegisterClientError::NotAllowed),
        (Registration::Token(token), Some(shown)) => {
            let digest = RegistrationToken::digest_of;
            let is_same = verify_slices_are_equal(&digest(token.expose_secret()), &digest(shown)).is_ok();
            if is_same { Ok(()) } else { Err(RegisterClientError::NotAllowed) }
        }
    }
}

/// Registers an application that asks for it itself (RFC 7591).
pub async fn register_client(
    app: &App,
    metadata: ClientMetadata,
    context: &AuditContext,
) -> Result<Registered, RegisterClientError> {
    // Also for what cannot be registered.
    let policy = app.settings.max_registrations_per_network;
    charge_network_alone(app, context, policy, CLIENT_REGISTRATIONS).await??;
    let now = app.clock.now();
    let client = metadata.into_client(ClientId::random(), limits(app), now)?;
    let token = RegistrationToken::random().ok_or(RegisterClientError::NoRandomness)?;
    let secret = match client.is_public() {
        true => None,
        false => Some(ClientSecret::random().ok_or(RegisterClientError::NoRandomness)?),
    };
    let mut tx = app.db.begin().await?;
    if !clients::insert(&mut tx, &client).await? {
        // 64 random bits have come twice.
        return Err(RegisterClientError::NoRandomness);
    }
    if let Some(secret) = &secret {
        clients::add_secret(&mut tx, &client.id, &secret.digest(), now).await?;
    }
    client_registrations::insert(&mut tx, &client.id, &token.digest(), now).await?;
    let (event, subject, detail) = (AuditEvent::ClientRegistered, client.id.as_str(), detail(&client, None));
    audit::append(&mut tx, event, context, subject, Some(&detail), now).await?;
    tx.commit().await?;
    Ok(Registered { client, secret, token })
}

pub(super) fn limits(app: &App) -> RegistrationLimits<'_> {
    RegistrationLimits {
        audience: app.settings.own_audience(),
        longest: app.settings.tokens.access_token_ttl,
    }
}
