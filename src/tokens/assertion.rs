use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::verify::is_signed_by;
use crate::domain::clients::{ClientKey, ClientKeys};
use crate::domain::keys::SigningAlgorithm;

/// They are about 700 characters. What is far longer is not worth decoding.
const MAX_LENGTH: usize = 8 * 1024;
const MAX_JTI: usize = 256;
/// How far ahead `exp` may be: one that leaks soon is worth nothing, and is remembered for no longer.
const LONGEST_LIFE: TimeDelta = TimeDelta::minutes(5);
/// How far clocks may differ.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// A JWT by which a client proves who it is (RFC 7523 sections 2.2 and 3), read and not believed yet.
pub struct ClientAssertion<'a> {
    text: &'a str,
    header: Header,
    claims: Claims,
    alg: SigningAlgorithm,
}

/// Why an assertion is refused. The client hears the reason only where a key of its own has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    #[error("no JWT that proves who a client is")]
    Malformed,
    #[error("no key of the client's has signed it")]
    BadSignature,
    #[error("used before")]
    Used,
    #[error("iss and sub are not both the client")]
    WrongClient,
    #[error("for another audience")]
    WrongAudience,
    #[error("expired")]
    Expired,
    #[error("good for more than five minutes")]
    TooLong,
    #[error("not valid yet")]
    NotYetValid,
    #[error("without a jti of 1 to 256 characters")]
    NoId,
}

/// An assertion that is good, if it has not been used before.
pub struct UnusedAssertion {
    /// Of who made it and what it is called.
    pub digest: Vec<u8>,
    /// Until when it must be remembered: nobody takes it any more after that.
    pub expires_at: DateTime<Utc>,
}

/// Members that say where a key is, or which, decide nothing here: the client's keys are those it is registered with.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    /// Says that something must be understood (RFC 7515 section 4.1.11), and there is nothing we would.
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: OneOrMany,
    exp: NumericDate,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
    jti: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Seconds since 1970, which may be broken (RFC 7519 section 2).
#[derive(Clone, Copy, Deserialize)]
struct NumericDate(f64);

impl NumericDate {
    #[expect(clippy::cast_possible_truncation, reason = "what is out of range is far away, as it should be")]
    fn seconds(self) -> i64 {
        self.0.floor() as i64
    }
}

