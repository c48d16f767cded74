use serde_json::{Value, json};

use crate::domain::keys::SigningAlgorithm;

/// The public keys with which a client authenticates (RFC 7517), checked by `keys::read_client_keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKeys(Vec<ClientKey>);

/// A public key. A key without `kid` or `alg` matches any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    pub kid: Option<String>,
    pub alg: Option<SigningAlgorithm>,
    /// The JWK, rebuilt from the key's numbers.
    pub jwk: Value,
}

impl ClientKeys {
    pub fn new(keys: Vec<ClientKey>) -> Self {
        Self(keys)
    }

    /// Reads a column. `None` for a malformed JWK Set.
    pub fn parse_stored(text: &str) -> Option<Self> {
        let set: Value = serde_json::from_str(text).ok()?;
        let key = |jwk: &Value| {
            let alg = jwk["alg"].as_str().map(|name| SigningAlgorithm::parse(name).ok_or(())).transpose();
            let kid = jwk["kid"].as_str().map(str::to_owned);
            Some(ClientKey { kid, alg: alg.ok()?, jwk: jwk.clone() })
        };
        set["keys"].as_array()?.iter().map(key).collect::<Option<_>>().map(Self)
    }

    /// The JWK Set.
    pub fn to_json(&self) -> Value {
        json!({ "keys": self.0.iter().map(|key| &key.jwk).collect::<Vec<_>>() })
    }

    pub fn iter(&self) -> impl Iterator<Item = &ClientKey> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that match the `kid` and `alg` of a signature.
    pub fn fitting<'a>(
        &'a self,
        kid: Option<&'a str>,
        alg: SigningAlgorithm,
    ) -> impl Iterator<Item = &'a ClientKey> {
        let is_called = move |key: &&ClientKey| match (&key.kid, kid) {
            (Some(own), Some(said)) => own == said,
            _ => true,
        };
        self.0.iter().filter(is_called).filter(move |key| key.alg.is_none_or(|own| own == alg))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kid: Option<&str>, alg: Option<SigningAlgorithm>) -> ClientKey {
        let mut jwk = json!({ "kty": "RSA" });
        if let Some(kid) = kid {
            jwk["kid"] = kid.into();
        }
        if let Some(alg) = alg {
            jwk["alg"] = alg.as_str().into();
        }
        ClientKey { kid: kid.map(str::to_owned), alg, jwk }
    }

    #[test]
    fn what_is_left_out_does_not_matter_and_what_is_said_does() {
        use SigningAlgorithm::{Ps256, Rs256};
        let keys = ClientKeys::new(vec![key(Some("a"), Some(Ps256)), key(Some("b"), None), key(None, None)]);
        let fitting = |kid, alg| {
            let keys: Vec<Option<String>> = keys.fitting(kid, alg).map(|key| key.kid.clone()).collect();
            keys.into_iter().map(|kid| kid.unwrap_or("-".to_owned())).collect::<String>()
        };
        assert_eq!(fitting(None, Ps256), "ab-");
        assert_eq!(fitting(None, Rs256), "b-");
        assert_eq!(fitting(Some("a"), Ps256), "a-");
        assert_eq!(fitting(Some("a"), Rs256), "-");
        assert_eq!(fitting(Some("c"), Rs256), "-");
        assert_eq!(ClientKeys::parse_stored(&keys.to_json().to_string()), Some(keys));
        for broken in ["", "[]", "{}", r#"{"keys":[{"alg":"HS256"}]}"#] {
            assert_eq!(ClientKeys::parse_stored(broken), None, "{broken}");
        }
    }
}
