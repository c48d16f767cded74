use serde::Deserialize;

use super::value::origin_of;
use crate::settings::{PageSettings, SettingsError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenPages {
    name: String,
    logo: String,
}

impl WrittenPages {
    pub(super) fn check(self) -> Result<PageSettings, SettingsError> {
        let name = self.name.trim();
        if !(1..=60).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            let problem = "must have 1 to 60 characters and no control characters";
            return Err(SettingsError::new("pages.name", problem));
        }
        if !self.logo.is_empty() && !is_image(&self.logo) {
            let problem = "must be an https:// URL, or a data:image/ URI of at most 48 KiB; or leave it out";
            return Err(SettingsError::new("pages.logo", problem));
        }
        Ok(PageSettings { name: name.to_owned(), logo: Some(self.logo).filter(|logo| !logo.is_empty()) })
    }
}

/// Every page carries the text, and its Content-Security-Policy the origin, where `;` and `,` would end what it is part of.
fn is_image(logo: &str) -> bool {
    const LONGEST: usize = 48 * 1024;
    if logo.len() > LONGEST || !logo.bytes().all(|b| b.is_ascii_graphic()) {
        return false;
    }
    let is_https = logo.starts_with("https://");
    let origin = origin_of(logo).filter(|origin| is_https && !origin.contains([';', ',']));
    logo.starts_with("data:image/") || origin.is_some()
}
