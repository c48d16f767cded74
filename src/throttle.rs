//! Whose failed attempts are counted together: one address however it is typed, or one known device of it.
//!
//! A subject is a MAC, so the table of attempts tells nobody which addresses were tried. A device that has logged in
//! carries a token of its own and is counted by itself: an attacker who fails on an account does not lock out its owner.
//! No SQL and no HTTP; the counting is the store's, the rule the domain's.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::domain::Email;
use crate::keys::{MasterKey, MasterKeys, Purpose};

/// Whom failures are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject([u8; 32]);

impl Subject {
    /// Everyone who tries this address.
    pub fn address(masters: &MasterKeys, email: &Email) -> Self {
        Self(mac(masters.first(), &[b"address", email.as_str().as_bytes()]))
    }

    /// One device that has logged in as this address before.
    pub fn device(masters: &MasterKeys, email: &Email, device: &KnownDevice) -> Self {
        Self(mac(masters.first(), &[b"device", email.as_str().as_bytes(), device.0.as_bytes()]))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A device that has proved the password of an address once. It proves nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDevice(Uuid);

impl KnownDevice {
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The token the device keeps: its id, and a MAC that binds it to the address.
    pub fn token(&self, masters: &MasterKeys, email: &Email) -> DeviceToken {
        let mut bytes = self.0.as_bytes().to_vec();
        bytes.extend_from_slice(&self.proof(masters.first(), email));
        DeviceToken(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// `None` unless the token was made for this address under a configured master key.
    pub fn parse(token: &str, masters: &MasterKeys, email: &Email) -> Option<Self> {
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let device = Self(Uuid::from_slice(&bytes[..16]).ok()?);
        let proves = |master| {
            constant_time::verify_slices_are_equal(&device.proof(master, email), &bytes[16..]).is_ok()
        };
        masters.iter().any(proves).then_some(device)
    }

    fn proof(&self, master: &MasterKey, email: &Email) -> [u8; 16] {
        let mut cut = [0; 16];
        cut.copy_from_slice(&mac(master, &[b"proof", email.as_str().as_bytes(), self.0.as_bytes()])[..16]);
        cut
    }
}

/// What a known device shows at its next login. Cannot be printed.
pub struct DeviceToken(String);

impl DeviceToken {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceToken(..)")
    }
}

fn mac(master: &MasterKey, parts: &[&[u8]]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*master.derive(Purpose::LoginAttempts, b""));
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        // A NUL stands in no address, so parts cannot run together.
        context.update(part);
        context.update(b"\0");
    }
    let mut whole = [0; 32];
    whole.copy_from_slice(context.sign().as_ref());
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masters() -> MasterKeys {
        MasterKeys::parse(["one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]).unwrap()
    }

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap()
    }

    #[test]
    fn one_address_is_one_subject_and_each_device_of_it_another() {
        let (masters, ada) = (masters(), email("ada@x.test"));
        let address = Subject::address(&masters, &ada);
        assert_eq!(address, Subject::address(&masters, &email(" ADA@X.test")));
        assert_ne!(address, Subject::address(&masters, &email("bob@x.test")));
        let (one, two) = (KnownDevice::random(), KnownDevice::random());
        assert_ne!(Subject::device(&masters, &ada, &one), Subject::device(&masters, &ada, &two));
        assert_ne!(Subject::device(&masters, &ada, &one), address);
    }

    #[test]
    fn a_device_token_is_good_for_its_own_address_only() {
        let (masters, ada) = (masters(), email("ada@x.test"));
        let device = KnownDevice::random();
        let token = device.token(&masters, &ada).expose().to_owned();
        assert_eq!(KnownDevice::parse(&token, &masters, &ada), Some(device));
        assert_eq!(KnownDevice::parse(&token, &masters, &email("bob@x.test")), None);
        let other = MasterKeys::parse(["two:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="]).unwrap();
        assert_eq!(KnownDevice::parse(&token, &other, &ada), None);
        for bad in ["", "x", &token[1..], &format!("{token}="), &"A".repeat(43)] {
            assert_eq!(KnownDevice::parse(bad, &masters, &ada), None, "{bad}");
        }
    }
}
