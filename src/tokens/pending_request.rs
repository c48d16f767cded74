//! A pending request: what a hosted page is about, on its way through the page's form. It travels
//! sealed, so that an anonymous visitor costs no row.
//!
//! Two parts, joined by a dot. The first holds what may begin again in any browser: the parameters
//! that the browser itself brought. The second holds everything that has an effect: the id, the
//! time, the consent that was shown, a pushed request. The second part is bound to the first, and
//! to the browser by a random value in that browser's cookie. A form that another site posts, or
//! that was made in another browser, does not open (login CSRF).

use std::fmt;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::sealed::{SealedState, StateKind};
use crate::domain::{Parameters, SessionId};
use crate::keys::{MasterKeys, Purpose};

/// The first part, for all pages.
const RESTART: StateKind = StateKind::new(Purpose::new("chancery/v2/page-restart"));
/// The second part, a kind for each page.
const AUTHORIZATION: StateKind = StateKind::new(Purpose::new("chancery/v2/authorization-page"));
const SIGN_OUT: StateKind = StateKind::new(Purpose::new("chancery/v2/sign-out-page"));
const DEVICE: StateKind = StateKind::new(Purpose::new("chancery/v2/device-page"));

/// The pages that carry a request. A state of one page does not open at another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// Sign-in and consent, for a client.
    Authorization,
    /// The question whether to sign out.
    SignOut,
    /// Sign-in and confirmation, for a device.
    Device,
}

impl PageKind {
    fn state(self) -> &'static StateKind {
        match self {
            Self::Authorization => &AUTHORIZATION,
            Self::SignOut => &SIGN_OUT,
            Self::Device => &DEVICE,
        }
    }

    /// What the first part is bound to, beside the browser where the page is of no use in another
    /// one.
    fn name(self) -> &'static [u8] {
        match self {
            Self::Authorization => b"authorization",
            Self::SignOut => b"sign-out",
            Self::Device => b"device",
        }
    }
}

/// Where a browser goes on after a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnTarget {
    /// To the client that sent the browser, with a code or an error.
    Client,
    /// To the page that asks whether a device may sign in.
    Device,
}

/// How a request came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingRequestKind {
    /// The browser brought the request, and can bring it again.
    Asked,
    /// The client pushed the request (RFC 9126): it exists in this state only.
    Pushed,
    /// The request is about signing out, and signs no user in.
    SignOut,
    /// A user has a device that shows a code (RFC 8628).
    Device,
}

impl PendingRequestKind {
    pub fn page(self) -> PageKind {
        match self {
            Self::Asked | Self::Pushed => PageKind::Authorization,
            Self::SignOut => PageKind::SignOut,
            Self::Device => PageKind::Device,
        }
    }

    /// Where the browser goes on after a sign-in. `None`: the page signs no user in.
    pub fn return_target(self) -> Option<ReturnTarget> {
        match self {
            Self::Asked | Self::Pushed => Some(ReturnTarget::Client),
            Self::Device => Some(ReturnTarget::Device),
            Self::SignOut => None,
        }
    }

    /// Whether the browser brought the parameters, so that the request can begin again from them.
    fn can_restart(self) -> bool {
        matches!(self, Self::Asked | Self::SignOut)
    }
}

/// The browser that a page belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BrowserBinding {
    /// SHA-256 of the random value in the browser's cookie.
    browser: [u8; 32],
    /// The session in the browser. The page that asks before it signs out belongs to that session,
    /// too. The other pages do not: a user signs in at them, and the consent page names its user.
    session: Option<SessionId>,
}

impl BrowserBinding {
    pub fn new(browser: &str, session: Option<SessionId>) -> Self {
        let mut whole = [0; 32];
        whole.copy_from_slice(digest::digest(&digest::SHA256, browser.as_bytes()).as_ref());
        Self { browser: whole, session }
    }

