//! What the flows of the hosted pages share: the browser, the form that it submits, and the next step.

use crate::app::App;
use crate::domain::accounts::User;
use crate::domain::clients::{Client, RedirectUri};
use crate::domain::oauth::{NonRedirectableError, ResponseMode};
use crate::domain::operations::AuditContext;
use crate::domain::{Parameters, Scopes};
use crate::flows::keys::LoadKeyringError;
use crate::flows::passwords::TooManyAttempts;
use crate::store::StoreError;
use crate::tokens::{
    BrowserBinding, BrowserToken, OpenedPage, PageKind, PendingRequest, ReturnTarget, SealedState, UserCode,
};

/// What a browser brings along.
pub struct BrowserContext {
    /// What its cookie says of who is signed in.
    pub session: Option<String>,
    /// A random value that is in this browser and nowhere else.
    pub device: String,
    pub audit: AuditContext,
}

impl BrowserContext {
    /// The binding of pages to this browser. Callers check whether the session is live where the session decides.
    pub(super) fn binding(&self, app: &App) -> BrowserBinding {
        let session = self.session.as_deref().and_then(|cookie| BrowserToken::open(&app.master_keys, cookie));
        BrowserBinding::new(&self.device, session)
    }
}

/// What happens next to somebody who was sent here by a client.
pub enum NextStep {
    /// They sign in.
    SignIn(Box<Asking>),
    /// They are asked whether the client may have this.
    Consent(Box<Asking>, Box<User>),
    /// They go on at an address of their own: the one they came by works no second time, and a page may be loaded again.
    Continue(SealedState),
    /// They let a device in.
    Device(DeviceStep),
    /// They go back, with a code or with what went wrong.
    Return(Answer),
}

/// A request that waits for its user.
pub struct Asking {
    /// The request, for the page's form.
    pub pending: SealedState,
    pub client: Client,
    pub scopes: Scopes,
    pub login_hint: Option<String>,
    /// Where the browser goes from here. `None`: nowhere.
    pub return_to: Option<RedirectUri>,
}

/// What the client hears, by way of the browser (RFC 6749 section 4.1.2).
pub struct Answer {
    pub redirect_uri: RedirectUri,
    pub mode: ResponseMode,
    pub parameters: Vec<(&'static str, String)>,
}

/// Errors of an authorization request that are shown as a page.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// Where the answer should go to is not sure, so it goes nowhere.
    #[error(transparent)]
    NonRedirectableError(#[from] NonRedirectableError),
    /// This page has given its one code.
    #[error("this request has been answered")]
    Answered,
    #[error("the operating system gives no randomness")]
    NoRandomness,
    #[error(transparent)]
    Keys(#[from] LoadKeyringError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What happens next to somebody who has a device that shows a code (RFC 8628 section 3.3).
pub enum DeviceStep {
    /// They type the code.
    Enter { pending: SealedState, refusal: Option<CodeRefusal> },
    /// They are asked whether the device may be let in. Always: whoever sent them the code may have begun this elsewhere (RFC 8628
    /// section 5.4).
    Confirm(Box<Confirming>),
    /// They go back to the device.
    Done { allowed: bool },
}

/// A device that somebody is asked about.
pub struct Confirming {
    pub pending: SealedState,
    pub client: Client,
    pub user: User,
    /// To be compared with what the device shows.
    pub user_code: UserCode,
    pub scopes: Scopes,
}

/// Why a code is not taken.
#[derive(Clone, Copy, Debug)]
pub enum CodeRefusal {
    /// It is no device's, or its time is over, or somebody has decided.
    Wrong,
    TooManyAttempts(TooManyAttempts),
}

/// A page that was shown, as its form brings it back.
pub struct SubmittedForm(pub(super) PendingRequest);

/// Why a form is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmittedFormError {
    /// The state is forged, altered, or belongs to another page.
    #[error("this form was not made here")]
    Foreign,
    /// Made here, too long ago or in another browser: the request begins again.
    #[error("this page is out of date")]
    OutOfDate(Restart),
}

/// How a request begins again.
#[derive(Debug)]
pub enum Restart {
    /// The browser sends the authorization request again.
    Request(Parameters),
    /// The request exists in this state only.
    PendingRequest(SealedState),
    /// The browser asks again to sign out.
    SignOut(Parameters),
    /// The code of a device is typed again.
    Device,
}

impl SubmittedForm {
    /// Reads the state in a form, at a door that takes the states of these pages. A state belongs to one browser, and is good
    /// for `oauth.login_page_ttl`.
    pub fn read(
        app: &App,
        pages: &[PageKind],
        text: &str,
        browser: &BrowserContext,
    ) -> Result<Self, SubmittedFormError> {
        let binding = browser.binding(app);
        let open = |page| PendingRequest::open(&app.master_keys, page, binding, text);
        let opened = pages.iter().find_map(|page| open(*page).map(|opened| (*page, opened)));
        let (page, opened) = opened.ok_or(SubmittedFormError::Foreign)?;
        let parameters = match opened {
            OpenedPage::Here(pending) if is_current(app, &pending) => return Ok(Self(pending)),
            OpenedPage::Here(pending) => pending.restart_parameters(),
            OpenedPage::Elsewhere(parameters) => parameters,
        };
        Err(match (page, parameters) {
            (PageKind::Device, _) => SubmittedFormError::OutOfDate(Restart::Device),
            (PageKind::Authorization, Some(parameters)) => {
                SubmittedFormError::OutOfDate(Restart::Request(parameters))
            }
            (PageKind::SignOut, Some(parameters)) => {
                SubmittedFormError::OutOfDate(Restart::SignOut(parameters))
            }
            // A pushed request was good once, in the browser that used it.
            (PageKind::Authorization | PageKind::SignOut, None) => SubmittedFormError::Foreign,
        })
    }

    /// Where the browser goes on after a sign-in at this page.
    pub(super) fn return_target(&self) -> Option<ReturnTarget> {
        self.0.kind.return_target()
    }

    /// What the client asked for.
    pub fn parameters(&self) -> Parameters {
        self.0.parameters()
    }
}

fn is_current(app: &App, pending: &PendingRequest) -> bool {
    app.clock.now() - pending.begun() <= app.settings.oauth.login_page_ttl
}
