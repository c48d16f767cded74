use std::collections::BTreeMap;

use super::value::List;
use crate::domain::accounts::{Role, RolePolicy};
use crate::settings::SettingsError;

pub(super) fn check_roles(written: BTreeMap<String, List>) -> Result<RolePolicy, SettingsError> {
    let wrong = |problem: &dyn ToString| SettingsError::new("roles", problem.to_string());
    let roles = written
        .into_iter()
        .map(|(name, scopes)| Ok((Role::parse(&name).map_err(|error| wrong(&error))?, scopes.0)))
        .collect::<Result<Vec<_>, SettingsError>>()?;
    RolePolicy::new(roles).map_err(|error| wrong(&error))
}
