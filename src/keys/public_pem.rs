use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
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
    let text = STANDARD.encode(tagged(SEQUENCE, &[algorithm, &bits[..]].concat()));
    let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PUBLIC KEY-----\n");
    Some(pem)
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
    fn an_rsa_key_reads_back() {
        use rsa::pkcs8::DecodePublicKey;
        use rsa::traits::PublicKeyParts;
        let jwk = crate::keys::Mint::new(2048).take().unwrap().public_jwk;
        let key = rsa::PublicKey::from_public_key_pem(&public_key_pem(&jwk).unwrap()).unwrap();
        assert_eq!(jwk["n"], URL_SAFE_NO_PAD.encode(key.n_bytes()));
        assert_eq!(jwk["e"], URL_SAFE_NO_PAD.encode(key.e_bytes()));
    }
}
