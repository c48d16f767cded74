use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{CodeChallenge, UserClaim};
use crate::domain::clients::RedirectUri;
use crate::domain::sessions::GrantedAccess;
use crate::domain::{ClientId, SessionId, Thumbprint};

/// A code, as it is remembered (RFC 6749 section 1.3.1). The code itself is not: only its digest.
#[derive(Clone, Debug)]
pub struct AuthorizationCode {
    /// SHA-256 of the code.
    pub digest: Vec<u8>,
    /// The sign-in or consent it came from, which gives no second one. `None` where nobody was asked.
    pub flow_id: Option<Uuid>,
    pub client_id: ClientId,
    /// Who was signed in in the browser.
    pub browser: SessionId,
    pub granted: GrantedAccess,
    pub redirect_uri: RedirectUri,
    /// Whether the token request must name it again (RFC 6749 section 4.1.3).
    pub redirect_uri_was_sent: bool,
    pub nonce: Option<String>,
    /// What the ID token tells of the user beside who they are.
    pub id_claims: BTreeSet<UserClaim>,
    pub challenge: Option<CodeChallenge>,
    /// Only who shows this key may exchange it.
    pub dpop_jkt: Option<Thumbprint>,
    /// The session it will become: known beforehand, so that a second use can end it.
    pub session: SessionId,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}
