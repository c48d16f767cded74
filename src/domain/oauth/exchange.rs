use crate::domain::clients::Client;
use crate::domain::{OAuthCode, OAuthError, Parameters, Scopes, scope};

/// A client's wish to act for a user towards another service (RFC 8693 section 2.1), as far as it can be judged by itself.
#[derive(Debug)]
pub struct ExchangeRequest<'p> {
    /// What the user, or whoever acted for them, has shown the client.
    pub subject_token: &'p str,
    /// Whoever acts; nobody but the client itself may.
    pub actor_token: Option<&'p str>,
    /// Whom the new token is for.
    pub targets: Vec<String>,
    /// All that can be had, when left out.
    pub scopes: Option<Scopes>,
}

impl<'p> ExchangeRequest<'p> {
    /// The type of the token that is given.
    pub const ISSUED: &'static str = "urn:ietf:params:oauth:token-type:access_token";
    const JWT: &'static str = "urn:ietf:params:oauth:token-type:jwt";

    pub fn parse(parameters: &'p Parameters, client: &Client) -> Result<Self, OAuthError> {
        let subject_token = parameters.require("subject_token")?;
        is_access_token(parameters.require("subject_token_type")?, "subject_token_type")?;
        let actor_token = parameters.get("actor_token");
        match (actor_token, parameters.get("actor_token_type")) {
            (Some(_), Some(kind)) => is_access_token(kind, "actor_token_type")?,
            (Some(_), None) => return Err(OAuthError::invalid_request("actor_token_type is missing")),
            (None, Some(_)) => {
                return Err(OAuthError::invalid_request("actor_token_type is there without actor_token"));
            }
            (None, None) => {}
        }
        if let Some(kind) = parameters.get("requested_token_type") {
            is_access_token(kind, "requested_token_type")?;
        }
        let scopes = parameters.get("scope").map(Scopes::parse).transpose();
        let scopes = scopes.map_err(|_| OAuthError::new(OAuthCode::InvalidScope, "this is no scope"))?;
        Ok(Self { subject_token, actor_token, targets: targets(parameters, client)?, scopes })
    }

    /// What the new token may say: no more than the one that was shown says now, and no more than the client may ask for.
    /// Nothing is promised for later, when the user is gone.
    pub fn narrowed(&self, shown: &Scopes, client: &Client) -> Result<Scopes, OAuthError> {
        let later = Scopes::parse(scope::OFFLINE_ACCESS).unwrap_or_default();
        let most = shown.intersection(&client.scopes).without(&later);
        match &self.scopes {
            None => Ok(most),
            Some(asked) if most.includes(asked) => Ok(asked.clone()),
            Some(_) => Err(OAuthError::new(
                OAuthCode::InvalidScope,
                "this is more than subject_token or the client may",
            )),
        }
    }
}

/// The services a request names, by `resource`, by `audience` or by both; the client's first where it names none.
fn targets(parameters: &Parameters, client: &Client) -> Result<Vec<String>, OAuthError> {
    let wrong = |text| Err(OAuthError::new(OAuthCode::InvalidTarget, text));
    let mut named = parameters.all("resource");
    named.extend(
        parameters.all("audience").into_iter().filter(|one| !named.contains(one)).collect::<Vec<_>>(),
    );
    let known = &client.exchange_audiences;
    match named.as_slice() {
        _ if known.is_empty() => wrong("the client is registered for no service to exchange tokens for"),
        [] => Ok(known.iter().take(1).cloned().collect()),
        named if named.iter().all(|one| known.iter().any(|audience| audience == one)) => {
            Ok(named.iter().map(|one| (*one).to_owned()).collect())
        }
        _ => wrong("the client is not registered to exchange tokens for this service"),
    }
}

