use serde_json::Value;

use super::jwk::WrittenJwk;
use super::{Found, ImportError, KeyPair, choose_algorithm, valid_kid};
use crate::domain::clients::{ClientKey, ClientKeys};
use crate::domain::keys::SigningAlgorithm;

/// Why a JWK Set is not one by which a client may prove who it is. Keys are counted from nought.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientKeysError {
    #[error("it is no JWK Set: an object with a list `keys` (RFC 7517 section 5)")]
    NoSet,
    #[error("it holds no key")]
    Empty,
    #[error("key {0} comes with its private half, which only the client may have; make a new key pair")]
    Private(usize),
    #[error("key {0}: {1}")]
    Key(usize, ImportError),
}

/// Reads the JWK Set a client is registered with. What is kept is written anew, so nothing else that stood in it stays.
pub fn read_client_keys(set: &Value) -> Result<ClientKeys, ClientKeysError> {
    let keys = set.get("keys").and_then(Value::as_array).ok_or(ClientKeysError::NoSet)?;
    if keys.is_empty() {
        return Err(ClientKeysError::Empty);
    }
    let read = |(at, jwk): (usize, &Value)| read_one(at, jwk);
    keys.iter().enumerate().map(read).collect::<Result<_, _>>().map(ClientKeys::new)
}

fn read_one(at: usize, jwk: &Value) -> Result<ClientKey, ClientKeysError> {
    let wrong = |error| ClientKeysError::Key(at, error);
    // Looked for by name: a private member is one too many even where the rest is not there.
    let is_private = has_private_members(jwk);
    let written = WrittenJwk::from_value(jwk).map_err(wrong)?;
    if is_private {
        return Err(ClientKeysError::Private(at));
    }
    let Found { key_pair: KeyPair { public, .. }, kid, alg } = written.read().map_err(wrong)?;
    let kid = kid.as_deref().map(valid_kid).transpose().map_err(wrong)?;
    let alg = alg.as_deref().map(|name| SigningAlgorithm::of_client(name).map_or(name, |alg| alg.as_str()));
    let alg = match alg {
        Some(_) => Some(choose_algorithm(&public, None, alg).map_err(wrong)?),
        None => None,
    };
    Ok(ClientKey {
        kid: kid.as_ref().map(|kid| kid.as_str().to_owned()),
        alg,
        jwk: public.said(kid.as_ref(), alg),
    })
}

pub(super) fn has_private_members(jwk: &Value) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|name| jwk.get(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::keys::SigningAlgorithm;
    use serde_json::json;

    const ED25519: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const P256: (&str, &str) =
        ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");

    fn okp() -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": ED25519 })
    }

    fn ec() -> Value {
        json!({ "kty": "EC", "crv": "P-256", "x": P256.0, "y": P256.1 })
    }

    fn with(mut jwk: Value, member: &str, value: Value) -> Value {
        jwk[member] = value;
        jwk
    }

    fn one(jwk: Value) -> Result<ClientKeys, ClientKeysError> {
        read_client_keys(&json!({ "keys": [jwk] }))
    }

    #[test]
    fn keys_are_kept_without_what_else_was_said() {
        let set = json!({ "keys": [with(okp(), "x5u", json!("https://x.test")), with(with(ec(), "kid", json!("k")), "alg", json!("ES256"))], "x": 1 });
        let kept = read_client_keys(&set).unwrap();
        let expected = json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "x": ED25519, "use": "sig" },
            { "kty": "EC", "crv": "P-256", "x": P256.0, "y": P256.1, "use": "sig", "kid": "k", "alg": "ES256" },
        ] });
        assert_eq!(kept.to_json(), expected);
        let es256: Vec<_> = kept.fitting(Some("k"), SigningAlgorithm::Es256).collect();
        assert_eq!(
            es256.len(),
            2,
            "whether a key without an algorithm is of the right kind is seen when it is used"
        );
    }

    #[test]
    fn what_is_no_public_key_of_ours_is_refused() {
        for set in [json!(null), json!([]), json!({}), json!({ "keys": {} }), okp()] {
            assert_eq!(read_client_keys(&set), Err(ClientKeysError::NoSet), "{set}");
        }
        assert_eq!(read_client_keys(&json!({ "keys": [] })), Err(ClientKeysError::Empty));
        for member in ["d", "p", "q", "dp", "dq", "qi"] {
            assert_eq!(one(with(okp(), member, json!("AA"))), Err(ClientKeysError::Private(0)), "{member}");
        }
        let short = json!({ "kty": "RSA", "e": "AQAB", "n": "vw".repeat(80) });
        let cases = [
            (json!("x"), ImportError::Unreadable),
            (json!({ "kty": "oct", "k": "AAAA" }), ImportError::Symmetric),
            (with(okp(), "use", json!("enc")), ImportError::NotForSigning),
            (with(okp(), "crv", json!("X25519")), ImportError::OtherCurve),
            (with(ec(), "crv", json!("P-384")), ImportError::OtherCurve),
            (with(ec(), "y", json!(P256.0)), ImportError::Inconsistent),
            (with(okp(), "x", json!("AA")), ImportError::Inconsistent),
            (with(okp(), "alg", json!("HS256")), ImportError::UnknownAlgorithm),
            (with(okp(), "kid", json!("a b")), ImportError::BadKid),
            (short, ImportError::RsaSize(960)),
        ];
        for (jwk, error) in cases {
            assert_eq!(one(jwk.clone()), Err(ClientKeysError::Key(0, error)), "{jwk}");
        }
        let other = one(with(ec(), "alg", json!("RS256")));
        assert!(matches!(other, Err(ClientKeysError::Key(0, ImportError::WrongAlgorithm { .. }))));
    }
}
