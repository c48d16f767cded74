use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::{InvalidScope, Scope, Scopes, scope};

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
    pub fn parse_stored(stored: &str) -> Result<Self, InvalidRole> {
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
        roles.iter().filter_map(|role| self.0.get(role)).flat_map(|scopes| scopes.iter().cloned()).collect()
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
        assert_eq!(policy().scopes_of(&Roles::parse_stored("root").unwrap()), scopes);
    }

    #[test]
    fn unknown_and_empty_roles_give_nothing() {
        assert_eq!(policy().scopes_of(&Roles::parse_stored("user gone").unwrap()).to_string(), "");
        assert!(policy().parse_roles(["gone"]).is_err());
        assert!(policy().parse_roles(["Clerk"]).is_err());
    }
}
