use super::*;
use crate::domain::keys::{KeyPolicy, KeySet, SigningKey};
use crate::keys::{GeneratedKey, KeyFactory, KeyPlan, Opened, OpenedPrivateKeys, Reading, Signer};
use crate::tokens::{Audience, Forgery, SigningMaterial, forge, issue};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const EXPECTED: Expected<'static> =
    Expected { issuer: "https://auth.test", audience: Some("chancery"), leeway: TimeDelta::seconds(60) };

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn key(generated: &GeneratedKey, activated_at: Option<i64>) -> SigningKey {
    SigningKey {
        kid: generated.kid.clone(),
        alg: generated.alg,
        public_jwk: generated.public_jwk.clone(),
        longest_life: TimeDelta::minutes(10),
        damage: None,
        created_at: at(NOW),
        published_at: at(NOW),
        activated_at: activated_at.map(at),
        demoted_at: None,
        retires_at: None,
        revoked_at: None,
        imported_at: None,
    }
}

fn signer(generated: &GeneratedKey) -> Signer {
    Signer::from_pkcs8(generated.kid.clone(), generated.alg, &generated.pkcs8).unwrap()
}

/// A keyring, the current key and the next.
fn keyring() -> (Keyring, GeneratedKey, GeneratedKey) {
    keyring_of(SigningAlgorithm::Rs256)
}

fn keyring_of(alg: SigningAlgorithm) -> (Keyring, GeneratedKey, GeneratedKey) {
    let key_factory = KeyFactory::new(KeyPlan { alg, rsa_bits: 2048 });
    let (current, next) = (key_factory.take_key().unwrap(), key_factory.take_key().unwrap());
    (keyring_with(&current, &next), current, next)
}

fn keyring_with(current: &GeneratedKey, next: &GeneratedKey) -> Keyring {
    let policy = KeyPolicy {
        staleness: TimeDelta::seconds(5),
        jwks_max_age: TimeDelta::minutes(5),
        verifier_cache_ttl: TimeDelta::minutes(15),
        rotate_every: TimeDelta::days(30),
        leeway: TimeDelta::seconds(60),
    };
    let set = KeySet::new(vec![key(next, None), key(current, Some(NOW))]).unwrap();
    let opened = Opened { signer: signer(current), ciphertext: vec![] };
    let private = OpenedPrivateKeys { current: Some(opened.into()), next: None };
    let reading = Reading { at: at(NOW), ticket: 1, version: 1 };
    Keyring::new(set, private, vec![], &policy, reading)
}

fn claims() -> AccessClaims {
    AccessClaims {
        iss: "https://auth.test".to_owned(),
        sub: Uuid::from_u128(1).to_string(),
        aud: Audience::of(&["chancery".to_owned()]),
        exp: NOW + 600,
        iat: NOW,
        nbf: Some(NOW),
        jti: Uuid::from_u128(2),
        client_id: "chancery".to_owned(),
        scope: String::new(),
        sid: Some(Uuid::from_u128(3)),
        auth_time: Some(NOW),
        roles: Some(vec![]),
        amr: Some(vec!["pwd".to_owned()]),
        act: None,
        cnf: None,
    }
}