impl<'a> ClientAssertion<'a> {
    pub fn parse(text: &'a str) -> Result<Self, AssertionError> {
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AssertionError::Malformed);
        };
        if text.len() > MAX_LENGTH {
            return Err(AssertionError::Malformed);
        }
        let (header, claims): (Header, Claims) = (json(header)?, json(claims)?);
        let is_ours = match header.typ.as_deref() {
            None => true,
            // Media types know no case (RFC 7515 section 4.1.9).
            Some(typ) => ["jwt", "client-authentication+jwt"].contains(&typ.to_ascii_lowercase().as_str()),
        };
        let alg = SigningAlgorithm::of_client(&header.alg).filter(|_| is_ours && header.crit.is_none());
        Ok(Self { text, alg: alg.ok_or(AssertionError::Malformed)?, header, claims })
    }

    /// Who it says has made it.
    pub fn client(&self) -> &str {
        &self.claims.sub
    }

    /// Whether it is the client's, for one of these audiences, and in time. That it is used once is for the caller to see to.
    pub fn verify(
        &self,
        keys: &ClientKeys,
        audiences: &[String],
        now: DateTime<Utc>,
    ) -> Result<UnusedAssertion, AssertionError> {
        let kid = self.header.kid.as_deref();
        if !keys.fitting(kid, self.alg).any(|key| self.is_signed_by(key)) {
            return Err(AssertionError::BadSignature);
        }
        if self.claims.iss != self.claims.sub {
            return Err(AssertionError::WrongClient);
        }
        let is_ours = |audience: &String| audiences.contains(audience);
        let is_for_us = match &self.claims.aud {
            OneOrMany::One(audience) => is_ours(audience),
            // One that is for others as well may have been made for them (CVE-2025-27370).
            OneOrMany::Many(all) => all.len() == 1 && all.iter().all(is_ours),
        };
        if !is_for_us {
            return Err(AssertionError::WrongAudience);
        }
        let (exp, leeway) = (self.claims.exp.seconds(), LEEWAY.num_seconds());
        if exp.saturating_add(leeway) <= now.timestamp() {
            return Err(AssertionError::Expired);
        }
        if exp > now.timestamp() + LONGEST_LIFE.num_seconds() + leeway {
            return Err(AssertionError::TooLong);
        }
        let begins = [self.claims.nbf, self.claims.iat].into_iter().flatten().map(NumericDate::seconds).max();
        if begins.is_some_and(|begins| begins.saturating_sub(leeway) > now.timestamp()) {
            return Err(AssertionError::NotYetValid);
        }
        let jti = self.claims.jti.as_deref().filter(|jti| (1..=MAX_JTI).contains(&jti.len()));
        let jti = jti.ok_or(AssertionError::NoId)?;
        // No client has a space in its name.
        let named = format!("client_assertion {} {jti}", self.claims.sub);
        Ok(UnusedAssertion {
            digest: digest(&SHA256, named.as_bytes()).as_ref().to_vec(),
            expires_at: DateTime::from_timestamp(exp, 0).unwrap_or(now) + LEEWAY * 2,
        })
    }

    fn is_signed_by(&self, key: &ClientKey) -> bool {
        let jwk: Option<Jwk> = serde_json::from_value(key.jwk.clone()).ok();
        let Some(key) = jwk.and_then(|jwk| DecodingKey::from_jwk(&jwk).ok()) else { return false };
        is_signed_by(self.text, &key, self.alg)
    }
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, AssertionError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| AssertionError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| AssertionError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyFactory, KeyPlan, Signer, read_client_keys};
    use crate::tokens::sign::sign;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::sync::LazyLock;

    const NOW: i64 = 1_800_000_000;

    /// One key of each algorithm, and the set a client is registered with.
    static KEYS: LazyLock<(Vec<Signer>, ClientKeys)> = LazyLock::new(|| {
        let key_factory = |alg| KeyFactory::new(KeyPlan { alg, rsa_bits: 2048 }).take_key().unwrap();
        let generated: Vec<_> = SigningAlgorithm::ALL.into_iter().map(key_factory).collect();
        let jwks: Vec<&Value> = generated.iter().map(|key| &key.public_jwk).collect();
        let keys = read_client_keys(&json!({ "keys": jwks })).unwrap();
        let signer = |key: &crate::keys::GeneratedKey| {
            Signer::from_pkcs8(key.kid.clone(), key.alg, &key.pkcs8).unwrap()
        };
        (generated.iter().map(signer).collect(), keys)
    });

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(NOW + seconds, 0).unwrap()
    }

    fn claims() -> Value {
        json!({ "iss": "svc", "sub": "svc", "aud": "https://auth.test", "exp": NOW + 60, "jti": "1" })
    }

    fn with(member: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[member] = value;
        claims
    }

    fn verdict(claims: &Value, typ: &str) -> Result<UnusedAssertion, AssertionError> {
        let text = sign(&KEYS.0[3], typ, claims).unwrap();
        let ours = ["https://auth.test".to_owned(), "https://auth.test/oauth2/token".to_owned()];
        ClientAssertion::parse(&text)?.verify(&KEYS.1, &ours, at(0))
    }

    #[test]
    fn any_of_the_clients_keys_will_do_with_its_own_algorithm() {
        for signer in &KEYS.0 {
            let text = sign(signer, "JWT", &claims()).unwrap();
            let read = ClientAssertion::parse(&text).unwrap();
            assert_eq!(read.client(), "svc");
            let ours = ["https://auth.test".to_owned()];
            assert!(read.verify(&KEYS.1, &ours, at(0)).is_ok(), "{}", signer.alg());
            let others = ClientKeys::new(KEYS.1.fitting(None, signer.alg()).take(0).cloned().collect());
            assert!(matches!(read.verify(&others, &ours, at(0)), Err(AssertionError::BadSignature)));
        }
    }

    #[test]
    fn what_it_says_must_be_right() {
        use AssertionError::*;
        for typ in ["JWT", "jwt", "client-authentication+jwt"] {
            assert!(verdict(&claims(), typ).is_ok(), "{typ}");
        }
        for typ in ["at+jwt", "", "dpop+jwt", "JWS"] {
            assert!(matches!(verdict(&claims(), typ), Err(Malformed)), "{typ}");
        }
        for (member, value) in [
            ("aud", json!("https://auth.test/oauth2/token")),
            ("aud", json!(["https://auth.test"])),
            ("exp", json!(NOW - 59)),
            ("exp", json!(NOW + 360)),
            ("exp", json!(1_800_000_060.5)),
            ("nbf", json!(NOW + 60)),
            ("iat", json!(NOW - 100_000)),
            ("jti", json!("x".repeat(256))),
            ("x", json!({ "y": [] })),
        ] {
            assert!(verdict(&with(member, value.clone()), "JWT").is_ok(), "{member} {value}");
        }
        for (member, value, error) in [
            ("iss", json!("other"), WrongClient),
            ("aud", json!("https://auth.test/"), WrongAudience),
            ("aud", json!([]), WrongAudience),
            ("aud", json!(["x", "https://auth.test"]), WrongAudience),
            ("exp", json!(NOW - 60), Expired),
            ("exp", json!(-1e300), Expired),
            ("exp", json!(NOW + 361), TooLong),
            ("exp", json!(1e300), TooLong),
            ("nbf", json!(NOW + 61), NotYetValid),
            ("iat", json!(NOW + 61), NotYetValid),
            ("jti", json!(""), NoId),
            ("jti", json!("x".repeat(257)), NoId),
            ("jti", json!(null), NoId),
            ("exp", json!("1800000060"), Malformed),
            ("exp", json!(null), Malformed),
            ("aud", json!(1), Malformed),
            ("sub", json!(null), Malformed),
        ] {
            let verdict = verdict(&with(member, value.clone()), "JWT");
            assert_eq!(verdict.err(), Some(error), "{member} {value}");
        }
        let expires_at = verdict(&claims(), "JWT").unwrap().expires_at;
        assert_eq!(expires_at, at(60 + 120), "remembered for longer than any node takes it");
        let digest = |claims: &Value| verdict(claims, "JWT").unwrap().digest;
        assert_eq!(
            digest(&claims()),
            digest(&with("exp", json!(NOW + 200))),
            "its name alone makes it the same"
        );
        assert_ne!(digest(&claims()), digest(&with("jti", json!("2"))));
    }

    #[test]
    fn a_header_that_wants_more_is_refused() {
        let header = |header: Value| {
            let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
            ClientAssertion::parse(&format!("{}.{}.AA", part(&header), part(&claims()))).err()
        };
        assert_eq!(header(json!({ "alg": "EdDSA", "jku": "https://x.test", "x5t": "AA" })), None);
        for bad in [
            json!({ "alg": "none" }),
            json!({ "alg": "HS256" }),
            json!({ "alg": "RS384" }),
            json!({ "alg": "EdDSA", "crit": ["exp"], "exp": 1 }),
            json!({ "alg": ["EdDSA"] }),
            json!({}),
        ] {
            assert_eq!(header(bad.clone()), Some(AssertionError::Malformed), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn one_altered_letter_is_one_too_many(at in 0usize..1000, to in "[A-Za-z0-9_-]", text in "\\PC{0,80}") {
            let good = sign(&KEYS.0[3], "JWT", &claims()).unwrap();
            let (mut altered, at) = (good.clone(), at % good.len());
            if !altered[at..].starts_with('.') {
                altered.replace_range(at..=at, &to);
            }
            let ours = ["https://auth.test".to_owned()];
            let verdict = |text: &str| ClientAssertion::parse(text)?.verify(&KEYS.1, &ours, super::tests::at(0)).map(|_| ());
            prop_assert_eq!(verdict(&altered).is_ok(), altered == good);
            prop_assert!(verdict(&text).is_err());
        }
    }
}
