//! The hosted pages: sign in, sign up, consent, device, sign out. Everything a browser is sent to.
//!
//! URLs: `/oauth2/authorize`, `/oauth2/logout`, `/sign-in`, `/sign-up`, `/consent`, `/device`. Handlers decide which page is
//! shown and what follows a form; how a page looks is in `http/pages`. Every error is a page. The protocol endpoints, whose
//! errors are JSON, are in `http/oauth2`.

pub mod authorize;
mod browser;
pub mod device;
pub mod logout;
pub mod sign_in;
