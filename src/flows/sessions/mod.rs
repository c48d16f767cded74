//! Sessions of users: log in, refresh, log out, list, end; and the tokens of a session.
//!
//! URLs: `/auth/login`, `/auth/refresh`, `/auth/logout`, `/auth/sessions`. States of a session: live, revoked, expired
//! (`domain::sessions::Session::judge`). Also here, because every session needs them: who a bearer token belongs to, proofs
//! of possession (RFC 9449), and the browser session behind the cookie. Grants of OAuth clients are in `flows::oauth`.

mod authenticate;
mod browser_session;
mod clean_ups;
mod end_session;
mod issue_tokens;
mod list_sessions;
mod log_in;
mod log_out;
mod prove_key;
mod refresh;

pub use authenticate::{AuthenticateError, CurrentUser, PresentedToken, TokenSubject, authenticate};
pub(in crate::flows) use authenticate::{look_up, verified_claims};
pub(in crate::flows) use browser_session::{BrowserUser, browser_user_of};
pub(in crate::flows) use clean_ups::CLEAN_UPS;
pub use end_session::end_session;
pub use issue_tokens::IssuedTokens;
pub(in crate::flows) use issue_tokens::{
    ClientTokenOptions, access_token_ttl, amr, audience, issue_client_tokens, scopes_now, sign_access_token,
};
pub use list_sessions::list_sessions;
pub use log_in::{LogInError, LoggedIn, log_in};
pub(in crate::flows) use log_in::{audit_login, new_session};
pub use log_out::log_out;
pub(in crate::flows) use prove_key::{KeyProof, prove_key, proved_key, proved_key_alone};
pub use prove_key::{PresentedProof, ProveKeyError};
pub(in crate::flows) use refresh::{MovedOn, Refresher, move_on};
pub use refresh::{RefreshError, refresh};
