use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret, SecretString};

use super::create_client::detail;
use super::register_client::{RegisterClientError, limits};
use crate::app::App;
use crate::domain::clients::{Client, ClientMetadata};
use crate::domain::operations::{Actor, AuditContext, AuditEvent};
use crate::domain::{ClientId, OAuthCode, OAuthError};
use crate::store::clients;
use crate::store::clients::client_registrations;
use crate::store::operations::audit;
use crate::tokens::ClientSecret;

/// What an application wants its registration to be.
pub struct ChangeRegistration {
    pub metadata: ClientMetadata,
    /// Who it says it is, which it must.
    pub client_id: Option<String>,
    /// Its secret, if it says it. It does not choose one.
    pub client_secret: Option<SecretString>,
}

/// Writes a registration anew (RFC 7592 section 2.2): what is left out becomes as if it had never been said. `None` when it is
/// gone.
pub async fn change_registration(
    app: &App,
    id: &ClientId,
    options: ChangeRegistration,
    context: &AuditContext,
) -> Result<Option<Client>, RegisterClientError> {
    let wrong = |text: &'static str| OAuthError::new(OAuthCode::InvalidClientMetadata, text);
    if options.client_id.as_deref() != Some(id.as_str()) {
        return Err(wrong("client_id: must be the client's own").into());
    }
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let Some(before) = clients::lock_for_update(&mut tx, id).await? else { return Ok(None) };
    if let Some(secret) = &options.client_secret {
        let shown = ClientSecret::digest_of(secret.expose_secret());
        let live = clients::live_secrets(&mut tx, id, now).await?;
        if !live.iter().any(|digest| verify_slices_are_equal(digest, &shown).is_ok()) {
            return Err(wrong("client_secret: must be the client's own").into());
        }
    }
    let client = options.metadata.into_changed(&before, limits(app))?;
    clients::update(&mut tx, &client).await?;
    client_registrations::mark_used(&mut tx, id, now).await?;
    let context = AuditContext { actor: Actor::Client(id.clone()), ..context.clone() };
    let detail = detail(&client, Some(&["registration"]));
    audit::append(&mut tx, AuditEvent::ClientRegistered, &context, id.as_str(), Some(&detail), now).await?;
    tx.commit().await?;
    Ok(Some(client))
}
