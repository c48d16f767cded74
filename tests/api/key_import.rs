//! Keys made by other programs: `keys-fixtures/` holds what the openssl command and Python's cryptography wrote.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chancery::domain::keys::SigningAlgorithm;
use chancery::domain::keys::SigningAlgorithm::{EdDsa, Es256, Ps256, Rs256};
use chancery::keys::{ImportError, ImportOptions, ImportedKey, Signer, import_key};
use jsonwebtoken::{DecodingKey, Validation};
use proptest::prelude::*;
use serde_json::{Value, json};

macro_rules! fixture {
    ($name:literal) => {
        ($name, include_bytes!(concat!("keys-fixtures/", $name)).as_slice())
    };
}

/// Every form of the one key of each kind.
const RSA: &[(&str, &[u8])] = &[
    fixture!("rsa-pkcs1.pem"),
    fixture!("rsa-pkcs8.pem"),
    fixture!("rsa-pkcs8.der"),
    fixture!("rsa-private.jwk.json"),
    fixture!("rsa-private-without-primes.jwk.json"),
    fixture!("rsa-public.pem"),
    fixture!("rsa-public.der"),
    fixture!("rsa-public-pkcs1.pem"),
    fixture!("rsa-public.jwk.json"),
];
const P256: &[(&str, &[u8])] = &[
    fixture!("p256-sec1.pem"),
    fixture!("p256-pkcs8.pem"),
    fixture!("p256-pkcs8.der"),
    fixture!("p256-private.jwk.json"),
    fixture!("p256-public.pem"),
    fixture!("p256-public.jwk.json"),
];
const ED25519: &[(&str, &[u8])] = &[
    fixture!("ed25519-pkcs8.pem"),
    fixture!("ed25519-pkcs8.der"),
    fixture!("ed25519-private.jwk.json"),
    fixture!("ed25519-public.pem"),
    fixture!("ed25519-public.jwk.json"),
];

fn bytes(name: &str) -> &'static [u8] {
    let all = [RSA, P256, ED25519].concat();
    all.iter().find(|(known, _)| *known == name).expect("a fixture").1
}

fn jwk(name: &str) -> Value {
    serde_json::from_slice(bytes(name)).unwrap()
}

fn import(bytes: &[u8]) -> Result<ImportedKey, ImportError> {
    import_key(bytes, &ImportOptions::default())
}

fn import_jwk(jwk: &Value) -> Result<ImportedKey, ImportError> {
    import(jwk.to_string().as_bytes())
}

fn refusal(bytes: &[u8]) -> ImportError {
    import(bytes).map(|key| key.kid).unwrap_err()
}

/// A JWS by the key.
fn sign(key: &ImportedKey) -> String {
    let signer = Signer::from_pkcs8(key.kid.clone(), key.alg, key.pkcs8.as_ref().unwrap()).unwrap();
    assert!(signer.matches(&key.public_jwk));
    let header = json!({ "alg": key.alg.as_str(), "kid": key.kid.as_str() }).to_string();
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode("{}"));
    let signature = signer.sign(message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// What a service does that knows the published JWK and nothing else.
fn verifies(token: &str, public_jwk: &Value) -> bool {
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(public_jwk.clone()).unwrap();
    let mut validation = Validation::new(public_jwk["alg"].as_str().unwrap().parse().unwrap());
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).is_ok()
}

#[test]
fn every_form_is_the_same_key_and_what_it_signs_verifies() {
    for (family, algs, names) in [
        (RSA, &[Rs256, Ps256][..], &["e", "kty", "n"][..]),
        (P256, &[Es256], &["crv", "kty", "x", "y"]),
        (ED25519, &[EdDsa], &["crv", "kty", "x"]),
    ] {
        for alg in algs {
            let read = |bytes: &[u8]| {
                let options = ImportOptions { kid: Some("k".to_owned()), alg: Some(*alg) };
                import_key(bytes, &options).unwrap()
            };
            let keys: Vec<(&str, ImportedKey)> =
                family.iter().map(|(name, bytes)| (*name, read(bytes))).collect();
            for (name, key) in &keys {
                assert_eq!(key.public_jwk, keys[0].1.public_jwk, "{name}");
                assert_eq!(key.pkcs8.is_none(), name.contains("public"), "{name}");
            }
            let published = &keys[0].1.public_jwk;
            let said = [("alg", alg.as_str()), ("kid", "k"), ("use", "sig")];
            assert!(said.iter().all(|(member, value)| published[*member] == *value), "{published}");
            let members = published.as_object().unwrap().keys().map(String::as_str);
            assert!(members.filter(|name| !["alg", "kid", "use"].contains(name)).eq(names.iter().copied()));
            for (name, key) in keys.iter().filter(|(_, key)| key.pkcs8.is_some()) {
                assert!(verifies(&sign(key), published), "{name}");
            }
        }
    }
}

