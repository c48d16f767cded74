use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::app::App;
use crate::domain::ClientId;
use crate::domain::clients::Client;
use crate::settings::Registration;
use crate::store::clients::client_registrations;
use crate::store::{StoreError, clients};
use crate::tokens::RegistrationToken;

/// Why a registration cannot be managed.
#[derive(Debug, thiserror::Error)]
pub enum FindRegistrationError {
    /// Nobody can register themselves here.
    #[error("registration is off")]
    Off,
    /// There is no such registration, or this is not its token: nobody is told which (RFC 7592 section 2.1).
    #[error("this is no registration's token")]
    NotTheirs,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The client that registered itself under this id and got this token for it.
pub async fn find_registration(
    app: &App,
    id: &str,
    shown: Option<&str>,
) -> Result<Client, FindRegistrationError> {
    if matches!(app.settings.oauth.registration, Registration::Off) {
        return Err(FindRegistrationError::Off);
    }
    let (Ok(id), Some(shown)) = (ClientId::parse(id), shown) else {
        return Err(FindRegistrationError::NotTheirs);
    };
    let mut conn = app.db.read().await?;
    let digest = client_registrations::token_digest(&mut conn, &id).await?;
    let shown = RegistrationToken::digest_of(shown);
    if digest.is_none_or(|digest| verify_slices_are_equal(&digest, &shown).is_err()) {
        return Err(FindRegistrationError::NotTheirs);
    }
    clients::by_id(&mut conn, &id).await?.ok_or(FindRegistrationError::NotTheirs)
}
