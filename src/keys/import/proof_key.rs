use serde_json::Value;

use super::client_keys::has_private_members;
use super::jwk::WrittenJwk;
use super::{Found, ImportError, KeyPair};
use crate::domain::Thumbprint;
use crate::domain::keys::SigningAlgorithm;

/// A public key that comes in the header of what it has signed (RFC 9449 section 4.2).
pub struct ProofKey {
    pub thumbprint: Thumbprint,
    /// Written anew from the key's numbers.
    pub jwk: Value,
}

/// Why it proves nothing. The same words for everybody: the key is in the hands of who sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofKeyError {
    #[error("it comes with its private half")]
    Private,
    #[error(transparent)]
    Key(#[from] ImportError),
    #[error("its algorithm is another")]
    OtherAlgorithm,
}

/// Reads the key of a proof under `alg`.
pub fn read_proof_key(jwk: &Value, alg: SigningAlgorithm) -> Result<ProofKey, ProofKeyError> {
    if has_private_members(jwk) {
        return Err(ProofKeyError::Private);
    }
    let Found { key_pair: KeyPair { public, .. }, alg: own, .. } = WrittenJwk::from_value(jwk)?.read()?;
    if !public.fits(alg) || own.is_some_and(|own| SigningAlgorithm::of_client(&own) != Some(alg)) {
        return Err(ProofKeyError::OtherAlgorithm);
    }
    let thumbprint = Thumbprint::new_unchecked(public.thumbprint().as_str().to_owned());
    Ok(ProofKey { thumbprint, jwk: public.said(None, None) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_is_public_ours_and_of_the_algorithms_kind() {
        // The key of RFC 9449 section 4.1, and its thumbprint from section 6.1.
        let ec = json!({
            "kty": "EC", "crv": "P-256", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        });
        let read = read_proof_key(&ec, SigningAlgorithm::Es256).unwrap();
        assert_eq!(read.thumbprint.as_str(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
        for alg in [SigningAlgorithm::Rs256, SigningAlgorithm::Ps256, SigningAlgorithm::EdDsa] {
            assert_eq!(read_proof_key(&ec, alg).err(), Some(ProofKeyError::OtherAlgorithm), "{alg}");
        }
        let with = |member: &str, value: Value| {
            let mut jwk = ec.clone();
            jwk[member] = value;
            read_proof_key(&jwk, SigningAlgorithm::Es256).err()
        };
        assert_eq!(with("kid", json!("k")), None);
        assert_eq!(with("alg", json!("ES256")), None);
        assert_eq!(with("alg", json!("ES384")), Some(ProofKeyError::OtherAlgorithm));
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
            assert_eq!(with(member, Value::Null), Some(ProofKeyError::Private), "{member}");
        }
        for (member, value) in
            [("kty", json!("oct")), ("crv", json!("P-384")), ("y", json!("AA")), ("use", json!("enc"))]
        {
            assert!(matches!(with(member, value), Some(ProofKeyError::Key(_))), "{member}");
        }
        let short = json!({ "kty": "RSA", "e": "AQAB", "n": "vw".repeat(80) });
        let refused = read_proof_key(&short, SigningAlgorithm::Rs256).err();
        assert_eq!(refused, Some(ProofKeyError::Key(ImportError::RsaSize(960))));
    }
}
