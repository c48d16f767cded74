use crate::domain::keys::Kid;
use crate::keys::{MasterKeys, SealError, open_private_key};
use crate::store;
use crate::store::keys::signing_keys;
use crate::store::{Db, StoreError};

/// Why the server must not start with these master keys.
#[derive(Debug, thiserror::Error)]
pub enum CheckMasterKeysError {
    /// Names every kid that cannot be opened.
    #[error("{}", list(.0))]
    Seal(Vec<SealError>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(errors: &[SealError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Opens every sealed key of the database, before anything is written to it. Returns how many there are. One that does not
/// open although its master key opens another is a damaged row: that is an alarm and no reason not to start.
pub async fn check_master_keys(
    db: &Db,
    master_keys: Option<&MasterKeys>,
) -> Result<usize, CheckMasterKeysError> {
    let mut conn = db.read().await?;
    if !store::signing_keys_exist(&mut conn).await? {
        return Ok(0);
    }
    let sealed_keys = signing_keys::sealed(&mut conn).await?;
    let (mut authenticated, mut failed) = (Vec::new(), Vec::new());
    for (kid, alg, sealed) in &sealed_keys {
        let id = &sealed.master_key_id;
        let missing = || SealError::MasterKeyMissing { kid: kid.clone(), master_key_id: id.clone() };
        let unreadable = || SealError::CannotOpen { kid: kid.clone(), master_key_id: id.clone() };
        let opened = master_keys.ok_or_else(missing).and_then(|master_keys| {
            let alg = alg.ok_or_else(unreadable)?;
            open_private_key(master_keys, kid, alg, id, &sealed.ciphertext)
        });
        match opened {
            Ok(_) => authenticated.push(id),
            Err(error) => failed.push((kid, id, error)),
        }
    }
    let (damaged, refused): (Vec<_>, Vec<_>) =
        failed.into_iter().partition(|(_, id, _)| authenticated.contains(id));
    for (kid, _, error) in damaged {
        log_damage(kid, &error);
    }
    if refused.is_empty() {
        return Ok(sealed_keys.len());
    }
    Err(CheckMasterKeysError::Seal(refused.into_iter().map(|(.., error)| error).collect()))
}

fn log_damage(kid: &Kid, error: &SealError) {
    tracing::error!(event = "signing_key_damaged", %kid, %error, "its master key opens others, so the row is damaged");
}
