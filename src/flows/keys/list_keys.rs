use super::load_keyring::{LoadKeyringError, load_keyring};
use super::read_propagation::read_propagation;
use crate::app::App;
use crate::domain::keys::Kid;
use crate::views::{KeyListView, PropagationView};

/// All signing keys as the database holds them now, and how far the published ones have come.
pub async fn list_keys(app: &App) -> Result<KeyListView, LoadKeyringError> {
    let keyring = load_keyring(app).await?;
    let known = read_propagation(app).await?;
    let faults = keyring.faults().iter().map(|fault| (fault.kid.clone(), fault.problem.clone()));
    let problems: Vec<(Kid, String)> = faults.collect();
    Ok(KeyListView::of(keyring.set(), &known, &problems, &app.settings.key_policy, app.clock.now()))
}

/// Which consumers have one key. `None` when there is no such key.
pub async fn propagation_of(app: &App, kid: &Kid) -> Result<Option<PropagationView>, LoadKeyringError> {
    let keyring = load_keyring(app).await?;
    let Some(key) = keyring.set().find(kid) else { return Ok(None) };
    let known = read_propagation(app).await?;
    Ok(Some(PropagationView::of(key, &known)))
}
