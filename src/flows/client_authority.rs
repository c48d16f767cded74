use crate::app::App;
use crate::domain::{Authority, BeyondAuthority, Client, GrantType, Scopes};

/// Whether somebody may have a say over this client. A service account gets its scopes by itself, and a client that exchanges
/// tokens gets them without asking the user, so they are given to it like those of a role to a user. What any other client
/// gets is the user's who signs in, but the scopes of this server's own routes are nobody's to lead a user into who lacks
/// them.
pub(super) fn may_manage(app: &App, authority: &Authority, client: &Client) -> Result<(), BeyondAuthority> {
    let is_service = client.may(GrantType::ClientCredentials) || client.may(GrantType::TokenExchange);
    let guarded = match is_service {
        true => app.settings.roles.all(),
        false => Scopes::own(),
    };
    if authority.covers(&client.scopes.intersection(&guarded)) { Ok(()) } else { Err(BeyondAuthority) }
}
