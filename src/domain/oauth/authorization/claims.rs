//! The `claims` parameter (OpenID Connect Core section 5.5).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::sessions::Session;
use crate::domain::{OAuthCode, OAuthError, UserId, scope};

/// A claim about the user that a client may ask for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserClaim {
    Name,
    Email,
    EmailVerified,
}

impl UserClaim {
    pub const ALL: [Self; 3] = [Self::Name, Self::Email, Self::EmailVerified];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Email => "email",
            Self::EmailVerified => "email_verified",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|claim| claim.as_str() == name)
    }

    /// The scope that has it (section 5.4).
    pub fn scope(self) -> &'static str {
        match self {
            Self::Name => scope::PROFILE,
            Self::Email | Self::EmailVerified => scope::EMAIL,
        }
    }
}

/// What a client asks for by name. What nobody knows here is left out, as section 5.5.1 wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimsRequest {
    pub userinfo: BTreeSet<UserClaim>,
    pub id_token: BTreeSet<UserClaim>,
    /// Nobody but one of these will do. `None`: anybody.
    subjects: Option<BTreeSet<String>>,
}

#[derive(Default, Deserialize)]
struct Written {
    userinfo: Option<Map<String, Value>>,
    id_token: Option<Map<String, Value>>,
}

/// What is said of one claim (section 5.5.1).
#[derive(Default, Deserialize)]
struct ClaimOptions {
    #[serde(default)]
    essential: bool,
    value: Option<Value>,
    values: Option<Vec<Value>>,
}

impl ClaimOptions {
    /// Which values will do. `None`: any.
    fn values(self) -> Option<Vec<Value>> {
        match (self.value, self.values) {
            (None, values) => values,
            (Some(value), None) => Some(vec![value]),
            (Some(value), Some(values)) => Some(values.into_iter().filter(|one| *one == value).collect()),
        }
    }
}

impl ClaimsRequest {
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        let wrong = || OAuthError::invalid_request("claims is not what OpenID Connect Core section 5.5 says");
        let Written { userinfo, id_token } = serde_json::from_str(text).map_err(|_| wrong())?;
        let mut request = Self::default();
        for (members, claims) in [(userinfo, &mut request.userinfo), (id_token, &mut request.id_token)] {
            for (name, options) in members.unwrap_or_default() {
                let options: Option<ClaimOptions> = serde_json::from_value(options).map_err(|_| wrong())?;
                let options = options.unwrap_or_default();
                match name.as_str() {
                    "sub" => narrow(&mut request.subjects, options),
                    "acr" => has_acr(options)?,
                    name => claims.extend(UserClaim::parse(name)),
                }
            }
        }
        Ok(request)
    }

    /// Whether this user will do (section 5.5.1: a client may want one and nobody else).
    pub fn admits(&self, user: UserId) -> bool {
        self.subjects.as_ref().is_none_or(|subjects| subjects.contains(&user.to_string()))
    }

    /// The claims that the client may know by these scopes.
    pub fn retain(&mut self, is_allowed: impl Fn(&'static str) -> bool) {
        for claims in [&mut self.userinfo, &mut self.id_token] {
            claims.retain(|claim| is_allowed(claim.scope()));
        }
    }
}

fn narrow(subjects: &mut Option<BTreeSet<String>>, options: ClaimOptions) {
    let Some(values) = options.values() else { return };
    let named: BTreeSet<String> = values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    *subjects = Some(match subjects.take() {
        None => named,
        Some(before) => before.intersection(&named).cloned().collect(),
    });
}

/// Who must have signed in in a way there is none of here, has not (section 5.5.1.1).
fn has_acr(options: ClaimOptions) -> Result<(), OAuthError> {
    let is_essential = options.essential;
    match options.values() {
        Some(values) if is_essential && !values.iter().any(|value| value == Session::ACR) => {
            let text = "nobody signs in here in the way that acr must name";
            Err(OAuthError::new(OAuthCode::UnmetAuthenticationRequirements, text))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ClaimsRequest, &'static str> {
        ClaimsRequest::parse(text).map_err(|error| error.code.as_str())
    }

    #[test]
    fn what_is_known_is_asked_for_and_the_rest_left_out() {
        let asked = parse(
            r#"{"userinfo": {"email": {"essential": true}, "picture": null, "name": null, "https://x.test/y": {"value": 1}},
                "id_token": {"auth_time": {"essential": true}, "email_verified": null, "acr": {"values": ["0", "1"]}}, "more": 1}"#,
        )
        .unwrap();
        assert_eq!(asked.userinfo, [UserClaim::Name, UserClaim::Email].into());
        assert_eq!(asked.id_token, [UserClaim::EmailVerified].into());
        assert!(asked.admits(UserId(uuid::Uuid::nil())));
        for nothing in ["{}", r#"{"userinfo": null}"#, r#"{"id_token": {}}"#] {
            assert_eq!(parse(nothing), Ok(ClaimsRequest::default()));
        }
    }

    #[test]
    fn what_is_no_request_for_claims_is_refused() {
        for wrong in [
            "",
            "x",
            "1",
            "[]",
            "null",
            r#"{"userinfo": []}"#,
            r#"{"id_token": "email"}"#,
            r#"{"id_token": {"email": true}}"#,
            r#"{"id_token": {"email": {"essential": "yes"}}}"#,
            r#"{"id_token": {"sub": {"values": "x"}}}"#,
        ] {
            assert_eq!(parse(wrong), Err("invalid_request"), "{wrong}");
        }
    }

    #[test]
    fn a_client_may_want_one_user_and_no_other() {
        let (one, other) = (UserId(uuid::Uuid::from_u128(1)), UserId(uuid::Uuid::from_u128(2)));
        let of = |text: String| {
            let asked = parse(&text).unwrap();
            (asked.admits(one), asked.admits(other))
        };
        assert_eq!(of(format!(r#"{{"id_token": {{"sub": {{"value": "{one}"}}}}}}"#)), (true, false));
        assert_eq!(
            of(format!(r#"{{"userinfo": {{"sub": {{"values": ["{one}", "{other}"]}}}}}}"#)),
            (true, true)
        );
        assert_eq!(
            of(format!(r#"{{"id_token": {{"sub": {{"value": "{one}", "values": ["{other}"]}}}}}}"#)),
            (false, false)
        );
        let both = format!(
            r#"{{"id_token": {{"sub": {{"value": "{one}"}}}}, "userinfo": {{"sub": {{"value": "{other}"}}}}}}"#
        );
        assert_eq!(of(both), (false, false));
        assert_eq!(of(r#"{"id_token": {"sub": {"value": 1}}}"#.to_owned()), (false, false));
        assert_eq!(of(r#"{"id_token": {"sub": null}}"#.to_owned()), (true, true));
    }

    #[test]
    fn only_an_essential_acr_that_cannot_be_had_is_an_error() {
        let of = |options: &str| parse(&format!(r#"{{"id_token": {{"acr": {options}}}}}"#)).err();
        for fine in
            ["null", r#"{"essential": true}"#, r#"{"values": ["9"]}"#, r#"{"essential": true, "value": "1"}"#]
        {
            assert_eq!(of(fine), None, "{fine}");
        }
        for options in [r#"{"essential": true, "value": "9"}"#, r#"{"essential": true, "values": ["8", 1]}"#]
        {
            assert_eq!(of(options), Some("unmet_authentication_requirements"), "{options}");
        }
    }
}
