use crate::app::App;
use crate::domain::oauth::Consent;
use crate::flows::sessions::CurrentUser;
use crate::store::StoreError;
use crate::store::oauth::consents;

/// What the caller has let clients have, the newest first.
pub async fn list_consents(app: &App, current: &CurrentUser) -> Result<Vec<Consent>, StoreError> {
    consents::of_user(&mut app.db.read().await?, current.user.id).await
}
