use crate::app::App;
use crate::domain::accounts::{Authority, BeyondAuthority};
use crate::domain::clients::Client;

/// Whether somebody may have a say over this client: who changes where it sends users, or what shows who it is, has whatever it
/// gets. So nobody manages a client that may ask for more than they have themselves, as far as roles give it; what no role names
/// is nobody's to have.
pub(super) fn may_manage(app: &App, authority: &Authority, client: &Client) -> Result<(), BeyondAuthority> {
    let guarded = client.scopes.intersection(&app.settings.roles.all());
    if authority.covers(&guarded) { Ok(()) } else { Err(BeyondAuthority) }
}
