use std::collections::BTreeSet;
use std::fmt;

/// The scopes Chancery's own routes name. Operators add their services' scopes in `[roles]`.
pub mod scope {
    pub const KEYS_READ: &str = "keys:read";
    pub const KEYS_ROTATE: &str = "keys:rotate";
    pub const USERS_READ: &str = "users:read";
    pub const USERS_WRITE: &str = "users:write";
    pub const AUDIT_READ: &str = "audit:read";
    pub const CLIENTS_READ: &str = "clients:read";
    pub const CLIENTS_WRITE: &str = "clients:write";
    /// Every scope a route of this server asks for.
    pub const OWN: [&str; 7] =
        [KEYS_READ, KEYS_ROTATE, USERS_READ, USERS_WRITE, AUDIT_READ, CLIENTS_READ, CLIENTS_WRITE];

    /// What OpenID Connect and OAuth clients ask of a user: who they are, and to stay when they have left. Everybody can give
    /// these; all others come from roles.
    pub const OPENID: &str = "openid";
    pub const PROFILE: &str = "profile";
    pub const EMAIL: &str = "email";
    pub const OFFLINE_ACCESS: &str = "offline_access";
    pub const OF_USERS: [&str; 4] = [OPENID, PROFILE, EMAIL, OFFLINE_ACCESS];
    /// In `[roles]`: all of [`OWN`] and every scope any role names.
    pub const ALL: &str = "*";
}

/// One scope token (RFC 6749 section 3.3: printable ASCII without space, `"` and `\`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(String);

/// The text is no scope token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scope token (RFC 6749 section 3.3)")]
pub struct InvalidScope(String);

impl Scope {
    pub fn parse(token: &str) -> Result<Self, InvalidScope> {
        let allowed = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if token.is_empty() || token.len() > 128 || !token.bytes().all(allowed) {
            return Err(InvalidScope(token.to_owned()));
        }
        Ok(Self(token.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A set of scopes, shown space separated as in a token's `scope` claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Reads a `scope` value. What is no scope token grants nothing and is dropped.
    pub fn from_claim(claim: &str) -> Self {
        Self(claim.split(' ').filter_map(|token| Scope::parse(token).ok()).collect())
    }

    /// Reads a `scope` value as somebody writes it; what is no scope token is an error.
    pub fn parse(written: &str) -> Result<Self, InvalidScope> {
        written.split(' ').filter(|token| !token.is_empty()).map(Scope::parse).collect()
    }

    /// The scopes everybody can give.
    pub fn of_users() -> Self {
        Self(scope::OF_USERS.iter().map(|token| Scope((*token).to_owned())).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes that open this server's own routes.
    pub fn own() -> Self {
        Self(scope::OWN.iter().map(|token| Scope((*token).to_owned())).collect())
    }

    /// What either set holds.
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|held| held.0 == scope)
    }

    /// Whether this set holds all of the other.
    pub fn includes(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }

    /// What this set holds and the other does not.
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    /// What both sets hold.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens: Vec<&str> = self.0.iter().map(|scope| scope.0.as_str()).collect();
        f.write_str(&tokens.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_tokens_follow_the_rfc() {
        for bad in ["", "a b", "a\"b", "a\\b", "caf\u{e9}", "a\nb"] {
            assert!(Scope::parse(bad).is_err(), "{bad:?}");
        }
        assert!(!Scopes::from_claim("users:read").contains("users:write"));
    }
}
