use chrono::{DateTime, Utc};
use serde::Serialize;

/// The stored secrets after they were sealed again, or, for a dry run, as they would be.
#[derive(Clone, Debug, Serialize)]
pub struct RewrapView {
    /// The first master key's id.
    pub sealed_under: String,
    /// The kids that were sealed again.
    pub moved: Vec<String>,
    /// How many secrets were sealed again beside signing keys.
    pub moved_other_secrets: usize,
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
    pub signing_keys: i64,
    /// Other secrets sealed under it.
    pub other_secrets: i64,
    /// Live sessions whose refresh token was made under it.
    pub live_sessions: i64,
    /// When the last of those sessions ends at the latest.
    pub last_session_ends_at: Option<DateTime<Utc>>,
}

impl MasterKeyView {
    /// Whether no stored secret is sealed under it.
    pub fn seals_nothing(&self) -> bool {
        self.signing_keys == 0 && self.other_secrets == 0
    }

    /// Whether no secret and no session is lost when it is no longer configured.
    pub fn can_be_dropped(&self) -> bool {
        !self.first && self.seals_nothing() && self.live_sessions == 0
    }
}
