//! The one authenticated encryption of the program: AES-256-GCM, under a key of its own for every
//! kind of value.
//!
//! A [`SecretKind`] is stored. Its ciphertext is bound to its row and to the master key whose id
//! stands beside the ciphertext. A [`StateKind`] travels in pages and browsers: each value has a
//! key of its own, from a random salt, because anyone may ask for as many pages as they like; it is
//! bound to a browser, and to a session where there is one. A value of one kind, row, browser or
//! session opens as no other. Each kind is declared in the module of its feature.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::keys::{MasterKey, MasterKeys, Purpose};

const SALT_LEN: usize = 16;

/// A kind of secret that is stored sealed, such as the private half of a signing key.
#[derive(Debug)]
pub struct SecretKind {
    /// The name of such a secret in messages.
    noun: &'static str,
    purpose: Purpose,
}

/// A sealed secret as it is stored. Cannot be printed.
pub struct SealedSecret {
    /// The id of the master key under which the secret is sealed.
    pub master_key_id: String,
    /// Nonce, ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// Opened bytes. Cannot be printed, and are erased from memory when dropped.
pub struct OpenedSecret(Zeroizing<Vec<u8>>);

/// Why a secret cannot be sealed or opened. `secret` names the kind and the row.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("{secret} is sealed under master key `{master_key_id}`, which is not configured")]
    MasterKeyMissing { secret: String, master_key_id: String },
    #[error(
        "{secret} cannot be opened with master key `{master_key_id}`: the key is wrong or the row damaged"
    )]
    CannotOpen { secret: String, master_key_id: String },
    #[error("{secret} cannot be sealed")]
    CannotSeal { secret: String },
}

impl SecretKind {
    pub const fn new(noun: &'static str, purpose: Purpose) -> Self {
        Self { noun, purpose }
    }

    pub const fn noun(&self) -> &'static str {
        self.noun
    }

    /// The secret of one row, in words.
    pub fn of_row(&self, row: &[&str]) -> String {
        format!("{} {}", self.noun, row.first().copied().unwrap_or("?"))
    }

    /// Seals the secret of one row under the first master key. `row` is what the secret is bound
    /// to: the key of the row, and what else must not be exchanged for another.
    pub fn seal(
        &self,
        master_keys: &MasterKeys,
        row: &[&str],
        secret: &[u8],
    ) -> Result<SealedSecret, SealError> {
        let master = master_keys.first();
        let failed = || SealError::CannotSeal { secret: self.of_row(row) };
        let bound_to = row_bytes(row, master.id()).ok_or_else(failed)?;
        let ciphertext = seal(master, self.purpose, b"", &bound_to, secret).ok_or_else(failed)?;
        Ok(SealedSecret { master_key_id: master.id().to_owned(), ciphertext })
    }

    /// Opens the secret of one row under the master key that the row names.
    pub fn open(
        &self,
        master_keys: &MasterKeys,
        row: &[&str],
        master_key_id: &str,
        ciphertext: &[u8],
    ) -> Result<OpenedSecret, SealError> {
        let (secret, master_key_id) = (|| self.of_row(row), || master_key_id.to_owned());
        let master = master_keys.by_id(&master_key_id()).ok_or_else(|| SealError::MasterKeyMissing {
            secret: secret(),
            master_key_id: master_key_id(),
        })?;
        row_bytes(row, master.id())
            .and_then(|bound_to| open(master, self.purpose, b"", &bound_to, ciphertext))
            .ok_or_else(|| SealError::CannotOpen { secret: secret(), master_key_id: master_key_id() })
    }
}

/// The additional data of a row. 0.1.0 joined kid, algorithm and master key id by line breaks, so a
/// part with a line break is refused: two rows could be written alike.
fn row_bytes(row: &[&str], master_key_id: &str) -> Option<Vec<u8>> {
    let parts: Vec<&str> = row.iter().copied().chain([master_key_id]).collect();
    let is_plain = |part: &&str| !part.contains('\n');
    (!row.is_empty() && parts.iter().all(is_plain)).then(|| parts.join("\n").into_bytes())
}