#[test]
fn a_key_is_called_as_wished_or_as_it_calls_itself_or_by_its_thumbprint() {
    let kid = |name: &str, wish: Option<&str>| {
        let options = ImportOptions { kid: wish.map(str::to_owned), alg: None };
        import_key(bytes(name), &options).map(|key| {
            assert_eq!(key.public_jwk["kid"], key.kid.as_str());
            key.kid.to_string()
        })
    };
    assert_eq!(kid("rsa-private.jwk.json", Some("mine")).unwrap(), "mine");
    assert_eq!(kid("rsa-private.jwk.json", None).unwrap(), "rsa-2024");
    let public: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk("ed25519-public.jwk.json")).unwrap();
    let thumbprint = public.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap();
    assert_eq!(kid("ed25519-pkcs8.pem", None).unwrap(), thumbprint);
    assert_eq!(kid("ed25519-private.jwk.json", None).unwrap(), thumbprint);
    for good in ["1", "http://idp.test/keys#1", "a+b/c==", &"k".repeat(200)] {
        assert_eq!(kid("p256-sec1.pem", Some(good)).unwrap(), good);
    }
    for bad in ["", "a b", "a\"b", "a'b", "a`b", "a\\b", "a\nb", "schlüssel", "\0", &"k".repeat(201)] {
        assert_eq!(kid("p256-sec1.pem", Some(bad)), Err(ImportError::BadKid), "{bad}");
        let mut named = jwk("p256-private.jwk.json");
        named["kid"] = bad.into();
        assert_eq!(import_jwk(&named).map(|key| key.kid).unwrap_err(), ImportError::BadKid, "{bad}");
    }
}

#[test]
fn a_key_signs_as_wished_or_as_it_says_or_as_is_usual() {
    let alg = |name: &str, wish| {
        let options = ImportOptions { kid: None, alg: wish };
        import_key(bytes(name), &options).map(|key| {
            assert_eq!(key.public_jwk["alg"], key.alg.as_str());
            key.alg
        })
    };
    assert_eq!(alg("rsa-private.jwk.json", Some(Rs256)), Ok(Rs256));
    assert_eq!(alg("rsa-private.jwk.json", None), Ok(Ps256));
    assert_eq!(alg("rsa-pkcs1.pem", None), Ok(Rs256));
    assert_eq!(alg("p256-public.pem", None), Ok(Es256));
    assert_eq!(alg("ed25519-pkcs8.der", None), Ok(EdDsa));
    let wrong = |given, usual| Err(ImportError::WrongAlgorithm { given, usual });
    assert_eq!(alg("rsa-pkcs1.pem", Some(Es256)), wrong(Es256, Rs256));
    assert_eq!(alg("p256-sec1.pem", Some(Ps256)), wrong(Ps256, Es256));
    assert_eq!(alg("ed25519-public.pem", Some(Es256)), wrong(Es256, EdDsa));
    let mut labelled = jwk("p256-private.jwk.json");
    labelled["alg"] = "RS256".into();
    assert_eq!(import_jwk(&labelled).map(|key| key.alg), wrong(Rs256, Es256));
    for unknown in ["ES384", "RS512", "none", "HS256", "RSA-OAEP", ""] {
        labelled["alg"] = unknown.into();
        assert_eq!(import_jwk(&labelled).map(|key| key.alg), Err(ImportError::UnknownAlgorithm));
    }
}

