use super::new_key::{NewKeyError, generate_two, insert_key};
use crate::app::App;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::store;
use crate::store::keys::signing_keys;
use crate::store::operations::audit;

/// On a database without keys, makes the first current and the first next one. Nobody has cached anything yet, so the
/// current one may sign at once. Any number of nodes may try together; one set comes of it. Returns whether it was ours.
pub async fn create_first_keys(app: &App) -> Result<bool, NewKeyError> {
    if !signing_keys::all(&mut app.db.read().await?).await?.is_empty() {
        return Ok(false);
    }
    let (current, next) = generate_two(&app.key_factory).await?;
    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    if !signing_keys::all(&mut tx).await?.is_empty() {
        return Ok(false);
    }
    let now = app.clock.now();
    insert_key(&mut tx, app, &next, None, now).await?;
    insert_key(&mut tx, app, &current, Some(now), now).await?;
    let subject = current.kid.to_string();
    audit::append(&mut tx, AuditEvent::KeysCreated, &AuditContext::schedule(), &subject, None, now).await?;
    signing_keys::announce(&mut tx).await?;
    tx.commit().await?;
    Ok(true)
}
