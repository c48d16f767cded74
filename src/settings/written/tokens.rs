use chrono::TimeDelta;
use serde::Deserialize;

use super::value::{DAY, List, SECOND, Span};
use crate::settings::{SettingsError, TokenSettings};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTokens {
    access_token_ttl: Span,
    audience: List,
    pub(super) leeway: Span,
}

/// Grants keep them with spaces between.
fn is_audience(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}

impl WrittenTokens {
    pub(super) fn check(self, leeway: TimeDelta) -> Result<TokenSettings, SettingsError> {
        let audience = self.audience.0;
        if audience.is_empty() || audience.iter().any(|one| !is_audience(one)) {
            return Err(SettingsError::new(
                "tokens.audience",
                "needs at least one audience, and none may be empty or have a space in it",
            ));
        }
        let access_token_ttl = self.access_token_ttl.delta("tokens.access_token_ttl", SECOND, DAY)?;
        Ok(TokenSettings { access_token_ttl, audience, leeway })
    }
}
