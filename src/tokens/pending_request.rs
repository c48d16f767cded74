//! A flow: an authorization request on its way through the hosted pages. It travels in the pages' forms, sealed, so that an
//! anonymous visitor costs no row.
//!
//! AES-256-GCM, each under a key of its own that is derived from the master key and a random salt: anybody may ask for as many
//! pages as they like, and no key seals more than one. It is bound to one browser by the digest of a random value in that
//! browser's cookie: a form that another site posts, or that somebody made in their own browser, does not fit (login CSRF).

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::Parameters;
use crate::keys::{MasterKey, MasterKeys, Purpose};

/// The key that seals a request on its way through the hosted pages.
const PAGES: Purpose = Purpose::new("chancery/v1/flows");

const SALT_LEN: usize = 16;

/// How a request has come here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PendingRequestKind {
    /// The browser brought it, and can bring it again.
    #[default]
    Asked,
    /// Its client pushed it (RFC 9126): it is nowhere but in this flow.
    Pushed,
    /// It is about signing out, and signs nobody in.
    SignOut,
    /// A person has a device that shows a code (RFC 8628).
    Device,
}

/// What a page has shown to somebody, and is agreed to by its form and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentedConsent {
    pub user: Uuid,
    pub scope: String,
}

/// What is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRequest {
    pub id: Uuid,
    #[serde(default)]
    pub kind: PendingRequestKind,
    /// When the request first came, in microseconds since 1970.
    begun_us: i64,
    /// SHA-256 of what the browser's cookie holds.
    browser: [u8; 32],
    #[serde(default)]
    shown: Option<PresentedConsent>,
    /// The request as it was sent; it is read anew at every step.
    parameters: Vec<(String, String)>,
}

impl PendingRequest {
    pub fn begin(
        kind: PendingRequestKind,
        parameters: &Parameters,
        browser: &str,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: Uuid::new_v4(),
            kind,
            begun_us: now.timestamp_micros(),
            browser: digest_of(browser),
            shown: None,
            parameters: parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }

    /// The same request from its beginning: it may sign somebody in although it has done so before.
    pub fn restarted(&self, now: DateTime<Utc>) -> Self {
        Self { id: Uuid::new_v4(), begun_us: now.timestamp_micros(), ..self.clone() }
    }

    /// The same, for a page that shows this.
    pub fn presenting(&self, shown: PresentedConsent) -> Self {
        Self { shown: Some(shown), ..self.clone() }
    }

    pub fn has_presented(&self, shown: &PresentedConsent) -> bool {
        self.shown.as_ref() == Some(shown)
    }

    pub fn parameters(&self) -> Parameters {
        self.parameters.iter().cloned().collect()
    }

    pub fn begun(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.begun_us).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// Whether it was begun in the browser whose cookie holds this.
    pub fn is_of(&self, browser: &str) -> bool {
        // Digests: comparing them early or late tells nothing of what they are of.
        self.browser == digest_of(browser)
    }

    pub fn seal(&self, master_keys: &MasterKeys) -> Option<String> {
        let mut salt = [0; SALT_LEN];
        aws_lc_rs::rand::fill(&mut salt).ok()?;
        let mut sealed = serde_json::to_vec(self).ok()?;
        let nonce =
            key(master_keys.first(), &salt).ok()?.seal_in_place_append_tag(Aad::empty(), &mut sealed).ok()?;
        sealed.splice(0..0, salt.into_iter().chain(*nonce.as_ref()));
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// `None` for anything that was not sealed here.
    pub fn open(master_keys: &MasterKeys, text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (salt, rest) = bytes.split_at_checked(SALT_LEN)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        master_keys.iter().find_map(|master| {
            let mut buffer = sealed.to_vec();
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let opened = key(master, salt).ok()?.open_in_place(nonce, Aad::empty(), &mut buffer).ok()?;
            serde_json::from_slice(opened).ok()
        })
    }
}

fn digest_of(text: &str) -> [u8; 32] {
    let mut whole = [0; 32];
    whole.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    whole
}

fn key(master: &MasterKey, salt: &[u8]) -> Result<RandomizedNonceKey, aws_lc_rs::error::Unspecified> {
    RandomizedNonceKey::new(&AES_256_GCM, &*master.derive(PAGES, salt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn master_keys() -> MasterKeys {
        MasterKeys::parse(["one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]).unwrap()
    }

    #[test]
    fn a_flow_comes_back_as_it_was_and_belongs_to_its_browser() {
        let parameters = Parameters::from_iter([("state".to_owned(), "\u{e9} &=".to_owned())]);
        let now = DateTime::from_timestamp_micros(1_800_000_000_123_456).unwrap();
        let flow = PendingRequest::begin(PendingRequestKind::Pushed, &parameters, "cookie", now);
        let back = PendingRequest::open(&master_keys(), &flow.seal(&master_keys()).unwrap()).unwrap();
        assert_eq!(back, flow);
        assert_eq!((back.parameters(), back.begun()), (parameters, now));
        let again = back.restarted(DateTime::UNIX_EPOCH);
        assert_eq!(
            (again.begun(), again.kind, again.parameters()),
            (DateTime::UNIX_EPOCH, flow.kind, flow.parameters())
        );
        assert!(again.id != flow.id && again.is_of("cookie"));
        assert!(back.is_of("cookie") && !back.is_of("other") && !back.is_of(""));
        let other = MasterKeys::parse(["two:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="]).unwrap();
        assert_eq!(PendingRequest::open(&other, &flow.seal(&master_keys()).unwrap()), None);
    }

    proptest! {
        #[test]
        fn what_was_not_sealed_here_is_no_flow(at in 0usize..200, to in "[A-Za-z0-9_-]", text in "\\PC{0,80}") {
            let flow = PendingRequest::begin(PendingRequestKind::Asked, &Parameters::default(), "cookie", DateTime::UNIX_EPOCH);
            let good = flow.seal(&master_keys()).unwrap();
            let (mut altered, at) = (good.clone(), at % good.len());
            altered.replace_range(at..=at, &to);
            if altered != good {
                prop_assert_eq!(PendingRequest::open(&master_keys(), &altered), None);
            }
            prop_assert_eq!(PendingRequest::open(&master_keys(), &text), None);
        }
    }
}
