use crate::app::App;
use crate::domain::{OAuthCode, OAuthError, Thumbprint};
use crate::store::sessions::replay_guard;
use crate::store::{Conn, StoreError};
use crate::tokens::{DpopError, DpopNonces, ProofWanted, UnusedProof, verify_proof};

/// What the DPoP headers of a request hold (RFC 9449 section 4.1), and which request it is.
pub struct PresentedProof {
    pub texts: Vec<String>,
    pub method: String,
    pub path: String,
}

/// Why a key is not proved.
#[derive(Debug, thiserror::Error)]
pub enum ProveKeyError {
    #[error(transparent)]
    Proof(#[from] DpopError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DpopError> for OAuthError {
    fn from(error: DpopError) -> Self {
        let code = match error {
            DpopError::NonceNeeded => OAuthCode::UseDpopNonce,
            _ => OAuthCode::InvalidDpopProof,
        };
        Self::new(code, error.to_string())
    }
}

/// A proof that is good in itself. Whoever gives something for its key uses it up first, so none is good for two things.
pub(in crate::flows) struct KeyProof(UnusedProof);

/// Reads the one proof of a request, which is for that request and, at a resource, for the access token shown with it. Writes
/// nothing.
pub(in crate::flows) fn prove_key(
    app: &App,
    shown: &PresentedProof,
    access_token: Option<&str>,
) -> Result<KeyProof, DpopError> {
    let [text] = &shown.texts[..] else { return Err(DpopError::NotOne) };
    let wanted = ProofWanted {
        method: &shown.method,
        address: &format!("{}{}", app.settings.server.issuer, shown.path),
        access_token,
        nonces: app.settings.oauth.dpop_nonce.then_some(DpopNonces(&app.master_keys)),
    };
    verify_proof(text, &wanted, app.clock.now()).map(KeyProof)
}

impl KeyProof {
    /// The thumbprint of the key it is of, for looking whether there is anything to give.
    pub(in crate::flows) fn jkt(&self) -> &str {
        self.0.key.as_str()
    }

    /// Uses the proof up. Of any number of parallel callers, on all nodes, one gets the key.
    pub(in crate::flows) async fn consume(&self, conn: &mut Conn) -> Result<&Thumbprint, ProveKeyError> {
        match replay_guard::consume(conn, &self.0.digest, self.0.expires_at).await? {
            true => Ok(&self.0.key),
            false => Err(DpopError::Used.into()),
        }
    }
}

/// The key of a request that may have a proof, which is used up in the caller's transaction.
pub(in crate::flows) async fn proved_key<'p>(
    conn: &mut Conn,
    proof: Option<&'p KeyProof>,
) -> Result<Option<&'p Thumbprint>, ProveKeyError> {
    match proof {
        Some(proof) => proof.consume(conn).await.map(Some),
        None => Ok(None),
    }
}

/// The same where nothing else is written. Without a proof the database is not asked.
pub(in crate::flows) async fn proved_key_alone<'p>(
    app: &App,
    proof: Option<&'p KeyProof>,
) -> Result<Option<&'p Thumbprint>, ProveKeyError> {
    match proof {
        Some(proof) => proof.consume(&mut app.db.write().await?).await.map(Some),
        None => Ok(None),
    }
}