    fn of_restart(&self, page: PageKind) -> Vec<&[u8]> {
        match page {
            PageKind::Authorization | PageKind::Device => vec![page.name()],
            PageKind::SignOut => vec![page.name(), &self.browser],
        }
    }

    fn of_request<'a>(&'a self, page: PageKind, restart: &'a str) -> Vec<&'a [u8]> {
        match page {
            PageKind::Authorization | PageKind::Device => vec![&self.browser, restart.as_bytes()],
            PageKind::SignOut => {
                let session = self.session.as_ref().map_or(&[][..], |session| session.0.as_bytes());
                vec![&self.browser, session, restart.as_bytes()]
            }
        }
    }
}

/// The consent that a page shows, and the form of that page gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentedConsent {
    pub user: Uuid,
    pub scope: String,
}

/// A request that waits for its user. Debug output shows no parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct PendingRequest {
    pub id: Uuid,
    pub kind: PendingRequestKind,
    /// When the request first came, in microseconds since 1970.
    begun_us: i64,
    binding: BrowserBinding,
    shown: Option<PresentedConsent>,
    /// The request as it was sent. It is read again at every step.
    parameters: Vec<(String, String)>,
}

/// The second part.
#[derive(Serialize, Deserialize)]
struct Sealed {
    id: Uuid,
    is_pushed: bool,
    begun_us: i64,
    shown: Option<PresentedConsent>,
    /// Empty where the first part holds them.
    parameters: Vec<(String, String)>,
}

/// A state that was sealed here.
#[derive(Debug, PartialEq, Eq)]
pub enum OpenedPage {
    /// For this browser.
    Here(PendingRequest),
    /// For another browser, or another session of this one. The parameters, if the request can
    /// begin again from them.
    Elsewhere(Option<Parameters>),
}

impl PendingRequest {
    pub fn begin(
        kind: PendingRequestKind,
        parameters: &Parameters,
        binding: BrowserBinding,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: Uuid::new_v4(),
            kind,
            begun_us: now.timestamp_micros(),
            binding,
            shown: None,
            parameters: parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }

    /// The same request from its beginning: it may sign a user in although it has done so before.
    pub fn restarted(&self, now: DateTime<Utc>) -> Self {
        Self { id: Uuid::new_v4(), begun_us: now.timestamp_micros(), ..self.clone() }
    }

    /// The same request, for a page that shows this consent.
    pub fn presenting(&self, shown: PresentedConsent) -> Self {
        Self { shown: Some(shown), ..self.clone() }
    }

    pub fn has_presented(&self, shown: &PresentedConsent) -> bool {
        self.shown.as_ref() == Some(shown)
    }

    pub fn parameters(&self) -> Parameters {
        self.parameters.iter().cloned().collect()
    }

    /// The parameters, if the request can begin again from them in any browser.
    pub fn restart_parameters(&self) -> Option<Parameters> {
        self.kind.can_restart().then(|| self.parameters())
    }

    pub fn begun(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.begun_us).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// `None` when the operating system gives no randomness.
    pub fn seal(&self, master_keys: &MasterKeys) -> Option<SealedState> {
        let page = self.kind.page();
        let (outside, inside) = match self.kind.can_restart() {
            true => (Some(&self.parameters), Vec::new()),
            false => (None, self.parameters.clone()),
        };
        let restart = serde_json::to_vec(&outside).ok()?;
        let restart = RESTART.seal(master_keys, &self.binding.of_restart(page), &restart)?;
        let sealed = Sealed {
            id: self.id,
            is_pushed: self.kind == PendingRequestKind::Pushed,
            begun_us: self.begun_us,
            shown: self.shown.clone(),
            parameters: inside,
        };
        let sealed = serde_json::to_vec(&sealed).ok()?;
        let bound_to = self.binding.of_request(page, restart.expose());
        let sealed = page.state().seal(master_keys, &bound_to, &sealed)?;
        Some(restart.join(&sealed))
    }

