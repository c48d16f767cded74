use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{ClientId, CodeChallenge, DisplayName, RedirectUri, Scopes, SessionId, Thumbprint, UserClaim};

/// What a user has granted a client: what its tokens may be for. Part of a code first, then of the session it becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    pub scopes: Scopes,
    /// Whom the tokens are for; empty for the server's own audience.
    pub audience: Vec<String>,
}

impl Grant {
    /// Whether tokens may be for these, of what was granted. A grant that names nobody is for whom the client may have.
    pub fn is_for(&self, resources: &[&str]) -> bool {
        self.audience.is_empty()
            || resources.iter().all(|resource| self.audience.iter().any(|granted| granted == resource))
    }
}

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
    pub grant: Grant,
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

/// What a user has agreed to give one client.
#[derive(Debug, PartialEq, Eq)]
pub struct Consent {
    pub client_id: ClientId,
    pub client_name: DisplayName,
    pub scopes: Scopes,
    pub granted_at: DateTime<Utc>,
}
