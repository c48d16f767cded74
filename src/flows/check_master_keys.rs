use crate::keys::{MasterKeys, SealError, open_private_key};
use crate::store::{self, Db, StoreError, signing_keys};

/// Why the server must not start with these master keys.
#[derive(Debug, thiserror::Error)]
pub enum CheckMasterKeysError {
    /// Names the kid that cannot be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens every sealed key of the database, before anything is written to it. Returns how many there are.
pub async fn check_master_keys(db: &Db, masters: Option<&MasterKeys>) -> Result<usize, CheckMasterKeysError> {
    let mut conn = db.read().await?;
    if !store::signing_keys_exist(&mut conn).await? {
        return Ok(0);
    }
    let sealed_keys = signing_keys::sealed(&mut conn).await?;
    for (kid, alg, sealed) in &sealed_keys {
        let masters = masters.ok_or_else(|| SealError::MasterKeyMissing {
            kid: kid.clone(),
            master_key_id: sealed.master_key_id.clone(),
        })?;
        open_private_key(masters, kid, *alg, &sealed.master_key_id, &sealed.ciphertext)?;
    }
    Ok(sealed_keys.len())
}
