//! What several tables have: durations, lists, limits.

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::settings::SettingsError;

pub(super) const ZERO: Duration = Duration::ZERO;
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_mins(1);
pub(super) const DAY: Duration = Duration::from_hours(24);
pub(super) const YEAR: Duration = Duration::from_hours(366 * 24);

/// A duration such as "15m".
#[derive(Clone, Copy)]
pub(super) struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = humantime::parse_duration(&text);
        parsed.map(Self).map_err(|_| {
            serde::de::Error::custom(format!(
                "`{text}` is no duration; write it as \"90s\", \"15m\", \"12h\" or \"30d\""
            ))
        })
    }
}

impl Span {
    pub(super) fn within(
        self,
        key: &'static str,
        least: Duration,
        most: Duration,
    ) -> Result<Duration, SettingsError> {
        if (least..=most).contains(&self.0) {
            return Ok(self.0);
        }
        let show = humantime::format_duration;
        Err(SettingsError::new(key, format!("must be between {} and {}", show(least), show(most))))
    }

    pub(super) fn delta(
        self,
        key: &'static str,
        least: Duration,
        most: Duration,
    ) -> Result<TimeDelta, SettingsError> {
        let duration = self.within(key, least, most)?;
        TimeDelta::from_std(duration).map_err(|error| SettingsError::new(key, error))
    }
}

/// A list: an array in a file, separated by commas in the environment.
#[derive(Clone)]
pub(super) struct List(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Array(Vec<String>),
            Text(String),
        }
        Ok(Self(match Form::deserialize(deserializer)? {
            Form::Array(items) => items,
            Form::Text(text) => {
                text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
            }
        }))
    }
}

/// The origin of an http(s) URL in canonical form.
pub(super) fn origin_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let is_web =
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    is_web.then(|| url.origin().ascii_serialization())
}

pub(super) fn or_cores(given: usize, key: &'static str, most: usize) -> Result<usize, SettingsError> {
    match given {
        0 => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        given if given <= most => Ok(given),
        _ => Err(SettingsError::new(key, format!("must be at most {most}"))),
    }
}
