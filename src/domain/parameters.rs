use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::OAuthError;

/// These may be there more than once (RFC 8707 section 2, RFC 8693 section 2.1), and are kept as one value with spaces between: neither
/// a URI nor an audience has one.
const LISTS: [&str; 2] = ["resource", "audience"];

/// The parameters of an OAuth request. One without a value is as if it were not there; one that is there twice has no value
/// (RFC 6749 section 3.1).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    once: BTreeMap<String, String>,
    repeated: BTreeSet<String>,
}

/// Names only: values may be passwords, secrets, codes.
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.once.keys()).finish_non_exhaustive()
    }
}

impl FromIterator<(String, String)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut parameters = Self::default();
        for (name, value) in pairs {
            if LISTS.contains(&name.as_str()) {
                let list = parameters.once.entry(name).or_default();
                if !list.is_empty() && !value.is_empty() {
                    list.push(' ');
                }
                list.push_str(&value);
                continue;
            }
            if parameters.once.insert(name.clone(), value).is_some() || parameters.repeated.contains(&name) {
                parameters.once.remove(&name);
                parameters.repeated.insert(name);
            }
        }
        parameters.once.retain(|_, value| !value.is_empty());
        parameters
    }
}

impl Parameters {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.once.get(name).map(String::as_str)
    }

    /// All values of one that may be there more than once, each of them once.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let mut values: Vec<&str> = Vec::new();
        for value in self.get(name).unwrap_or_default().split_ascii_whitespace() {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values
    }

    /// One that must be there.
    pub fn require(&self, name: &'static str) -> Result<&str, OAuthError> {
        self.get(name).ok_or_else(|| OAuthError::invalid_request(format!("{name} is missing")))
    }

    pub fn is_repeated(&self, name: &str) -> bool {
        self.repeated.contains(name)
    }

    /// Nothing may be said twice.
    pub fn each_once(&self) -> Result<(), OAuthError> {
        match self.repeated.is_empty() {
            true => Ok(()),
            false => Err(OAuthError::invalid_request("a parameter is there twice")),
        }
    }

    /// What was said, once each, for asking the same again.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.once.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn some_may_be_said_twice() {
        let two = parameters(&[
            ("resource", "b"),
            ("audience", ""),
            ("resource", ""),
            ("resource", "a"),
            ("resource", "b"),
        ]);
        assert_eq!((two.all("resource"), two.all("audience")), (vec!["b", "a"], vec![]));
        assert!(two.each_once().is_ok() && two.get("audience").is_none());
        // They are the same when they come back from where the request was kept.
        let kept =
            two.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Parameters>();
        assert_eq!(kept.all("resource"), two.all("resource"));
    }

    #[test]
    fn what_is_said_twice_or_thrice_has_no_value() {
        for pairs in
            [&[("a", "1"), ("a", "1")][..], &[("a", "1"), ("a", "2"), ("a", "3")], &[("a", ""), ("a", "1")]]
        {
            let twice = parameters(pairs);
            assert_eq!(twice.get("a"), None);
            assert!(twice.is_repeated("a") && twice.each_once().is_err());
        }
    }

    #[test]
    fn values_are_not_printed() {
        assert!(!format!("{:?}", parameters(&[("password", "hunter2")])).contains("hunter2"));
    }

    #[test]
    fn what_has_no_value_is_not_there() {
        let empty = parameters(&[("a", ""), ("b", "1")]);
        assert_eq!((empty.get("a"), empty.get("b")), (None, Some("1")));
        assert!(empty.each_once().is_ok() && empty.require("a").is_err());
    }
}
