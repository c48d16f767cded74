use crate::app::App;
use crate::flows::keys::{LoadKeyringError, fresh_keyring, load_keyring};
use crate::tokens::{IdClaims, TokenError, verify_hint};

/// Whom an ID token is about that somebody shows. `None` for what is none of ours, or under a key that was revoked.
pub(super) async fn read_hint(app: &App, hint: &str) -> Result<Option<IdClaims>, LoadKeyringError> {
    let issuer = &app.settings.server.issuer;
    let keyring = fresh_keyring(app).await?;
    match verify_hint(hint, &keyring, issuer) {
        // Another node may have rotated and signed before this one heard of it.
        Err(TokenError::WaitingKey) => Ok(verify_hint(hint, &*load_keyring(app).await?, issuer).ok()),
        read => Ok(read.ok()),
    }
}
