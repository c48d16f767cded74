use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use url::Url;

use super::dpop_nonce::DpopNonces;
use super::verify::is_signed_by;
use crate::domain::Thumbprint;
use crate::domain::keys::SigningAlgorithm;
use crate::keys::{ProofKey, read_proof_key};

/// They are about 500 characters, or 1000 under RSA. What is far longer is not worth decoding.
const MAX_LENGTH: usize = 8 * 1024;
const MAX_JTI: usize = 256;
const TYP: &str = "dpop+jwt";
/// How old a proof may be.
const LIFE: TimeDelta = TimeDelta::minutes(5);
/// How far a client's clock may be ahead, and how far those of our nodes may differ.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// The request that a proof must be for.
pub struct ProofWanted<'a> {
    pub method: &'a str,
    /// Where clients find the endpoint: by our issuer, whatever host the request names.
    pub address: &'a str,
    /// What is shown with it, at a resource.
    pub access_token: Option<&'a str>,
    /// `None` where none is asked for.
    pub nonces: Option<DpopNonces<'a>>,
}

/// Why a proof proves nothing. Clients are told in these words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DpopError {
    #[error("there must be exactly one DPoP header")]
    NotOne,
    #[error("the proof is no JWT of type dpop+jwt, or lacks a claim")]
    Malformed,
    #[error("the algorithm of the proof is none of RS256, PS256, ES256, EdDSA and Ed25519")]
    UnknownAlgorithm,
    #[error("jwk is no public key for the algorithm of the proof: RSA from 2048 bits, P-256 or Ed25519")]
    Key,
    #[error("the signature of the proof does not fit")]
    BadSignature,
    #[error("htm is not the method of this request")]
    WrongMethod,
    #[error("htu is not the address of this endpoint")]
    WrongAddress,
    #[error("the proof is older than five minutes")]
    TooOld,
    #[error("the proof is from the future")]
    NotYetValid,
    #[error("jti must have 1 to 256 characters")]
    NoId,
    #[error("ath is not the digest of the access token")]
    WrongToken,
    #[error("the proof needs the nonce of the DPoP-Nonce header")]
    NonceNeeded,
    #[error("the proof was used before")]
    Used,
}

/// A proof that is good, if it has not been used before.
pub struct UnusedProof {
    /// The key that is proved to be in the client's hands.
    pub key: Thumbprint,
    /// Of whose it is and what it is called.
    pub digest: Vec<u8>,
    /// Until when it must be remembered: nobody takes it any more after that.
    pub expires_at: DateTime<Utc>,
}

/// Members that say where a key is, or which, decide nothing here: the key is in the header.
#[derive(Deserialize)]
struct Header {
    typ: String,
    alg: String,
    jwk: Value,
    /// Says that something must be understood (RFC 7515 section 4.1.11), and there is nothing we would.
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    /// Seconds since 1970, which may be broken (RFC 7519 section 2).
    iat: f64,
    ath: Option<String>,
    nonce: Option<String>,
}

/// The checks of RFC 9449 section 4.3, but for the two that need the database: that it is used once, and, of a token, that it is
/// bound to this key.
pub fn verify_proof(
    text: &str,
    wanted: &ProofWanted<'_>,
    now: DateTime<Utc>,
) -> Result<UnusedProof, DpopError> {
    let (key, claims) = read(text)?;
    if claims.htm != wanted.method {
        return Err(DpopError::WrongMethod);
    }
    if !is_same_address(&claims.htu, wanted.address) {
        return Err(DpopError::WrongAddress);
    }
    let iat = seconds(claims.iat);
    if iat.saturating_add(LIFE.num_seconds()) < now.timestamp() {
        return Err(DpopError::TooOld);
    }
    if iat > now.timestamp() + LEEWAY.num_seconds() {
        return Err(DpopError::NotYetValid);
    }
    if !(1..=MAX_JTI).contains(&claims.jti.chars().count()) {
        return Err(DpopError::NoId);
    }
    if let Some(token) = wanted.access_token
        && claims.ath != Some(URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())))
    {
        return Err(DpopError::WrongToken);
    }
    let has_nonce =
        |nonces: &DpopNonces<'_>| claims.nonce.as_deref().is_some_and(|nonce| nonces.is_good(nonce, now));
    if !wanted.nonces.as_ref().is_none_or(has_nonce) {
        return Err(DpopError::NonceNeeded);
    }
    let named = format!("dpop {} {}", key.as_str(), claims.jti);
    Ok(UnusedProof {
        key,
        digest: digest(&SHA256, named.as_bytes()).as_ref().to_vec(),
        expires_at: DateTime::from_timestamp(iat, 0).unwrap_or(now) + LIFE + LEEWAY,
    })
}

