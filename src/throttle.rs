//! Whose failed attempts are counted together: one account however its address is typed, one known device of it, or one
//! source network.
//!
//! A subject is a MAC, so the table of attempts tells nobody which addresses were tried. A device that has logged in
//! carries a token of its own and is counted by itself: an attacker who fails on an account does not lock out its owner.
//! No SQL and no HTTP; the counting is the store's, the rule the domain's.

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::Email;
use crate::domain::accounts::User;
use crate::keys::{MasterKey, MasterKeys, Purpose};

/// MACs of throttle subjects and of device tokens. The salt separates the two.
const LOGIN_ATTEMPTS: Purpose = Purpose::new("chancery/v1/login-attempts");

/// An address, known or not, under its present password. A new password starts new counts and forgets all devices.
pub struct Account<'a> {
    email: &'a Email,
    password_changed_at: DateTime<Utc>,
}

impl<'a> Account<'a> {
    /// `user` is the one with this address, if there is one.
    pub fn new(email: &'a Email, user: Option<&User>) -> Self {
        let password_changed_at = user.map_or(DateTime::UNIX_EPOCH, |user| user.password_changed_at);
        Self { email, password_changed_at }
    }

    fn mac(&self, master: &MasterKey, what: &[u8], detail: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*master.derive(LOGIN_ATTEMPTS, what));
        let mut context = hmac::Context::with_key(&key);
        // The moment has eight bytes and an address no NUL, so the parts cannot run together.
        context.update(&self.password_changed_at.timestamp_micros().to_be_bytes());
        context.update(self.email.as_str().as_bytes());
        context.update(b"\0");
        context.update(detail);
        let mut whole = [0; 32];
        whole.copy_from_slice(context.sign().as_ref());
        whole
    }
}

/// What the attempts of a network are counted for. Each feature declares its budget beside the code that spends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkBudget(&'static str);

impl NetworkBudget {
    /// `label` keys the rows in the database, so it must be unique and never changes.
    pub const fn new(label: &'static str) -> Self {
        Self(label)
    }
}

/// Whom failures are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject([u8; 32]);

impl Subject {
    /// Everyone who tries this account.
    pub fn account(master_keys: &MasterKeys, account: &Account<'_>) -> Self {
        Self(account.mac(master_keys.first(), b"account", &[]))
    }

    /// One device that has logged in to this account before.
    pub fn device(master_keys: &MasterKeys, account: &Account<'_>, device: KnownDevice) -> Self {
        Self(account.mac(master_keys.first(), b"device", device.0.as_bytes()))
    }

    /// Everyone in one network, an IPv4 address or an IPv6 /64, who spends this budget.
    pub fn network(master_keys: &MasterKeys, budget: NetworkBudget, ip: IpAddr) -> Self {
        let key = master_keys.first().derive(LOGIN_ATTEMPTS, budget.0.as_bytes());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*key), &network(ip));
        let mut whole = [0; 32];
        whole.copy_from_slice(tag.as_ref());
        Self(whole)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A short name by which lines about one subject find each other.
    pub fn label(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0[..9])
    }
}

/// What one customer of a provider has: an IPv4 address, or an IPv6 /64. An IPv4 address written as IPv6 is the former.
fn network(ip: IpAddr) -> Vec<u8> {
    match ip.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[..8].to_vec(),
    }
}

/// A device that has proved the password of an address once. It proves nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDevice(Uuid);