    /// Opens the state of one page. `None` for everything that was not sealed here for this page,
    /// the pages of 0.1.0 among them.
    pub fn open(
        master_keys: &MasterKeys,
        page: PageKind,
        binding: BrowserBinding,
        text: &str,
    ) -> Option<OpenedPage> {
        let (restart, sealed) = text.split_once('.')?;
        let outside = RESTART.open(master_keys, &binding.of_restart(page), restart)?;
        let outside: Option<Vec<(String, String)>> = serde_json::from_slice(outside.expose()).ok()?;
        let Some(opened) = page.state().open(master_keys, &binding.of_request(page, restart), sealed) else {
            return Some(OpenedPage::Elsewhere(outside.map(Parameters::from_iter)));
        };
        let sealed: Sealed = serde_json::from_slice(opened.expose()).ok()?;
        let kind = match page {
            PageKind::Authorization if sealed.is_pushed => PendingRequestKind::Pushed,
            PageKind::Authorization => PendingRequestKind::Asked,
            PageKind::SignOut => PendingRequestKind::SignOut,
            PageKind::Device => PendingRequestKind::Device,
        };
        let Sealed { id, begun_us, shown, parameters: inside, .. } = sealed;
        let parameters = outside.unwrap_or(inside);
        Some(OpenedPage::Here(Self { id, kind, begun_us, binding, shown, parameters }))
    }
}