/// A kind of state that travels sealed through browsers.
#[derive(Debug)]
pub struct StateKind(Purpose);

/// A sealed state as it travels: base64url of salt, nonce, ciphertext and tag; or several of them,
/// joined by dots. Cannot be printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedState(String);

impl StateKind {
    pub const fn new(purpose: Purpose) -> Self {
        Self(purpose)
    }

    /// `None` when the operating system gives no randomness. `bound_to` must not be empty: a state
    /// belongs to a browser.
    pub fn seal(&self, master_keys: &MasterKeys, bound_to: &[&[u8]], state: &[u8]) -> Option<SealedState> {
        let mut salt = [0; SALT_LEN];
        aws_lc_rs::rand::fill(&mut salt).ok()?;
        let mut sealed = seal(master_keys.first(), self.0, &salt, &parts_bytes(bound_to)?, state)?;
        sealed.splice(0..0, salt);
        Some(SealedState(URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Opens a state under any configured master key. `None` for everything that was not sealed
    /// here, as this kind, and bound to the same.
    pub fn open(&self, master_keys: &MasterKeys, bound_to: &[&[u8]], text: &str) -> Option<OpenedSecret> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (salt, sealed) = bytes.split_at_checked(SALT_LEN)?;
        let bound_to = parts_bytes(bound_to)?;
        master_keys.iter().find_map(|master| open(master, self.0, salt, &bound_to, sealed))
    }
}

impl SealedState {
    /// Two states that travel as one text.
    pub(super) fn join(self, other: &Self) -> Self {
        Self(self.0 + "." + &other.0)
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Each part with its length before it, so that no two lists of parts are written alike.
fn parts_bytes(parts: &[&[u8]]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&u64::try_from(part.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    (!bytes.is_empty()).then_some(bytes)
}

impl OpenedSecret {
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for OpenedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenedSecret(..)")
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedSecret").field("master_key_id", &self.master_key_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for SealedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedState(..)")
    }
}

/// Nonce, ciphertext and tag.
fn seal(
    master: &MasterKey,
    purpose: Purpose,
    salt: &[u8],
    bound_to: &[u8],
    plaintext: &[u8],
) -> Option<Vec<u8>> {
    // Room for everything, so that the plaintext is not copied while it grows.
    let mut sealed = Vec::with_capacity(SALT_LEN + NONCE_LEN + plaintext.len() + AES_256_GCM.tag_len());
    sealed.extend_from_slice(plaintext);
    let key = aead_key(master, purpose, salt)?;
    let Ok(nonce) = key.seal_in_place_append_tag(Aad::from(bound_to), &mut sealed) else {
        drop(Zeroizing::new(sealed));
        return None;
    };
    sealed.splice(0..0, *nonce.as_ref());
    Some(sealed)
}

fn open(
    master: &MasterKey,
    purpose: Purpose,
    salt: &[u8],
    bound_to: &[u8],
    sealed: &[u8],
) -> Option<OpenedSecret> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let key = aead_key(master, purpose, salt)?;
    let length = key.open_in_place(nonce, Aad::from(bound_to), &mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(OpenedSecret(buffer))
}

fn aead_key(master: &MasterKey, purpose: Purpose, salt: &[u8]) -> Option<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, &*master.derive(purpose, salt)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: SecretKind = SecretKind::new("test secret", Purpose::new("chancery/v2/test-secret"));
    const OTHER_SECRET: SecretKind = SecretKind::new("test secret", Purpose::new("chancery/v2/other-secret"));
    const STATE: StateKind = StateKind::new(Purpose::new("chancery/v2/test-state"));
    const OTHER_STATE: StateKind = StateKind::new(Purpose::new("chancery/v2/other-state"));

    fn master_keys() -> MasterKeys {
        MasterKeys::single(MasterKey::generate().unwrap())
    }

    #[test]
    fn a_stored_secret_opens_only_as_its_kind_in_its_row() {
        let master_keys = master_keys();
        let sealed = SECRET.seal(&master_keys, &["a", "b"], b"secret").unwrap();
        let open = |kind: &SecretKind, row: &[&str], id: &str, bytes: &[u8]| {
            kind.open(&master_keys, row, id, bytes).map(|opened| opened.expose().to_vec())
        };
        let (id, bytes) = (sealed.master_key_id.as_str(), sealed.ciphertext.as_slice());
        assert_eq!(open(&SECRET, &["a", "b"], id, bytes).unwrap(), b"secret");
        for row in [&["a"][..], &["a", "c"], &["b", "a"], &["a\nb"], &["a", "b", "c"], &[]] {
            assert!(matches!(open(&SECRET, row, id, bytes), Err(SealError::CannotOpen { .. })), "{row:?}");
        }
        assert!(open(&OTHER_SECRET, &["a", "b"], id, bytes).is_err());
        assert!(matches!(
            open(&SECRET, &["a", "b"], "other", bytes),
            Err(SealError::MasterKeyMissing { .. })
        ));
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            assert!(open(&SECRET, &["a", "b"], id, &damaged).is_err(), "byte {at}");
        }
        assert!(open(&SECRET, &["a", "b"], id, b"short").is_err());
        for row in [&[][..], &["a\nb"], &["a", "b\n"]] {
            assert!(
                matches!(SECRET.seal(&master_keys, row, b"x"), Err(SealError::CannotSeal { .. })),
                "{row:?}"
            );
        }
    }

    #[test]
    fn another_master_key_with_the_same_id_does_not_open() {
        let line = MasterKey::generate().unwrap().to_line();
        let id = line.split_once(':').unwrap().0;
        let other = MasterKey::generate().unwrap().to_line();
        let other = format!("{id}:{}", other.split_once(':').unwrap().1);
        let sealed = SECRET.seal(&MasterKeys::parse([&**line]).unwrap(), &["a"], b"x").unwrap();
        let wrong = MasterKeys::parse([&*other]).unwrap();
        let opened = SECRET.open(&wrong, &["a"], &sealed.master_key_id, &sealed.ciphertext);
        assert!(matches!(opened, Err(SealError::CannotOpen { .. })));
    }

    #[test]
    fn a_state_opens_only_as_its_kind_bound_to_the_same() {
        let (ours, others) = (master_keys(), master_keys());
        let sealed = STATE.seal(&ours, &[b"browser", b"session"], b"state").unwrap();
        let open = |kind: &StateKind, bound_to: &[&[u8]], text: &str| {
            kind.open(&ours, bound_to, text).map(|opened| opened.expose().to_vec())
        };
        let text = sealed.expose();
        assert_eq!(open(&STATE, &[b"browser", b"session"], text).unwrap(), b"state");
        let others_parts: [&[&[u8]]; 6] = [
            &[],
            &[b"browser"],
            &[b"browser", b""],
            &[b"session", b"browser"],
            &[b"browsers", b"ession"],
            &[b"browsersession"],
        ];
        for bound_to in others_parts {
            assert_eq!(open(&STATE, bound_to, text), None, "{bound_to:?}");
        }
        assert_eq!(open(&OTHER_STATE, &[b"browser", b"session"], text), None);
        assert!(STATE.open(&others, &[b"browser", b"session"], text).is_none());
        assert_eq!(STATE.seal(&ours, &[], b"x"), None, "every state is bound to something");
        assert_ne!(
            STATE.seal(&ours, &[b"a"], b"x"),
            STATE.seal(&ours, &[b"a"], b"x"),
            "a key for each value"
        );
    }

    #[test]
    fn what_is_sealed_or_opened_is_not_printed() {
        let master_keys = master_keys();
        let secret = SECRET.seal(&master_keys, &["a"], b"hidden words").unwrap();
        let opened = SECRET.open(&master_keys, &["a"], &secret.master_key_id, &secret.ciphertext).unwrap();
        let state = STATE.seal(&master_keys, &[b"a"], b"hidden words").unwrap();
        let shown = format!("{secret:?} {opened:?} {state:?}");
        let master_key_id = &secret.master_key_id;
        let expected = format!(
            "SealedSecret {{ master_key_id: {master_key_id:?}, .. }} OpenedSecret(..) SealedState(..)"
        );
        assert_eq!(shown, expected);
    }
}
