//! OAuth 2.1 and OpenID Connect: authorization, the hosted sign-in, consent, devices, grants, introspection, revocation,
//! sign-out.
//!
//! URLs: everything under `/oauth2` but registration, `/sign-in`, `/sign-up`, `/consent`, `/device`, and `/auth/consents`. States of a request: pending (sealed in the page,
//! no row), answered by a code, a device or an error. States of a code: waiting, consumed, expired. Grants have one file each
//! in `grants/`. This module checks no passwords itself and stores no accounts.

mod authorize;
mod begin_device;
mod browser;
mod clean_ups;
mod grants;
mod introspect;
mod link_device;
mod list_consents;
mod notify_client;
mod push_request;
mod read_hint;
mod revoke_token;
mod sign_in;
mod sign_out;
mod withdraw_consent;

pub use authorize::begin_authorization;
pub use begin_device::{BeginDeviceError, WaitingDevice, begin_device};
pub use browser::{
    Answer, Asking, AuthorizeError, BrowserContext, CodeRefusal, Confirming, DeviceStep, NextStep, Restart,
    SubmittedForm, SubmittedFormError,
};
pub(in crate::flows) use clean_ups::CLEAN_UPS;
pub use grants::{GrantError, TokenSet, redeem_grant};
pub use introspect::{IntrospectError, Introspection, introspect};
pub use link_device::{begin_link, decide_link, enter_code};
pub use list_consents::list_consents;
pub use notify_client::{DeliveryOutcome, NotifyClientError, claim_backchannel_logouts, notify_client};
pub use push_request::{PushRequestError, PushedRequest, push_request};
pub use revoke_token::revoke_token;
pub use sign_in::{SignInError, SignedIn, decide, restart, resume, show_sign_in, sign_in, turn_back};
pub use sign_out::{SignOutError, SignOutStep, begin_sign_out, confirm_sign_out};
pub use withdraw_consent::withdraw_consent;