fn is_access_token(kind: &str, name: &'static str) -> Result<(), OAuthError> {
    match kind {
        ExchangeRequest::ISSUED | ExchangeRequest::JWT => Ok(()),
        _ => Err(OAuthError::invalid_request(format!("{name} must be that of an access token"))),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::clients::ClientAuthMethod;
    use crate::domain::{ClientId, DisplayName};

    fn client(exchange: &[&str]) -> Client {
        let (id, name) = (ClientId::parse("a").unwrap(), DisplayName::parse("A").unwrap());
        Client {
            exchange_audiences: exchange.iter().map(|one| (*one).to_owned()).collect(),
            scopes: Scopes::parse("a b openid offline_access").unwrap(),
            ..Client::new(id, name, ClientAuthMethod::SecretBasic, DateTime::UNIX_EPOCH)
        }
    }

    fn parameters(own: &[(&str, &str)]) -> Parameters {
        let usual = [("subject_token", "t"), ("subject_token_type", ExchangeRequest::ISSUED)];
        let mut all: std::collections::BTreeMap<&str, &str> = usual.into();
        all.extend(own.iter().copied());
        all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn code(own: &[(&str, &str)], exchange: &[&str]) -> Result<Vec<String>, &'static str> {
        let parsed = parameters(own);
        let parsed = ExchangeRequest::parse(&parsed, &client(exchange));
        parsed.map(|request| request.targets).map_err(|error| error.code.as_str())
    }

    #[test]
    fn only_registered_services_are_exchanged_for() {
        assert_eq!(code(&[], &["x", "y"]), Ok(vec!["x".to_owned()]));
        assert_eq!(code(&[("audience", "y")], &["x", "y"]), Ok(vec!["y".to_owned()]));
        assert_eq!(code(&[("audience", "y"), ("resource", "y")], &["x", "y"]), Ok(vec!["y".to_owned()]));
        let both = Ok(vec!["x".to_owned(), "y".to_owned()]);
        assert_eq!(code(&[("audience", "y"), ("resource", "x")], &["x", "y"]), both);
        for own in [&[("audience", "z")][..], &[("audience", "x"), ("resource", "z")], &[("resource", "X")]] {
            assert_eq!(code(own, &["x", "y"]), Err("invalid_target"), "{own:?}");
        }
        assert_eq!(code(&[], &[]), Err("invalid_target"));
    }

    #[test]
    fn only_access_tokens_are_exchanged_for_access_tokens() {
        for kind in ["id_token", "refresh_token", "saml2", ""] {
            let urn = format!("urn:ietf:params:oauth:token-type:{kind}");
            for name in ["subject_token_type", "requested_token_type", "actor_token_type"] {
                assert_eq!(
                    code(&[("actor_token", "a"), (name, &urn)], &["x"]),
                    Err("invalid_request"),
                    "{name} {kind}"
                );
            }
        }
        assert!(
            code(
                &[
                    ("subject_token_type", ExchangeRequest::JWT),
                    ("requested_token_type", ExchangeRequest::JWT)
                ],
                &["x"]
            )
            .is_ok()
        );
        for own in [
            &[("subject_token", "")][..],
            &[("subject_token_type", "")],
            &[("actor_token_type", ExchangeRequest::JWT)],
            &[("actor_token", "a")],
        ] {
            assert_eq!(code(own, &["x"]), Err("invalid_request"), "{own:?}");
        }
        assert_eq!(code(&[("scope", "\"")], &["x"]), Err("invalid_scope"));
    }

    #[test]
    fn a_scope_is_never_widened() {
        let shown = Scopes::parse("a c openid offline_access").unwrap();
        let narrowed = |asked: &[(&str, &str)]| {
            let parsed = parameters(asked);
            let request = ExchangeRequest::parse(&parsed, &client(&["x"])).unwrap();
            request
                .narrowed(&shown, &client(&["x"]))
                .map(|scopes| scopes.to_string())
                .map_err(|error| error.code.as_str())
        };
        assert_eq!(narrowed(&[]), Ok("a openid".to_owned()));
        assert_eq!(narrowed(&[("scope", "a")]), Ok("a".to_owned()));
        for more in ["b", "c", "d", "a b", "offline_access"] {
            assert_eq!(narrowed(&[("scope", more)]), Err("invalid_scope"), "{more}");
        }
    }
}
