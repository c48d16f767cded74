use crate::app::App;
use crate::store::{StoreError, sessions};

/// Says so when refresh tokens were made under a master key that is not configured any more: their users must log in again.
pub async fn warn_of_lost_sessions(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    let used = sessions::live_by_master_key(&mut app.db.read().await?, &app.settings.sessions, now).await?;
    for used in used {
        let Some(id) = used.master_key_id.filter(|id| app.master_keys.by_id(id).is_none()) else { continue };
        tracing::warn!(
            event = "sessions_lost",
            master_key = id,
            sessions = used.sessions,
            "these sessions' refresh tokens were made under a master key that is not configured"
        );
    }
    Ok(())
}