#[test]
fn what_is_no_key_for_us_is_refused_with_what_to_do() {
    let long = vec![b' '; 64 * 1024 + 1];
    let cases: &[((&str, &[u8]), ImportError)] = &[
        (fixture!("refused-rsa-1024.pem"), ImportError::RsaSize(1024)),
        (fixture!("refused-rsa-e3.pem"), ImportError::RsaExponent),
        (fixture!("refused-rsa-three-primes.pem"), ImportError::MultiPrime),
        (fixture!("refused-rsa-pss-only.pem"), ImportError::OtherKind),
        (fixture!("refused-p384-sec1.pem"), ImportError::OtherCurve),
        (fixture!("refused-p384-pkcs8.pem"), ImportError::OtherCurve),
        (fixture!("refused-p256-explicit.pem"), ImportError::OtherCurve),
        (fixture!("refused-x25519.pem"), ImportError::OtherCurve),
        (fixture!("refused-ed448.pem"), ImportError::OtherCurve),
        (fixture!("refused-encrypted-pkcs8.pem"), ImportError::Encrypted),
        (fixture!("refused-encrypted-pkcs8.der"), ImportError::Encrypted),
        (fixture!("refused-encrypted-sec1.pem"), ImportError::Encrypted),
        (fixture!("refused-certificate.pem"), ImportError::Certificate),
        (fixture!("refused-certificate.der"), ImportError::Certificate),
        (("nothing", b""), ImportError::Empty),
        (("blanks", b" \r\n\t"), ImportError::Empty),
        (("an empty set", br#"{"keys":[]}"#), ImportError::Empty),
        (("prose", b"my key"), ImportError::Unreadable),
        (("an empty object", b"{}"), ImportError::Unreadable),
        (("a broken object", b"{"), ImportError::Unreadable),
        (("zeros", &[0; 300]), ImportError::Unreadable),
        (("half a block", b"-----BEGIN PRIVATE KEY-----\nMIIE"), ImportError::Unreadable),
        (
            ("no base64", b"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----"),
            ImportError::Unreadable,
        ),
        (
            ("an empty block", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"),
            ImportError::Unreadable,
        ),
        (("another label", b"-----BEGIN X-----\nMAA=\n-----END X-----"), ImportError::Unreadable),
        (("a long file", &long), ImportError::TooLong),
        (("a secret", br#"{"kty":"oct","k":"c2VjcmV0"}"#), ImportError::Symmetric),
        (("another kty", br#"{"kty":"AKP"}"#), ImportError::OtherKind),
        (("no kty", br#"{"n":"AQAB","e":"AQAB"}"#), ImportError::Unreadable),
    ];
    for ((name, bytes), expected) in cases {
        assert_eq!(refusal(bytes), *expected, "{name}");
    }
    assert!(ImportError::Encrypted.to_string().contains("`openssl pkcs8 -topk8 -nocrypt -in KEY"));
    assert!(ImportError::Certificate.to_string().contains("`openssl x509 -in CERTIFICATE -pubkey"));
}

#[test]
fn a_jwk_must_be_whole_consistent_and_for_signing() {
    for name in [
        "rsa-private.jwk.json",
        "rsa-private-without-primes.jwk.json",
        "p256-private.jwk.json",
        "ed25519-private.jwk.json",
    ] {
        let good = jwk(name);
        for (member, value) in good.as_object().unwrap() {
            if ["kty", "kid", "use", "alg", "crv"].contains(&member.as_str()) {
                continue;
            }
            // Another number of the same length, a shorter one, and none.
            let mut number = URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap();
            number[2] ^= 4;
            let mut altered = good.clone();
            altered[member] = URL_SAFE_NO_PAD.encode(&number).into();
            assert!(import_jwk(&altered).is_err(), "{name}: another {member}");
            altered[member] = URL_SAFE_NO_PAD.encode(&number[..number.len() - 1]).into();
            assert!(import_jwk(&altered).is_err(), "{name}: a shorter {member}");
            for wrong in [json!(""), json!("AA"), json!("not base64"), json!("AAA="), json!(65537), json!([])]
            {
                altered[member] = wrong;
                assert!(import_jwk(&altered).is_err(), "{name}: {member} {}", altered[member]);
            }
            altered.as_object_mut().unwrap().remove(member);
            // Without d, a JWK of EC or OKP is a public one.
            let is_public = member == "d" && !name.starts_with("rsa-private.");
            assert_eq!(import_jwk(&altered).is_ok(), is_public, "{name} without {member}");
        }
        for (member, value, expected) in [
            ("use", json!("enc"), ImportError::NotForSigning),
            ("key_ops", json!(["encrypt"]), ImportError::NotForSigning),
            ("key_ops", json!([]), ImportError::NotForSigning),
            ("kty", json!("rsa"), ImportError::OtherKind),
            ("kid", json!(1), ImportError::Unreadable),
        ] {
            let mut altered = good.clone();
            altered[member] = value;
            assert_eq!(import_jwk(&altered).map(|key| key.kid), Err(expected), "{name}: {member}");
        }
        let mut usable = good.clone();
        (usable["use"], usable["key_ops"], usable["x5t"]) = (json!("sig"), json!(["sign"]), json!("ignored"));
        assert!(import_jwk(&usable).is_ok(), "{name}");
    }
    let mut curve = jwk("p256-public.jwk.json");
    for other in ["P-384", "secp256k1", "p-256", "Ed25519"] {
        curve["crv"] = other.into();
        assert_eq!(import_jwk(&curve).map(|key| key.kid), Err(ImportError::OtherCurve));
    }
    let mut shifted = jwk("p256-public.jwk.json");
    let [x, y] = ["x", "y"].map(|name| URL_SAFE_NO_PAD.decode(shifted[name].as_str().unwrap()).unwrap());
    shifted["x"] = URL_SAFE_NO_PAD.encode(&x[..31]).into();
    shifted["y"] = URL_SAFE_NO_PAD.encode([&x[31..], &y].concat()).into();
    assert_eq!(import_jwk(&shifted).map(|key| key.kid), Err(ImportError::Inconsistent));
    let mut primes = jwk("rsa-private.jwk.json");
    primes["oth"] = json!([{ "r": "AQ", "d": "AQ", "t": "AQ" }]);
    assert_eq!(import_jwk(&primes).map(|key| key.kid), Err(ImportError::MultiPrime));
    let mut large = jwk("rsa-public.jwk.json");
    large["n"] = URL_SAFE_NO_PAD.encode([0xff; 1025]).into();
    assert_eq!(import_jwk(&large).map(|key| key.kid), Err(ImportError::RsaSize(8200)));
    let mut padded = jwk("rsa-public.jwk.json");
    let n = URL_SAFE_NO_PAD.decode(padded["n"].as_str().unwrap()).unwrap();
    padded["n"] = URL_SAFE_NO_PAD.encode([vec![0], n].concat()).into();
    assert_eq!(
        import_jwk(&padded).unwrap().public_jwk["n"],
        jwk("rsa-public.jwk.json")["n"],
        "published as RFC 7518 section 6.3.1.1 wants it"
    );
}

#[test]
fn a_set_gives_its_only_key_or_the_one_that_is_named() {
    let (rsa, p256) = (jwk("rsa-public.jwk.json"), jwk("p256-private.jwk.json"));
    let from = |set: Value, kid: Option<&str>| {
        let options = ImportOptions { kid: kid.map(str::to_owned), alg: None };
        import_key(set.to_string().as_bytes(), &options).map(|key| (key.kid.to_string(), key.alg))
    };
    assert_eq!(from(json!({ "keys": [rsa] }), None), Ok(("rsa-2024".to_owned(), Ps256)));
    assert_eq!(from(json!({ "keys": [rsa] }), Some("mine")), Ok(("mine".to_owned(), Ps256)));
    let several = json!({ "keys": [rsa, p256, { "kty": "oct", "kid": "a b", "k": "c2VjcmV0" }] });
    let error = from(several.clone(), None).unwrap_err();
    assert_eq!(error, ImportError::SeveralJwks { kids: "rsa-2024, p256-2024".to_owned() });
    assert!(!error.to_string().contains("c2Vj"));
    assert_eq!(from(several.clone(), Some("p256-2024")), Ok(("p256-2024".to_owned(), Es256)));
    assert!(matches!(from(several, Some("other")), Err(ImportError::NotInSet(_))));
    assert!(matches!(from(json!({ "keys": [rsa, rsa] }), Some("rsa-2024")), Err(ImportError::NotInSet(_))));
}

#[test]
fn a_file_may_hold_more_than_the_key_but_not_a_second_one() {
    let sec1 = std::str::from_utf8(bytes("p256-sec1.pem")).unwrap();
    assert!(sec1.contains("-----BEGIN EC PARAMETERS-----"), "as the openssl command writes it");
    let certificate = include_str!("keys-fixtures/refused-certificate.pem");
    let expected = import(sec1.as_bytes()).unwrap().kid;
    let same = [
        format!("{sec1}{certificate}"),
        format!("{certificate}{sec1}"),
        format!("\u{feff}\n  {sec1}\n\n"),
        format!("Bag Attributes\n    localKeyID: 01\n{sec1}"),
        sec1.replace('\n', "\r\n"),
    ];
    for text in same {
        assert_eq!(import(text.as_bytes()).unwrap().kid, expected, "{text}");
    }
    for second in ["p256-public.pem", "p256-sec1.pem", "ed25519-pkcs8.pem"] {
        let both = [sec1.as_bytes(), bytes(second)].concat();
        assert_eq!(refusal(&both), ImportError::SeveralPemKeys);
    }
    // A label that lies about its content.
    for (name, label) in [
        ("rsa-pkcs8.der", "RSA PRIVATE KEY"),
        ("p256-pkcs8.der", "EC PRIVATE KEY"),
        ("p256-pkcs8.der", "PUBLIC KEY"),
    ] {
        let text =
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(bytes(name)));
        assert!(import(text.as_bytes()).is_err(), "{name} as {label}");
    }
}

#[test]
fn one_byte_too_few_or_too_many_is_no_key() {
    for name in ["rsa-pkcs8.der", "p256-pkcs8.der", "ed25519-pkcs8.der", "rsa-public.der"] {
        let whole = bytes(name);
        assert_eq!(refusal(&whole[..whole.len() - 1]), ImportError::Unreadable, "{name}");
        assert_eq!(refusal(&[whole, &[0]].concat()), ImportError::Unreadable, "{name}");
    }
}

#[test]
fn debug_output_shows_the_kid_and_no_key() {
    let key = import(bytes("p256-private.jwk.json")).unwrap();
    assert_eq!(format!("{key:?}"), r#"ImportedKey { kid: Kid("p256-2024"), .. }"#);
}

/// Small and quick to parse, except that RSA has most to go wrong.
fn any_fixture() -> impl Strategy<Value = &'static [u8]> {
    let all: Vec<&[u8]> = [RSA, P256, ED25519].concat().into_iter().map(|(_, bytes)| bytes).collect();
    prop::sample::select(all)
}

/// Whatever is accepted can be published and, with a private half, sign.
fn is_good(key: &ImportedKey) -> bool {
    let jwk: Result<jsonwebtoken::jwk::Jwk, _> = serde_json::from_value(key.public_jwk.clone());
    jwk.is_ok_and(|jwk| DecodingKey::from_jwk(&jwk).is_ok())
        && (key.pkcs8.is_none() || verifies(&sign(key), &key.public_jwk))
}

fn any_algorithm() -> impl Strategy<Value = Option<SigningAlgorithm>> {
    prop::option::of(prop::sample::select(SigningAlgorithm::ALL.to_vec()))
}

proptest! {
    #[test]
    fn garbage_is_refused_and_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..400), alg in any_algorithm()) {
        let options = ImportOptions { kid: None, alg };
        prop_assert!(import_key(&garbage, &options).is_err());
        let text = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", STANDARD.encode(&garbage));
        prop_assert!(import(text.as_bytes()).is_err());
    }

    #[test]
    fn a_mutated_key_is_refused_or_good_and_never_panics(
        key in any_fixture(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<Option<prop::sample::Index>>(),
        alg in any_algorithm(),
    ) {
        let mut mutated = key.to_vec();
        for (at, byte) in changes {
            let at = at.index(mutated.len());
            mutated[at] = byte;
        }
        if let Some(end) = end {
            mutated.truncate(end.index(mutated.len()));
        }
        if let Ok(key) = import_key(&mutated, &ImportOptions { kid: None, alg }) {
            prop_assert!(is_good(&key));
        }
    }

    #[test]
    fn a_mutated_number_is_refused_or_good_and_never_panics(
        name in prop::sample::select(vec!["rsa-private.jwk.json", "rsa-private-without-primes.jwk.json", "p256-private.jwk.json"]),
        member in prop::sample::select(vec!["n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y"]),
        number in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut jwk = jwk(name);
        jwk[member] = URL_SAFE_NO_PAD.encode(number).into();
        if let Ok(key) = import_jwk(&jwk) {
            prop_assert!(is_good(&key));
        }
    }
}
