use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::domain::keys::{Kid, SigningAlgorithm};

/// The public half of a key: the members of its JWK that make it this key and no other. They are the ones its thumbprint is
/// taken over (RFC 7638 section 3.2, RFC 8037 section 2), and kept in the order it wants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicHalf(BTreeMap<&'static str, String>);

impl PublicHalf {
    /// Big-endian, without leading zeros.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Self {
        Self::of("RSA", None, &[("n", n), ("e", e)])
    }

    /// From an uncompressed point, as SEC 1 section 2.3.3 writes it. `None` when it is none of P-256.
    pub(super) fn p256(point: &[u8]) -> Option<Self> {
        match point.split_first() {
            Some((4, xy)) if xy.len() == 64 => {
                Some(Self::of("EC", Some("P-256"), &[("x", &xy[..32]), ("y", &xy[32..])]))
            }
            _ => None,
        }
    }

    pub(super) fn ed25519(x: &[u8]) -> Self {
        Self::of("OKP", Some("Ed25519"), &[("x", x)])
    }

    fn of(kty: &str, crv: Option<&str>, numbers: &[(&'static str, &[u8])]) -> Self {
        let encoded = numbers.iter().map(|(name, bytes)| (*name, URL_SAFE_NO_PAD.encode(bytes)));
        let curve = crv.map(|crv| ("crv", crv.to_owned()));
        Self(encoded.chain(curve).chain([("kty", kty.to_owned())]).collect())
    }

    fn kty(&self) -> &str {
        self.0.get("kty").map_or("", String::as_str)
    }

    /// Whether a key of this kind signs with that algorithm.
    pub(super) fn fits(&self, alg: SigningAlgorithm) -> bool {
        let kty = match alg {
            SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 => "RSA",
            SigningAlgorithm::Es256 => "EC",
            SigningAlgorithm::EdDsa => "OKP",
        };
        self.kty() == kty
    }

    /// What a key of this kind signs with where nobody says otherwise.
    pub(super) fn usual_algorithm(&self) -> SigningAlgorithm {
        match self.kty() {
            "EC" => SigningAlgorithm::Es256,
            "OKP" => SigningAlgorithm::EdDsa,
            _ => SigningAlgorithm::Rs256,
        }
    }

    /// RFC 7638 section 3: SHA-256 over the required members in lexicographic order.
    pub(super) fn thumbprint(&self) -> Kid {
        // A map of strings always serialises.
        let members = serde_json::to_vec(&self.0).unwrap_or_default();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &members);
        Kid::new(URL_SAFE_NO_PAD.encode(digest))
    }

    /// The JWK (RFC 7517 section 4), as published.
    pub(super) fn jwk(&self, kid: &Kid, alg: SigningAlgorithm) -> Value {
        self.said(Some(kid), Some(alg))
    }

    /// The same with as much of it as is known.
    pub(super) fn said(&self, kid: Option<&Kid>, alg: Option<SigningAlgorithm>) -> Value {
        let said =
            [("use", Some("sig")), ("alg", alg.map(SigningAlgorithm::as_str)), ("kid", kid.map(Kid::as_str))];
        let said = said.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let members = self.0.iter().map(|(name, value)| (*name, value.as_str())).chain(said);
        members.map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
    }

    /// Whether that JWK is this key.
    pub(super) fn is_in(&self, jwk: &Value) -> bool {
        self.0.iter().all(|(name, value)| jwk[*name] == value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(encoded: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(encoded).unwrap()
    }

    #[test]
    fn thumbprints_are_the_rfcs() {
        // RFC 7638 section 3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRX\
                 jBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSq\
                 zs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHa\
                 Q-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let rsa = PublicHalf::rsa(&bytes(n), &bytes("AQAB"));
        assert_eq!(rsa.thumbprint().as_str(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        // RFC 8037 appendix A.3.
        let ed25519 = PublicHalf::ed25519(&bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
        assert_eq!(ed25519.thumbprint().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        // No RFC has one for EC; this key is RFC 7515's, appendix A.3.1, and its thumbprint was computed by another program.
        let (x, y) =
            ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let point = [vec![4], bytes(x), bytes(y)].concat();
        let p256 = PublicHalf::p256(&point).unwrap();
        assert_eq!(p256.thumbprint().as_str(), "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
        assert_eq!(
            p256.jwk(&Kid::new("k".to_owned()), SigningAlgorithm::Es256).to_string(),
            format!(
                r#"{{"alg":"ES256","crv":"P-256","kid":"k","kty":"EC","use":"sig","x":"{x}","y":"{y}"}}"#
            )
        );
    }

    #[test]
    fn a_point_is_uncompressed_and_whole() {
        for wrong in [&[][..], &[4; 64], &[4; 66], &[2; 33], &[3; 65], &[4; 97]] {
            assert_eq!(PublicHalf::p256(wrong), None);
        }
    }
}