/// A proof whose signature is its own key's.
fn read(text: &str) -> Result<(Thumbprint, Claims), DpopError> {
    let mut parts = text.split('.');
    let (Some(header), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(DpopError::Malformed);
    };
    if text.len() > MAX_LENGTH {
        return Err(DpopError::Malformed);
    }
    let header: Header = json(header)?;
    // Media types know no case (RFC 7515 section 4.1.9).
    if !header.typ.eq_ignore_ascii_case(TYP) || header.crit.is_some() {
        return Err(DpopError::Malformed);
    }
    let claims: Claims = json(claims)?;
    let alg = SigningAlgorithm::of_client(&header.alg).ok_or(DpopError::UnknownAlgorithm)?;
    let ProofKey { thumbprint, jwk } = read_proof_key(&header.jwk, alg).map_err(|_| DpopError::Key)?;
    let jwk: Jwk = serde_json::from_value(jwk).map_err(|_| DpopError::Key)?;
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| DpopError::Key)?;
    match is_signed_by(text, &key, alg) {
        true => Ok((thumbprint, claims)),
        false => Err(DpopError::BadSignature),
    }
}

fn json<T: DeserializeOwned>(part: &str) -> Result<T, DpopError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| DpopError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| DpopError::Malformed)
}

#[expect(clippy::cast_possible_truncation, reason = "what is out of range is far away, as it should be")]
fn seconds(date: f64) -> i64 {
    date.floor() as i64
}