/// Any header and payload, signed by the key.
fn sign(signer: &Signer, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = signer.sign(message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Any header and payload under HMAC-SHA-256.
fn mac(secret: &[u8], header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[test]
fn what_we_issue_we_accept_while_it_lives() {
    for alg in SigningAlgorithm::ALL {
        let (ring, current, _) = keyring_of(alg);
        let token = issue(&signer(&current), &claims()).unwrap();
        assert_eq!(strict_header(token.expose(), TYP).unwrap().alg, alg.as_str());
        let verdict = |seconds| verify(token.expose(), &ring, &EXPECTED, at(seconds));
        assert_eq!(verdict(NOW), Ok(claims()));
        assert_eq!(verdict(NOW + 659), Ok(claims()));
        assert_eq!(verdict(NOW + 660), Err(TokenError::Expired));
        assert_eq!(verdict(NOW - 60), Ok(claims()));
        assert_eq!(verdict(NOW - 61), Err(TokenError::NotYetValid));
        let other = Expected { audience: Some("orders"), ..EXPECTED };
        assert_eq!(verify(token.expose(), &ring, &other, at(NOW)), Err(TokenError::WrongAudience));
        let other = Expected { issuer: "https://evil.test", ..EXPECTED };
        assert_eq!(verify(token.expose(), &ring, &other, at(NOW)), Err(TokenError::WrongIssuer));
    }
}

#[test]
fn a_token_of_one_algorithm_is_refused_under_a_key_of_another() {
    let payload = serde_json::to_string(&claims()).unwrap();
    for alg in SigningAlgorithm::ALL {
        let (ring, current, _) = keyring_of(alg);
        let header = |alg: &str| format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{}"}}"#, current.kid);
        let verdict = |token: &str| verify(token, &ring, &EXPECTED, at(NOW));
        for other in SigningAlgorithm::ALL.into_iter().filter(|other| *other != alg) {
            let (_, foreign, _) = keyring_of(other);
            let honest = sign(&signer(&foreign), &header(other.as_str()), &payload);
            assert_eq!(verdict(&honest), Err(TokenError::WrongAlgorithm), "{other} under {alg}");
            let dressed_up = sign(&signer(&foreign), &header(alg.as_str()), &payload);
            assert_eq!(verdict(&dressed_up), Err(TokenError::BadSignature), "{other} as {alg}");
        }
        // The public key as the secret of a MAC, in the forms a library might take it in.
        let (n_or_x, jwk) = (["n", "x"], &current.public_jwk);
        let encoded = n_or_x.iter().find_map(|name| jwk[*name].as_str()).unwrap();
        let decoded = URL_SAFE_NO_PAD.decode(encoded).unwrap();
        for secret in [decoded, encoded.as_bytes().to_vec(), jwk.to_string().into_bytes()] {
            for name in ["HS256", "none", alg.as_str()] {
                let token = mac(&secret, &header(name), &payload);
                assert!(verdict(&token).is_err(), "HMAC as {name} under {alg}");
            }
        }
        let unsigned = mac(b"", &header("none"), &payload);
        let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
        assert_eq!(verdict(&unsigned), Err(TokenError::WrongAlgorithm), "none under {alg}");
    }
}

#[test]
fn one_rsa_key_has_one_padding() {
    use SigningAlgorithm::{Ps256, Rs256};
    let (_, made, next) = keyring_of(Rs256);
    let as_ps256 = GeneratedKey::from_pkcs8(Ps256, &made.pkcs8).unwrap();
    assert_eq!(as_ps256.kid, made.kid);
    let ring = keyring_with(&as_ps256, &next);
    let older = issue(&signer(&made), &claims()).unwrap();
    let newer = issue(&signer(&as_ps256), &claims()).unwrap();
    assert_eq!(verify(newer.expose(), &ring, &EXPECTED, at(NOW)), Ok(claims()));
    assert_eq!(verify(older.expose(), &ring, &EXPECTED, at(NOW)), Err(TokenError::WrongAlgorithm));
    let header = format!(r#"{{"alg":"PS256","typ":"at+jwt","kid":"{}"}}"#, made.kid);
    let relabelled = sign(&signer(&made), &header, &serde_json::to_string(&claims()).unwrap());
    assert_eq!(verify(&relabelled, &ring, &EXPECTED, at(NOW)), Err(TokenError::BadSignature));
}

#[test]
fn every_altered_header_is_refused() {
    let (ring, current, next) = keyring();
    let kid = current.kid.as_str();
    let payload = serde_json::to_string(&claims()).unwrap();
    let headers = [
        format!(r#"{{"alg":"none","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"NoNe","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"PS256","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS512","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#),
        r#"{"alg":"RS256","typ":"at+jwt"}"#.to_owned(),
        format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":["{kid}"]}}"#),
        format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}","crit":["x"],"x":1}}"#),
        format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}","jku":"https://evil.test/"}}"#),
        format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}","jwk":{{}}}}"#),
        r#"{"alg":"RS256","typ":"at+jwt","kid":"../../etc/passwd"}"#.to_owned(),
        // A key that is published but has never signed.
        format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{}"}}"#, next.kid),
        "{".repeat(3000),
    ];
    for header in headers {
        for signer in [signer(&current), signer(&next)] {
            assert!(
                verify(&sign(&signer, &header, &payload), &ring, &EXPECTED, at(NOW)).is_err(),
                "{header}"
            );
        }
    }
}

#[test]
fn every_altered_payload_is_refused_though_signed() {
    let (ring, current, _) = keyring();
    let header = format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{}"}}"#, current.kid);
    let good = serde_json::to_value(claims()).unwrap();
    let accepted =
        |payload: &str| verify(&sign(&signer(&current), &header, payload), &ring, &EXPECTED, at(NOW)).is_ok();
    assert!(accepted(&good.to_string()));
    for member in ["iss", "sub", "aud", "exp", "iat", "sid", "client_id", "jti"] {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(member);
        assert!(!accepted(&without.to_string()), "without {member}");
    }
    let mut without_nbf = good.clone();
    without_nbf.as_object_mut().unwrap().remove("nbf");
    assert!(accepted(&without_nbf.to_string()), "a later release writes no nbf");
    without_nbf["iat"] = json!(NOW + 61);
    assert!(!accepted(&without_nbf.to_string()), "then iat alone says from when");
    let altered: [(&str, Value); 9] = [
        ("exp", json!("1900000000")),
        ("exp", json!(1.9e9)),
        ("exp", json!(null)),
        ("exp", json!(-1)),
        ("exp", json!(u64::MAX)),
        ("nbf", json!(NOW + 61)),
        ("iat", json!(NOW + 3600)),
        ("aud", json!(["orders", "billing"])),
        ("sub", json!("not a uuid")),
    ];
    for (member, value) in altered {
        let mut payload = good.clone();
        payload[member] = value.clone();
        assert!(!accepted(&payload.to_string()), "{member} = {value}");
    }
    let service = json!({
        "iss": "https://auth.test", "sub": "robot", "client_id": "robot", "aud": "chancery", "exp": NOW + 600, "iat": NOW,
        "nbf": NOW, "jti": Uuid::from_u128(4), "scope": "",
    });
    assert!(accepted(&service.to_string()), "a service account's");
    for (member, value) in [("sub", json!("other")), ("roles", json!(["admin"])), ("auth_time", json!(NOW))] {
        let mut payload = service.clone();
        payload[member] = value;
        assert!(!accepted(&payload.to_string()), "a service account's with another {member}");
    }
    let with_act = |mut payload: Value, act: Value| {
        payload["act"] = act;
        payload.to_string()
    };
    let chain =
        |names: &[&str]| names.iter().rev().fold(json!(null), |act, name| json!({ "sub": name, "act": act }));
    assert!(accepted(&with_act(good.clone(), chain(&["chancery", "a", "b"]))), "who acts for a user");
    for act in [
        chain(&["a", "chancery"]),
        chain(&["chancery", "a", "b", "c"]),
        json!({}),
        json!("chancery"),
        json!([]),
    ] {
        assert!(!accepted(&with_act(good.clone(), act.clone())), "act = {act}");
    }
    assert!(!accepted(&with_act(service, chain(&["robot"]))), "nobody acts for a service account");
    let twice = good.to_string().replacen('{', r#"{"exp":9999999999,"#, 1);
    assert!(!accepted(&twice), "duplicate member");
}

#[test]
fn every_forgery_is_refused_for_what_is_wrong_with_it() {
    let each = SigningAlgorithm::ALL.map(|alg| Forgery::ALL.map(|forgery| (alg, forgery)));
    let rings = SigningAlgorithm::ALL.map(|alg| {
        let theirs = KeyFactory::new(KeyPlan { alg, rsa_bits: 2048 }).take_key().unwrap();
        (keyring_of(alg), theirs)
    });
    for (alg, forgery) in each.into_iter().flatten() {
        let ((ring, current, _), theirs) = rings.iter().find(|(_, theirs)| theirs.alg == alg).unwrap();
        let ours = SigningMaterial { signer: &signer(current), public_jwk: &current.public_jwk };
        let theirs = SigningMaterial { signer: &signer(theirs), public_jwk: &theirs.public_jwk };
        let token = forge(forgery, claims(), ours, theirs).unwrap();
        let refused = verify(token.expose(), ring, &EXPECTED, at(NOW)).unwrap_err();
        let wrong = match forgery {
            Forgery::UnknownKey => TokenError::UnknownKey,
            Forgery::NoAlgorithm | Forgery::PublicKeyAsSecret | Forgery::OtherAlgorithm => {
                TokenError::WrongAlgorithm
            }
            Forgery::ForeignKeyUnderOurKid | Forgery::AlteredSignature => TokenError::BadSignature,
            Forgery::Expired => TokenError::Expired,
            Forgery::NotYetValid => TokenError::NotYetValid,
            Forgery::OtherAudience => TokenError::WrongAudience,
            Forgery::OtherIssuer => TokenError::WrongIssuer,
            Forgery::OtherType | Forgery::EmbeddedKey | Forgery::UnknownCritical => TokenError::Malformed,
        };
        assert_eq!(refused, wrong, "{alg}: {}", forgery.name());
    }
}

#[test]
fn tampering_and_stray_characters_are_refused() {
    let (ring, current, next) = keyring();
    let token = issue(&signer(&current), &claims()).unwrap().expose().to_owned();
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    let foreign =
        sign(&signer(&next), &format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{}"}}"#, current.kid), "{}");
    let hostile = [
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{header}..{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{}.{payload}.{signature}", header.to_lowercase()),
        format!("{header}.{payload}.{}", foreign.rsplit('.').next().unwrap()),
        "a.b.c.d.e".to_owned(),
        String::new(),
        "x".repeat(4 << 20),
    ];
    for token in hostile {
        assert!(verify(&token, &ring, &EXPECTED, at(NOW)).is_err(), "{}", &token[..token.len().min(80)]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_makes_the_verifier_panic_or_accept(text in "\\PC{0,300}", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,60}", 0..6)) {
        let (ring, ..) = shared();
        prop_assert!(verify(&text, ring, &EXPECTED, at(NOW)).is_err());
        prop_assert!(verify(&parts.join("."), ring, &EXPECTED, at(NOW)).is_err());
    }

    #[test]
    fn only_the_very_text_we_issued_is_accepted(place in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=+/ -]", cut in any::<prop::sample::Index>()) {
        let (ring, current) = shared();
        let good = issue(&signer(current), &claims()).unwrap().expose().to_owned();
        prop_assert!(verify(&good, ring, &EXPECTED, at(NOW)).is_ok());
        let place = place.index(good.len());
        let mut altered = good.clone();
        altered.replace_range(place..=place, &to);
        if altered != good {
            prop_assert!(verify(&altered, ring, &EXPECTED, at(NOW)).is_err(), "{altered}");
        }
        prop_assert!(verify(&good[..cut.index(good.len())], ring, &EXPECTED, at(NOW)).is_err());
    }

    /// Headers and claims of any shape, under a signature of ours: what is not what we issue is not accepted.
    #[test]
    fn members_of_any_shape_are_refused_though_signed(name in "[a-z_]{1,8}", shape in 0usize..7, deep in 1usize..60) {
        let (ring, current) = shared();
        let value = match shape {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(1.5e300),
            3 => json!({ "a": [1, { "b": null }] }),
            4 => json!(["", -1]),
            5 => json!("\u{0}\u{1b}[31m"),
            _ => (0..deep).fold(json!(0), |inner, _| json!([inner])),
        };
        let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": current.kid.as_str(), name.clone(): value.clone() });
        let good = serde_json::to_string(&claims()).unwrap();
        prop_assert!(verify(&sign(&signer(current), &header.to_string(), &good), ring, &EXPECTED, at(NOW)).is_err());
        let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": current.kid.as_str() }).to_string();
        let payload = json!({ "iss": value.clone(), "sub": value.clone(), "aud": value.clone(), "exp": value.clone(), name: value });
        prop_assert!(verify(&sign(&signer(current), &header, &payload.to_string()), ring, &EXPECTED, at(NOW)).is_err());
    }
}

/// Keys take long to make.
fn shared() -> (&'static Keyring, &'static GeneratedKey) {
    static SHARED: std::sync::OnceLock<(Keyring, GeneratedKey)> = std::sync::OnceLock::new();
    let (ring, current) = SHARED.get_or_init(|| {
        let (ring, current, _) = keyring();
        (ring, current)
    });
    (ring, current)
}

/// What cannot be ours is turned away before it is decoded, however large or deep it is.
#[test]
fn a_bomb_of_a_token_is_turned_away_for_its_length() {
    let (ring, current) = shared();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let header = format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{}"}}"#, current.kid);
    for bomb in [
        "A".repeat(4 << 20),
        format!("{0}.{0}.{0}", "A".repeat(1 << 20)),
        sign(&signer(current), &header, &deep),
        ".".repeat(1 << 20),
    ] {
        assert!(bomb.len() > MAX_LENGTH);
        assert_eq!(verify(&bomb, ring, &EXPECTED, at(NOW)), Err(TokenError::Malformed));
    }
}