impl KnownDevice {
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The token the device keeps: its id, and a MAC that binds it to the account.
    pub fn token(self, master_keys: &MasterKeys, account: &Account<'_>) -> DeviceToken {
        let mut bytes = self.0.as_bytes().to_vec();
        bytes.extend_from_slice(&self.proof(master_keys.first(), account));
        DeviceToken(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// `None` unless the token was made for this account under a configured master key.
    pub fn parse(token: &str, master_keys: &MasterKeys, account: &Account<'_>) -> Option<Self> {
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let device = Self(Uuid::from_slice(&bytes[..16]).ok()?);
        let proves = |master| {
            constant_time::verify_slices_are_equal(&device.proof(master, account), &bytes[16..]).is_ok()
        };
        master_keys.iter().any(proves).then_some(device)
    }

    fn proof(self, master: &MasterKey, account: &Account<'_>) -> [u8; 16] {
        let mut cut = [0; 16];
        cut.copy_from_slice(&account.mac(master, b"proof", self.0.as_bytes())[..16]);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;
    use crate::domain::accounts::{Roles, UserStatus};
    use crate::domain::passwords::PasswordHash;
    use proptest::prelude::*;

    fn master_keys() -> MasterKeys {
        MasterKeys::parse(["one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]).unwrap()
    }

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap()
    }

    fn user(email: &Email, password_changed_at: DateTime<Utc>) -> User {
        User {
            id: UserId::random(),
            email: email.clone(),
            email_verified: false,
            name: None,
            password_hash: PasswordHash::from_phc(String::new()),
            password_changed_at,
            roles: Roles::default(),
            status: UserStatus::Active,
            created_at: password_changed_at,
            last_login_at: None,
        }
    }

    #[test]
    fn one_account_is_one_subject_and_each_device_of_it_another() {
        let (master_keys, ada, bob) = (master_keys(), email("ada@x.test"), email("bob@x.test"));
        let ada = Account::new(&ada, None);
        let subject = Subject::account(&master_keys, &ada);
        assert_eq!(subject, Subject::account(&master_keys, &Account::new(&email(" ADA@X.test"), None)));
        assert_ne!(subject, Subject::account(&master_keys, &Account::new(&bob, None)));
        let (one, two) = (KnownDevice::random(), KnownDevice::random());
        assert_ne!(Subject::device(&master_keys, &ada, one), Subject::device(&master_keys, &ada, two));
        assert_ne!(Subject::device(&master_keys, &ada, one), subject);
    }

    #[test]
    fn a_network_is_an_ipv4_address_or_an_ipv6_64_however_it_is_written() {
        let master_keys = master_keys();
        let network =
            |ip: &str| Subject::network(&master_keys, NetworkBudget::new("one"), ip.parse().unwrap());
        assert_eq!(network("192.0.2.7"), network("::ffff:192.0.2.7"));
        assert_eq!(network("192.0.2.7"), network("::ffff:c000:207"));
        assert_ne!(network("192.0.2.7"), network("192.0.2.8"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:0DB8:0001:0002:ffff:ffff:ffff:ffff"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        let ip = "192.0.2.7".parse().unwrap();
        assert_ne!(network("192.0.2.7"), Subject::network(&master_keys, NetworkBudget::new("two"), ip));
    }

    #[test]
    fn a_new_password_starts_new_counts_and_forgets_devices() {
        let (master_keys, address) = (master_keys(), email("ada@x.test"));
        let (old, new) = (user(&address, DateTime::UNIX_EPOCH), user(&address, DateTime::<Utc>::MAX_UTC));
        let (old, new) = (Account::new(&address, Some(&old)), Account::new(&address, Some(&new)));
        assert_ne!(Subject::account(&master_keys, &old), Subject::account(&master_keys, &new));
        let token = KnownDevice::random().token(&master_keys, &old);
        assert!(KnownDevice::parse(token.expose(), &master_keys, &old).is_some());
        assert_eq!(KnownDevice::parse(token.expose(), &master_keys, &new), None);
    }

    #[test]
    fn a_device_token_is_good_for_its_own_account_only() {
        let (master_keys, ada, bob) = (master_keys(), email("ada@x.test"), email("bob@x.test"));
        let ada = Account::new(&ada, None);
        let device = KnownDevice::random();
        let token = device.token(&master_keys, &ada).expose().to_owned();
        assert_eq!(KnownDevice::parse(&token, &master_keys, &ada), Some(device));
        assert_eq!(KnownDevice::parse(&token, &master_keys, &Account::new(&bob, None)), None);
        let other = MasterKeys::parse(["two:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="]).unwrap();
        assert_eq!(KnownDevice::parse(&token, &other, &ada), None);
        for bad in ["", "x", &token[1..], &format!("{token}="), &"A".repeat(43)] {
            assert_eq!(KnownDevice::parse(bad, &master_keys, &ada), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_devices_token(at in 0usize..43, to in "[A-Za-z0-9_=+/ -]", text in "\\PC{0,60}") {
            let (master_keys, ada) = (master_keys(), email("ada@x.test"));
            let account = Account::new(&ada, None);
            let device = KnownDevice::random();
            let good = device.token(&master_keys, &account).expose().to_owned();
            let mut altered = good.clone();
            altered.replace_range(at..=at, &to);
            if altered != good {
                prop_assert_eq!(KnownDevice::parse(&altered, &master_keys, &account), None);
            }
            prop_assert_eq!(KnownDevice::parse(&text, &master_keys, &account), None);
        }
    }
}
