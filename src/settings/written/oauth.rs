use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::value::{DAY, MINUTE, SECOND, Span, YEAR};
use crate::settings::{OAuthSettings, Registration, SettingsError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenOAuth {
    code_ttl: Span,
    browser_session_ttl: Span,
    login_page_ttl: Span,
    backchannel_private_networks: bool,
    par_ttl: Span,
    registration: String,
    registration_token: SecretString,
    registration_token_file: String,
    dpop_nonce: bool,
    nonce_optional: bool,
}

impl WrittenOAuth {
    pub(super) fn check(self) -> Result<OAuthSettings, SettingsError> {
        Ok(OAuthSettings {
            code_ttl: self.code_ttl.delta("oauth.code_ttl", SECOND, MINUTE)?,
            browser_session_ttl: self.browser_session_ttl.delta(
                "oauth.browser_session_ttl",
                SECOND,
                10 * YEAR,
            )?,
            login_page_ttl: self.login_page_ttl.delta("oauth.login_page_ttl", SECOND, DAY)?,
            backchannel_private_networks: self.backchannel_private_networks,
            par_ttl: self.par_ttl.delta("oauth.par_ttl", SECOND, 10 * MINUTE)?,
            registration: self.registration()?,
            dpop_nonce: self.dpop_nonce,
            nonce_optional: self.nonce_optional,
        })
    }

    fn registration(&self) -> Result<Registration, SettingsError> {
        const KEY: &str = "oauth.registration_token";
        const FILE: &str = "oauth.registration_token_file";
        let given = self.registration_token.expose_secret();
        let token = match self.registration_token_file.as_str() {
            "" => given.to_owned(),
            _ if !given.is_empty() => {
                return Err(SettingsError::new(FILE, format!("give {KEY} or this, not both")));
            }
            path => {
                let read = std::fs::read_to_string(path);
                let read =
                    read.map_err(|error| SettingsError::new(FILE, format!("cannot read {path}: {error}")));
                read?.trim().to_owned()
            }
        };
        if !token.is_empty() && (token.len() < 16 || !token.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(SettingsError::new(KEY, "must have at least 16 printable characters and no space"));
        }
        match self.registration.as_str() {
            "off" => Ok(Registration::Off),
            "open" => Ok(Registration::Open),
            "token" if token.is_empty() => {
                Err(SettingsError::new(KEY, "is missing; oauth.registration is token"))
            }
            "token" => Ok(Registration::Token(token.into())),
            _ => Err(SettingsError::new("oauth.registration", "must be off, token or open")),
        }
    }
}
