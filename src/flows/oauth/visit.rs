//! What the flows of the hosted pages share: who comes, which page they bring back, and what happens next.

use crate::app::App;
use crate::domain::accounts::User;
use crate::domain::clients::{Client, RedirectUri};
use crate::domain::oauth::{NoReturn, ResponseMode};
use crate::domain::operations::Origin;
use crate::domain::{Parameters, Scopes};
use crate::flows::keys::LoadKeyringError;
use crate::flows::passwords::TooManyAttempts;
use crate::store::StoreError;
use crate::tokens::{Flow, FlowKind, UserCode};

/// What a browser brings along.
pub struct Visitor {
    /// What its cookie says of who is signed in.
    pub session: Option<String>,
    /// A random value that is in this browser and nowhere else.
    pub device: String,
    pub origin: Origin,
}

/// What happens next to somebody who was sent here by a client.
pub enum Step {
    /// They sign in.
    SignIn(Box<Asking>),
    /// They are asked whether the client may have this.
    Consent(Box<Asking>, Box<User>),
    /// They go on at an address of their own: the one they came by works no second time, and a page may be loaded again.
    Continue(String),
    /// They let a device in.
    Device(DeviceStep),
    /// They go back, with a code or with what went wrong.
    Return(Answer),
}

/// A request that waits for its user.
pub struct Asking {
    /// The request, for the page's form.
    pub flow: String,
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

/// Why nobody goes anywhere.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// Where the answer should go to is not sure, so it goes nowhere.
    #[error(transparent)]
    NoReturn(#[from] NoReturn),
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
    Enter { flow: String, refusal: Option<CodeRefusal> },
    /// They are asked whether the device may be let in. Always: whoever sent them the code may have begun this elsewhere (RFC 8628
    /// section 5.4).
    Confirm(Box<Confirming>),
    /// They go back to the device.
    Done { allowed: bool },
}

/// A device that somebody is asked about.
pub struct Confirming {
    pub flow: String,
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
pub struct Page(pub(super) Flow);

/// Why a form is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Not made here, or altered.
    #[error("this form was not made here")]
    Foreign,
    /// Made here, too long ago or in another browser: the request begins anew.
    #[error("this page is out of date")]
    OutOfDate(Anew),
}

/// How a request begins anew.
#[derive(Debug)]
pub enum Anew {
    /// The browser asks for it again.
    Request(Parameters),
    /// It is in this flow and nowhere else.
    Flow(String),
    /// The code of a device is typed again.
    Device,
}

impl Page {
    /// Reads the form's `flow`. It belongs to one browser, and for some time.
    pub fn read(app: &App, text: &str, visitor: &Visitor) -> Result<Self, PageError> {
        let flow = Flow::open(&app.masters, text).ok_or(PageError::Foreign)?;
        match (flow.kind, is_good(app, &flow, visitor)) {
            (FlowKind::Asked | FlowKind::Pushed | FlowKind::Device, true) => Ok(Self(flow)),
            (FlowKind::Asked, false) => Err(PageError::OutOfDate(Anew::Request(flow.parameters()))),
            (FlowKind::Device, false) => Err(PageError::OutOfDate(Anew::Device)),
            // What was pushed was good once, in the browser that used it.
            (FlowKind::Pushed | FlowKind::SignOut, _) => Err(PageError::Foreign),
        }
    }

    /// The same of the page that asks before it signs out.
    pub fn read_sign_out(app: &App, text: &str, visitor: &Visitor) -> Result<Self, PageError> {
        let flow = Flow::open(&app.masters, text).filter(|flow| flow.kind == FlowKind::SignOut);
        flow.filter(|flow| is_good(app, flow, visitor)).map(Self).ok_or(PageError::Foreign)
    }

    /// Whether it is about a device, and no request of a client's.
    pub fn is_of_device(&self) -> bool {
        self.0.kind == FlowKind::Device
    }

    /// What the client asked for.
    pub fn parameters(&self) -> Parameters {
        self.0.parameters()
    }
}

fn is_good(app: &App, flow: &Flow, visitor: &Visitor) -> bool {
    let age = app.clock.now() - flow.begun();
    age <= app.settings.oauth.page_life && flow.is_of(&visitor.device)
}
