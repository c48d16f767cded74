use chrono::{DateTime, Utc};
use serde::Serialize;

/// The private keys at rest after they were sealed anew, or, for a dry run, as they would be.
#[derive(Clone, Debug, Serialize)]
pub struct RewrapView {
    /// The first master key's id.
    pub sealed_under: String,
    /// The kids that were sealed anew.
    pub moved: Vec<String>,
    pub master_keys: Vec<MasterKeyView>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What a configured master key is still needed for.
#[derive(Clone, Debug, Serialize)]
pub struct MasterKeyView {
    pub id: String,
    /// It seals and signs from now on.
    pub first: bool,
    /// Private keys sealed under it.
    pub signing_keys: usize,
    /// Live sessions whose refresh token was made under it.
    pub live_sessions: i64,
    /// When the last of those sessions ends at the latest.
    pub last_session_ends_at: Option<DateTime<Utc>>,
}

impl MasterKeyView {
    /// Whether nothing and nobody is lost when it is no longer configured.
    pub fn can_be_dropped(&self) -> bool {
        !self.first && self.signing_keys == 0 && self.live_sessions == 0
    }
}
