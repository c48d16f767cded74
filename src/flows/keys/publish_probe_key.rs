use chrono::TimeDelta;

use crate::app::App;
use crate::domain::keys::SigningKey;
use crate::domain::operations::{AuditContext, AuditEvent};
use crate::keys::GeneratedKey;
use crate::store;
use crate::store::StoreError;
use crate::store::keys::signing_keys;
use crate::store::operations::audit;

/// Publishes the public half of a key made for a drill with `service`, as one that has signed and signs no more. Its private
/// half stays with whoever made it and dies with them; by itself the key leaves after `keep`.
pub async fn publish_probe_key(
    app: &App,
    generated: &GeneratedKey,
    keep: TimeDelta,
    service: &str,
) -> Result<(), StoreError> {
    let mut tx = app.db.begin().await?;
    store::lock_signing_keys(&mut tx).await?;
    let now = app.clock.now();
    let life = app.settings.tokens.access_token_ttl;
    let next =
        SigningKey::next(generated.kid.clone(), generated.alg, generated.public_jwk.clone(), life, now);
    let key = SigningKey { imported_at: Some(now), ..next.verifying_until(now + keep) };
    signing_keys::insert(&mut tx, &key, None).await?;
    let detail = serde_json::json!({ "what": "published", "service": service }).to_string();
    let (event, context) = (AuditEvent::ProbeKey, AuditContext::operator());
    audit::append(&mut tx, event, &context, key.kid.as_str(), Some(&detail), now).await?;
    signing_keys::announce(&mut tx).await?;
    tx.commit().await
}