/// Without query and fragment, and however scheme, host and port are written (RFC 9449 section 4.3, RFC 3986 section 6.2).
fn is_same_address(htu: &str, address: &str) -> bool {
    // Parsers of URLs make something of these.
    if !htu.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return false;
    }
    let plain = |text: &str| {
        let mut url = Url::parse(text).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    };
    plain(htu).is_some_and(|htu| plain(address) == Some(htu))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyFactory, KeyPlan, MasterKeys, Signer};
    use proptest::prelude::*;
    use serde_json::json;
    use std::sync::LazyLock;

    const NOW: i64 = 1_800_000_000;
    const ADDRESS: &str = "https://auth.test/oauth2/token";
    const WANTED: ProofWanted<'static> =
        ProofWanted { method: "POST", address: ADDRESS, access_token: None, nonces: None };

    /// A key of each algorithm.
    static KEYS: LazyLock<Vec<(Signer, Value)>> = LazyLock::new(|| {
        let key = |alg| {
            let key = KeyFactory::new(KeyPlan { alg, rsa_bits: 2048 }).take_key().unwrap();
            let mut jwk = key.public_jwk.clone();
            jwk.as_object_mut().unwrap().remove("alg");
            (Signer::from_pkcs8(key.kid.clone(), key.alg, &key.pkcs8).unwrap(), jwk)
        };
        SigningAlgorithm::ALL.into_iter().map(key).collect()
    });

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(NOW + seconds, 0).unwrap()
    }

    fn header() -> Value {
        json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": KEYS[3].1 })
    }

    fn claims() -> Value {
        json!({ "jti": "1", "htm": "POST", "htu": ADDRESS, "iat": NOW })
    }

    fn with(mut object: Value, member: &str, value: Value) -> Value {
        object[member] = value;
        object
    }

    fn without(mut object: Value, member: &str) -> Value {
        object.as_object_mut().unwrap().remove(member);
        object
    }

    fn proof_by(signer: &Signer, header: &Value, claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = signer.sign(message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn proof(header: &Value, claims: &Value) -> String {
        proof_by(&KEYS[3].0, header, claims)
    }

    fn verdict(header: &Value, claims: &Value) -> Result<UnusedProof, DpopError> {
        verify_proof(&proof(header, claims), &WANTED, at(0))
    }

    #[test]
    fn the_examples_of_the_rfc_are_good() {
        // RFC 9449 section 4.1 and section 7.1, whose key has the thumbprint of section 6.1.
        let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
        let at_token = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpD\
                        a0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6\
                        IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGU\
                        uY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY\
                        -FNyJK70nfbV37xRZT3Lg";
        let address = "https://server.example.com/token";
        let wanted = ProofWanted { address, ..WANTED };
        let good =
            verify_proof(at_token, &wanted, DateTime::from_timestamp(1_562_262_616, 0).unwrap()).unwrap();
        assert_eq!(good.key.as_str(), jkt);
        let at_resource = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZO\
                           XpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImN\
                           ydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5l\
                           eGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMH\
                           hXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-j\
                           fxSYoMxhAJpLjA";
        let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
        let wanted = ProofWanted {
            method: "GET",
            address: "https://resource.example.org/protectedresource",
            access_token: Some(token),
            nonces: None,
        };
        let good =
            verify_proof(at_resource, &wanted, DateTime::from_timestamp(1_562_262_618, 0).unwrap()).unwrap();
        assert_eq!(good.key.as_str(), jkt);
    }

    #[test]
    fn every_algorithm_of_ours_and_no_other() {
        for ((signer, jwk), alg) in KEYS.iter().zip(SigningAlgorithm::ALL) {
            let header = json!({ "typ": "dpop+jwt", "alg": alg.as_str(), "jwk": jwk });
            assert!(verify_proof(&proof_by(signer, &header, &claims()), &WANTED, at(0)).is_ok(), "{alg}");
            let other = SigningAlgorithm::ALL.into_iter().find(|other| *other != alg).unwrap();
            let crossed = with(header, "alg", json!(other.as_str()));
            assert!(verify_proof(&proof_by(signer, &crossed, &claims()), &WANTED, at(0)).is_err(), "{alg}");
        }
        let later = with(header(), "alg", json!("Ed25519"));
        assert!(verdict(&later, &claims()).is_ok());
        assert!(
            verdict(&with(later.clone(), "jwk", with(KEYS[3].1.clone(), "alg", json!("EdDSA"))), &claims())
                .is_ok()
        );
        let crossed = verify_proof(
            &proof_by(&KEYS[2].0, &with(later, "jwk", KEYS[2].1.clone()), &claims()),
            &WANTED,
            at(0),
        );
        assert_eq!(crossed.err(), Some(DpopError::Key));
        for alg in ["none", "None", "HS256", "RS384", "ES384", "eddsa", ""] {
            let refused = verdict(&with(header(), "alg", json!(alg)), &claims()).err();
            assert_eq!(refused, Some(DpopError::UnknownAlgorithm), "{alg}");
        }
    }

    #[test]
    fn the_header_must_be_right() {
        use DpopError::*;
        assert!(verdict(&with(header(), "kid", json!("x")), &claims()).is_ok());
        assert!(verdict(&with(header(), "typ", json!("DPoP+JWT")), &claims()).is_ok());
        let private = with(KEYS[3].1.clone(), "d", json!("AA"));
        let oct = json!({ "kty": "oct", "k": "AAAA" });
        for (member, value, error) in [
            ("typ", json!("JWT"), Malformed),
            ("typ", json!("at+jwt"), Malformed),
            ("typ", json!("application/dpop+jwt"), Malformed),
            ("typ", json!(null), Malformed),
            ("crit", json!(["exp"]), Malformed),
            ("jwk", private, Key),
            ("jwk", oct, Key),
            ("jwk", json!("x"), Key),
            ("jwk", KEYS[2].1.clone(), Key),
        ] {
            assert_eq!(
                verdict(&with(header(), member, value.clone()), &claims()).err(),
                Some(error),
                "{member} {value}"
            );
        }
        for member in ["typ", "alg", "jwk"] {
            assert_eq!(verdict(&without(header(), member), &claims()).err(), Some(Malformed), "{member}");
        }
        // Another's signature under one's own key.
        let foreign = proof_by(&KEYS[2].0, &header(), &claims());
        assert_eq!(verify_proof(&foreign, &WANTED, at(0)).err(), Some(BadSignature));
        assert_eq!(verify_proof(&"a".repeat(9000), &WANTED, at(0)).err(), Some(Malformed));
        let twice = format!("{}.{}", proof(&header(), &claims()), "AA");
        assert_eq!(verify_proof(&twice, &WANTED, at(0)).err(), Some(Malformed));
    }

    #[test]
    fn what_it_says_must_be_right() {
        use DpopError::*;
        for (member, value) in [
            ("htu", json!("HTTPS://AUTH.test/oauth2/token")),
            ("htu", json!("https://auth.test:443/oauth2/token?x=1#y")),
            ("htu", json!("https://auth.test/oauth2/./token")),
            ("iat", json!(NOW - 300)),
            ("iat", json!(NOW + 60)),
            ("iat", json!(1_800_000_000.5)),
            ("jti", json!("\u{e9}".repeat(256))),
            ("ath", json!("whatever")),
            ("nonce", json!("whatever")),
        ] {
            assert!(verdict(&header(), &with(claims(), member, value.clone())).is_ok(), "{member} {value}");
        }
        for (member, value, error) in [
            ("htm", json!("GET"), WrongMethod),
            ("htm", json!("post"), WrongMethod),
            ("htu", json!("https://auth.test/oauth2/token/"), WrongAddress),
            ("htu", json!("https://auth.test/oauth2/Token"), WrongAddress),
            ("htu", json!("http://auth.test/oauth2/token"), WrongAddress),
            ("htu", json!("https://auth.test:8443/oauth2/token"), WrongAddress),
            ("htu", json!("https://auth.test.evil.test/oauth2/token"), WrongAddress),
            ("htu", json!("https://x@auth.test/oauth2/token"), WrongAddress),
            ("htu", json!("https:\\\\auth.test\\oauth2\\token"), WrongAddress),
            ("htu", json!(" https://auth.test/oauth2/token"), WrongAddress),
            ("htu", json!("/oauth2/token"), WrongAddress),
            ("htu", json!(""), WrongAddress),
            ("iat", json!(NOW - 301), TooOld),
            ("iat", json!(-1e300), TooOld),
            ("iat", json!(NOW + 61), NotYetValid),
            ("iat", json!(1e300), NotYetValid),
            ("iat", json!("1800000000"), Malformed),
            ("jti", json!(""), NoId),
            ("jti", json!("x".repeat(257)), NoId),
            ("jti", json!(1), Malformed),
        ] {
            let verdict = verdict(&header(), &with(claims(), member, value.clone()));
            assert_eq!(verdict.err(), Some(error), "{member} {value}");
        }
        for member in ["htm", "htu", "iat", "jti"] {
            assert_eq!(verdict(&header(), &without(claims(), member)).err(), Some(Malformed), "{member}");
        }
        let good = verdict(&header(), &claims()).unwrap();
        assert_eq!(good.expires_at, at(300 + 60), "remembered for longer than any node takes it");
        let digest = |claims: &Value| verdict(&header(), claims).unwrap().digest;
        assert_eq!(
            digest(&claims()),
            digest(&with(claims(), "iat", json!(NOW - 9))),
            "its name alone makes it the same"
        );
        assert_ne!(digest(&claims()), digest(&with(claims(), "jti", json!("2"))));
        let other = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": KEYS[2].1 });
        let others = verify_proof(&proof_by(&KEYS[2].0, &other, &claims()), &WANTED, at(0)).unwrap();
        assert_ne!(others.digest, good.digest, "names are each key's own");
    }

    #[test]
    fn at_a_resource_it_is_for_one_token() {
        let wanted = ProofWanted { access_token: Some("token"), ..WANTED };
        let verdict = |claims: &Value| verify_proof(&proof(&header(), claims), &wanted, at(0)).err();
        let ath = URL_SAFE_NO_PAD.encode(digest(&SHA256, b"token"));
        assert_eq!(verdict(&with(claims(), "ath", json!(ath))), None);
        assert_eq!(verdict(&claims()), Some(DpopError::WrongToken));
        for wrong in [URL_SAFE_NO_PAD.encode(digest(&SHA256, b"other")), format!("{ath}="), String::new()] {
            assert_eq!(verdict(&with(claims(), "ath", json!(wrong))), Some(DpopError::WrongToken), "{wrong}");
        }
    }

    #[test]
    fn a_nonce_is_ours_where_one_is_asked_for() {
        let master_keys = MasterKeys::parse(["one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]).unwrap();
        let verdict = |claims: &Value| {
            let wanted = ProofWanted { nonces: Some(DpopNonces(&master_keys)), ..WANTED };
            verify_proof(&proof(&header(), claims), &wanted, at(0)).err()
        };
        let nonce = |seconds| json!(DpopNonces(&master_keys).current(at(seconds)));
        assert_eq!(verdict(&claims()), Some(DpopError::NonceNeeded));
        assert_eq!(verdict(&with(claims(), "nonce", json!("x"))), Some(DpopError::NonceNeeded));
        assert_eq!(verdict(&with(claims(), "nonce", nonce(0))), None);
        assert_eq!(verdict(&with(claims(), "nonce", nonce(-300))), None);
        assert_eq!(verdict(&with(claims(), "nonce", nonce(-600))), Some(DpopError::NonceNeeded));
    }

    proptest! {
        #[test]
        fn one_altered_letter_is_one_too_many(at in 0usize..1000, to in "[A-Za-z0-9_-]", text in "\\PC{0,80}") {
            let good = proof(&header(), &claims());
            let (mut altered, at) = (good.clone(), at % good.len());
            if !altered[at..].starts_with('.') {
                altered.replace_range(at..=at, &to);
            }
            let verdict = |text: &str| verify_proof(text, &WANTED, super::tests::at(0)).map(|_| ());
            prop_assert_eq!(verdict(&altered).is_ok(), altered == good);
            prop_assert!(verdict(&text).is_err());
        }
    }
}
