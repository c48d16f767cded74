use std::collections::{BTreeMap, BTreeSet};
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

/// A role name: lower case, `a-z 0-9 _ -`, at most 32 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role(String);

/// Why a text is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRole {
    #[error("`{0}` is no role name: use 1 to 32 of a-z, 0-9, _ and -, starting with a letter")]
    Malformed(String),
    #[error("role `{0}` is not configured in [roles]")]
    Unknown(String),
}

impl Role {
    pub const ADMIN: &str = "admin";

    pub fn parse(name: &str) -> Result<Self, InvalidRole> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        let well_formed = (1..=32).contains(&name.len())
            && name.as_bytes()[0].is_ascii_lowercase()
            && name.bytes().all(allowed);
        if well_formed { Ok(Self(name.to_owned())) } else { Err(InvalidRole::Malformed(name.to_owned())) }
    }

    pub fn admin() -> Self {
        Self(Self::ADMIN.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A user's roles, sorted and without repeats. Stored and shown space separated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// Reads the stored form.
    pub fn from_row(stored: &str) -> Result<Self, InvalidRole> {
        stored.split_ascii_whitespace().map(Role::parse).collect::<Result<_, _>>().map(Self)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.0.iter()
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|role| role.0.clone()).collect()
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().collect())
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
    }
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

/// How far someone's say over accounts and clients reaches: nobody gives, takes or takes over more than they have themselves.
#[derive(Clone, Debug)]
pub enum Authority {
    /// The command line on a node.
    Unlimited,
    /// Whoever holds these scopes.
    Scopes(Scopes),
}

impl Authority {
    pub fn covers(&self, scopes: &Scopes) -> bool {
        match self {
            Self::Unlimited => true,
            Self::Scopes(held) => held.includes(scopes),
        }
    }
}

/// The change reaches beyond the authority of whoever wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this account or client has, or would get, scopes that you do not have")]
pub struct BeyondAuthority;

/// Which scopes each role gives, as configured in `[roles]`. Role `admin` always gives all.
#[derive(Clone, Debug, Default)]
pub struct RolePolicy(BTreeMap<Role, Scopes>);

impl RolePolicy {
    /// Checks the names and resolves `*`.
    pub fn new(configured: impl IntoIterator<Item = (Role, Vec<String>)>) -> Result<Self, InvalidScope> {
        let configured: BTreeMap<Role, Vec<String>> = configured.into_iter().collect();
        let named = configured.values().flatten().map(String::as_str).filter(|token| *token != scope::ALL);
        let all: Scopes = named.chain(scope::OWN).map(Scope::parse).collect::<Result<_, _>>()?;
        let mut policy = BTreeMap::new();
        for (role, tokens) in &configured {
            let scopes = if tokens.iter().any(|token| token == scope::ALL) {
                all.clone()
            } else {
                tokens.iter().map(|token| Scope::parse(token)).collect::<Result<_, _>>()?
            };
            policy.insert(role.clone(), scopes);
        }
        policy.insert(Role::admin(), all);
        Ok(Self(policy))
    }

    /// Everything the roles give together. A role that is no longer configured gives nothing.
    pub fn scopes_of(&self, roles: &Roles) -> Scopes {
        roles.iter().filter_map(|role| self.0.get(role)).flat_map(|scopes| scopes.0.iter().cloned()).collect()
    }

    /// Every scope of this server's own and every scope that any role names.
    pub fn all(&self) -> Scopes {
        self.scopes_of(&Roles::from_iter([Role::admin()]))
    }

    /// Reads role names as an operator gives them; each must be configured.
    pub fn parse_roles<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Roles, InvalidRole> {
        let known = |name: &'a str| {
            let role = Role::parse(name)?;
            if self.0.contains_key(&role) { Ok(role) } else { Err(InvalidRole::Unknown(name.to_owned())) }
        };
        names.into_iter().map(known).collect::<Result<_, _>>().map(Roles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RolePolicy {
        let role = |name| Role::parse(name).unwrap();
        RolePolicy::new([
            (role("clerk"), vec!["orders:read".to_owned(), "users:read".to_owned()]),
            (role("root"), vec!["*".to_owned()]),
            (role("user"), vec![]),
        ])
        .unwrap()
    }

    #[test]
    fn admin_gives_every_own_and_every_named_scope() {
        let scopes = policy().scopes_of(&Roles::from_iter([Role::admin()]));
        assert_eq!(
            scopes.to_string(),
            "audit:read clients:read clients:write keys:read keys:rotate orders:read users:read users:write"
        );
        assert_eq!(policy().scopes_of(&Roles::from_row("root").unwrap()), scopes);
    }

    #[test]
    fn unknown_and_empty_roles_give_nothing() {
        assert_eq!(policy().scopes_of(&Roles::from_row("user gone").unwrap()).to_string(), "");
        assert!(policy().parse_roles(["gone"]).is_err());
        assert!(policy().parse_roles(["Clerk"]).is_err());
    }

    #[test]
    fn scope_tokens_follow_the_rfc() {
        for bad in ["", "a b", "a\"b", "a\\b", "caf\u{e9}", "a\nb"] {
            assert!(Scope::parse(bad).is_err(), "{bad:?}");
        }
        assert!(!Scopes::from_claim("users:read").contains("users:write"));
    }
}
