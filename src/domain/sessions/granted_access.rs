use crate::domain::Scopes;

/// What a user has granted a client: what its tokens may be for. Part of a code first, then of the session it becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantedAccess {
    pub scopes: Scopes,
    /// Whom the tokens are for; empty for the server's own audience.
    pub audience: Vec<String>,
}

impl GrantedAccess {
    /// Whether tokens may be for these, of what was granted. A grant that names nobody is for whom the client may have.
    pub fn is_for(&self, resources: &[&str]) -> bool {
        self.audience.is_empty()
            || resources.iter().all(|resource| self.audience.iter().any(|granted| granted == resource))
    }
}