impl fmt::Debug for PendingRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, kind, .. } = self;
        f.debug_struct("PendingRequest").field("id", id).field("kind", kind).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [PendingRequestKind; 4] = [
        PendingRequestKind::Asked,
        PendingRequestKind::Pushed,
        PendingRequestKind::SignOut,
        PendingRequestKind::Device,
    ];
    const PAGES: [PageKind; 3] = [PageKind::Authorization, PageKind::SignOut, PageKind::Device];

    fn master_keys() -> MasterKeys {
        MasterKeys::parse(["one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]).unwrap()
    }

    fn parameters() -> Parameters {
        Parameters::from_iter([("state".to_owned(), "\u{e9} &=".to_owned())])
    }

    fn binding(browser: &str, session: u128) -> BrowserBinding {
        BrowserBinding::new(browser, Some(SessionId(Uuid::from_u128(session))))
    }

    #[test]
    fn a_request_comes_back_as_it_was_at_its_own_page_only() {
        let now = DateTime::from_timestamp_micros(1_800_000_000_123_456).unwrap();
        for kind in KINDS {
            let shown = PresentedConsent { user: Uuid::from_u128(9), scope: "openid".to_owned() };
            let pending = PendingRequest::begin(kind, &parameters(), binding("cookie", 7), now);
            let pending = pending.presenting(shown.clone());
            let text = pending.seal(&master_keys()).unwrap();
            let open = |page| PendingRequest::open(&master_keys(), page, binding("cookie", 7), text.expose());
            let Some(OpenedPage::Here(back)) = open(kind.page()) else { panic!("{kind:?}") };
            assert!(back == pending && back.has_presented(&shown));
            assert_eq!((back.parameters(), back.begun()), (parameters(), now));
            for other in PAGES.into_iter().filter(|page| *page != kind.page()) {
                assert_eq!(open(other), None, "{kind:?} at {other:?}");
            }
            let again = back.restarted(DateTime::UNIX_EPOCH);
            assert!(again.begun() == DateTime::UNIX_EPOCH && again.id != pending.id);
            assert_eq!((again.kind, again.parameters()), (kind, parameters()));
            let other = MasterKeys::parse(["two:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="]).unwrap();
            let opened = PendingRequest::open(&other, kind.page(), binding("cookie", 7), text.expose());
            assert_eq!(opened, None, "{kind:?} under another master key");
        }
    }

    #[test]
    fn in_another_browser_a_request_begins_again_if_the_browser_can_bring_it() {
        let now = DateTime::UNIX_EPOCH;
        for (kind, elsewhere) in [
            (PendingRequestKind::Asked, Some(OpenedPage::Elsewhere(Some(parameters())))),
            (PendingRequestKind::Pushed, Some(OpenedPage::Elsewhere(None))),
            (PendingRequestKind::Device, Some(OpenedPage::Elsewhere(None))),
            (PendingRequestKind::SignOut, None),
        ] {
            let pending = PendingRequest::begin(kind, &parameters(), binding("cookie", 7), now);
            let text = pending.seal(&master_keys()).unwrap();
            let open = |binding| PendingRequest::open(&master_keys(), kind.page(), binding, text.expose());
            assert_eq!(open(binding("other", 7)), elsewhere, "{kind:?}");
            assert_eq!(open(binding("", 7)), elsewhere, "{kind:?}");
            let here = Some(OpenedPage::Here(pending.clone()));
            // A user may sign in between two pages, except before signing out.
            let later = binding("cookie", 8);
            match kind {
                PendingRequestKind::SignOut => {
                    let restart = Some(OpenedPage::Elsewhere(Some(parameters())));
                    assert_eq!(open(later), restart);
                    assert_eq!(open(BrowserBinding::new("cookie", None)), restart);
                }
                _ => assert!(matches!(open(later), Some(OpenedPage::Here(back)) if back.id == pending.id)),
            }
            assert_eq!(open(binding("cookie", 7)), here);
        }
    }

    #[test]
    fn the_parts_of_two_states_do_not_fit_each_other() {
        let (keys, page) = (master_keys(), PageKind::Authorization);
        let sealed = |client: &str| {
            let parameters = Parameters::from_iter([("client_id".to_owned(), client.to_owned())]);
            let pending = PendingRequest::begin(
                PendingRequestKind::Asked,
                &parameters,
                binding("cookie", 7),
                DateTime::UNIX_EPOCH,
            );
            pending.seal(&keys).unwrap().expose().to_owned()
        };
        let (one, two) = (sealed("one"), sealed("two"));
        let mixed = format!("{}.{}", one.split_once('.').unwrap().0, two.split_once('.').unwrap().1);
        let opened = PendingRequest::open(&keys, page, binding("cookie", 7), &mixed);
        assert!(matches!(opened, Some(OpenedPage::Elsewhere(_))), "it begins again and does nothing else");
        let swapped = one.split_once('.').map(|(restart, sealed)| format!("{sealed}.{restart}")).unwrap();
        assert_eq!(PendingRequest::open(&keys, page, binding("cookie", 7), &swapped), None);
    }

    #[test]
    fn parameters_are_not_printed() {
        let pending = PendingRequest::begin(
            PendingRequestKind::Device,
            &parameters(),
            binding("c", 7),
            DateTime::UNIX_EPOCH,
        );
        let shown = format!("{:?}", OpenedPage::Here(pending));
        assert!(
            shown.contains("Device") && !shown.contains("state") && !shown.contains("binding"),
            "{shown}"
        );
    }

    proptest! {
        #[test]
        fn what_was_not_sealed_here_does_not_open(at in 0usize..1000, to in "[A-Za-z0-9_-]", text in "\\PC{0,80}") {
            let pending = PendingRequest::begin(PendingRequestKind::Asked, &parameters(), binding("cookie", 7), DateTime::UNIX_EPOCH);
            let good = pending.seal(&master_keys()).unwrap().expose().to_owned();
            let open = |text: &str| PendingRequest::open(&master_keys(), PageKind::Authorization, binding("cookie", 7), text);
            let (mut altered, at) = (good.clone(), at % good.len());
            altered.replace_range(at..=at, &to);
            if altered != good {
                prop_assert!(!matches!(open(&altered), Some(OpenedPage::Here(_))));
            }
            prop_assert_eq!(open(&text), None);
            prop_assert_eq!(open(&("A.".to_owned() + &text)), None);
        }
    }
}
