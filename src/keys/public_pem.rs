use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem::{EncodeConfig, LineEnding, Pem};
use serde_json::Value;

// AlgorithmIdentifiers and what precedes the point of a key of fixed size, in DER.
const RSA: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
const P256: &[u8] =
    &[0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// A public JWK as the PEM file most tools make of it (SubjectPublicKeyInfo, RFC 5280 section 4.1.2.7), with a line end.
/// `None` for a kind of key we never publish.
pub fn public_key_pem(jwk: &Value) -> Option<String> {
    let number = |name| URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok();
    let (algorithm, key) = match (jwk["kty"].as_str()?, jwk["crv"].as_str()) {
        ("RSA", _) => (RSA, tagged(SEQUENCE, &[unsigned(&number("n")?), unsigned(&number("e")?)].concat())),
        ("EC", Some("P-256")) => (P256, [vec![4], number("x")?, number("y")?].concat()),
        ("OKP", Some("Ed25519")) => (ED25519, number("x")?),
        _ => return None,
    };
    // No bit of the last byte is unused.
    let bits = tagged(BIT_STRING, &[&[0], &key[..]].concat());
    let whole = tagged(SEQUENCE, &[algorithm, &bits[..]].concat());
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    Some(pem::encode_config(&Pem::new("PUBLIC KEY", whole), config))
}

/// An INTEGER is signed: a number whose first bit is set needs a zero before it.
fn unsigned(number: &[u8]) -> Vec<u8> {
    let is_high = number.first().is_some_and(|first| first & 0x80 != 0);
    tagged(INTEGER, &[if is_high { &[0][..] } else { &[] }, number].concat())
}

/// Tag, length, content.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut der = vec![tag];
    match (length, content.len()) {
        (_, 0..128) => der.extend(length.first().or(Some(&0))),
        _ => {
            der.extend(u8::try_from(length.len()).map(|count| 0x80 | count));
            der.extend_from_slice(length);
        }
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SigningAlgorithm;
    use crate::keys::{KeyPlan, Mint, Signer};
    use serde_json::json;

    #[test]
    fn a_key_is_written_as_openssl_writes_it() {
        // RFC 8037 appendix A.2, and RFC 8410 section 10.1, which have the same form.
        let okp =
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        assert_eq!(
            public_key_pem(&okp).unwrap(),
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
             -----END PUBLIC KEY-----\n"
        );
        assert_eq!(public_key_pem(&json!({ "kty": "oct", "k": "AAAA" })), None);
    }

    #[test]
    fn every_kind_of_key_reads_back() {
        use aws_lc_rs::signature::{
            ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
            UnparsedPublicKey, VerificationAlgorithm,
        };
        for alg in SigningAlgorithm::ALL {
            let verification: &'static dyn VerificationAlgorithm = match alg {
                SigningAlgorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
                SigningAlgorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                SigningAlgorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
                SigningAlgorithm::EdDsa => &ED25519,
            };
            let minted = Mint::new(KeyPlan { alg, rsa_bits: 2048 }).take().unwrap();
            let signer = Signer::from_pkcs8(minted.kid.clone(), alg, &minted.pkcs8).unwrap();
            let pem = public_key_pem(&minted.public_jwk).unwrap();
            // aws-lc reads the whole structure where it is given one.
            let key = UnparsedPublicKey::new(verification, pem::parse(pem).unwrap().into_contents());
            assert!(key.verify(b"text", &signer.sign(b"text").unwrap()).is_ok(), "{alg}");
        }
    }
}
