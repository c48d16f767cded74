//! Clients that prove who they are by a JWT under a key of their own (RFC 7523).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chancery::domain::Scopes;
use chancery::domain::clients::{Client, ClientAuthMethod, ClientKeys, GrantType};
use chancery::flows::clients::read_client_keys;
use chrono::TimeDelta;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::{Browser, CALLBACK, VERIFIER, client, post_form, public_client, register, service};
use crate::support::{Answer, TestApp, on_both};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../keys-fixtures/", $name))
    };
}

fn jwks() -> Value {
    let jwk = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let mut rsa = jwk(fixture!("rsa-public.jwk.json"));
    rsa.as_object_mut().unwrap().remove("alg");
    json!({ "keys": [rsa, jwk(fixture!("p256-public.jwk.json")), jwk(fixture!("ed25519-public.jwk.json"))] })
}

fn keys() -> ClientKeys {
    read_client_keys(&jwks()).unwrap()
}

fn key(alg: Algorithm) -> EncodingKey {
    match alg {
        Algorithm::ES256 => EncodingKey::from_ec_pem(fixture!("p256-pkcs8.pem").as_bytes()),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(fixture!("ed25519-pkcs8.pem").as_bytes()),
        _ => EncodingKey::from_rsa_pem(fixture!("rsa-pkcs8.pem").as_bytes()),
    }
    .unwrap()
}

/// What a client named `id` says of itself.
pub fn claims(app: &TestApp, id: &str) -> Value {
    let now = app.clock.now().timestamp();
    json!({ "iss": id, "sub": id, "aud": "https://auth.test", "exp": now + 60, "iat": now, "jti": Uuid::new_v4() })
}

pub fn signed(claims: &Value) -> String {
    let header = Header { typ: None, ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, claims, &key(Algorithm::EdDSA)).unwrap()
}

fn signed_with(alg: Algorithm, claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(alg), claims, &key(alg)).unwrap()
}

fn with(mut claims: Value, member: &str, value: Value) -> Value {
    claims[member] = value;
    claims
}

/// A service with keys of its own, which may do everything.
pub async fn keyed(app: &TestApp, id: &str) {
    let wanted = Client {
        auth_method: ClientAuthMethod::PrivateKeyJwt,
        keys: Some(keys()),
        grant_types: GrantType::ALL.iter().copied().collect(),
        scopes: Scopes::parse("openid orders:write").unwrap(),
        ..client(app, id)
    };
    register(app, &wanted).await;
}

pub async fn post(app: &TestApp, path: &str, assertion: &str, form: &[(&str, &str)]) -> Answer {
    let proof = [("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)];
    post_form(app, path, &[], &[&proof[..], form].concat()).await
}

async fn token(app: &TestApp, assertion: &str) -> Answer {
    post(app, "/oauth2/token", assertion, &[GRANT]).await
}

on_both! {
    async fn a_client_signs_and_gets_tokens(app: TestApp) {
        keyed(&app, "robot").await;
        for alg in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA] {
            let answer = token(&app, &signed_with(alg, &claims(&app, "robot"))).await.expect(200);
            assert_eq!(crate::oauth2::support::claims(&answer.access_token())["sub"], "robot", "{alg:?}");
        }
        let now = app.clock.now().timestamp();
        for (member, value) in [
            ("aud", json!("https://auth.test/oauth2/token")), ("aud", json!(["https://auth.test"])),
            ("exp", json!(now + 300)), ("exp", json!(now - 30)), ("nbf", json!(now + 30)),
        ] {
            token(&app, &signed(&with(claims(&app, "robot"), member, value))).await.expect(200);
        }
        let named = post(&app, "/oauth2/token", &signed(&claims(&app, "robot")), &[GRANT, ("client_id", "robot")]).await;
        named.expect(200);
        let typed = Header { typ: Some("client-authentication+jwt".to_owned()), ..Header::new(Algorithm::ES256) };
        let typed = jsonwebtoken::encode(&typed, &claims(&app, "robot"), &key(Algorithm::ES256)).unwrap();
        token(&app, &typed).await.expect(200);
        // By its later name (RFC 9864).
        let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let said = format!("{}.{}", part(json!({ "alg": "Ed25519" })), part(claims(&app, "robot")));
        let signature = jsonwebtoken::crypto::sign(said.as_bytes(), &key(Algorithm::EdDSA), Algorithm::EdDSA).unwrap();
        token(&app, &format!("{said}.{signature}")).await.expect(200);
        token(&app, &format!("{}.{signature}", said.replace('.', "_."))).await.expect_oauth(401, "invalid_client");
        assert_eq!(app.database.count("SELECT count(*) FROM client_secrets").await, 0);
    }

    async fn who_has_signed_with_a_key_of_the_clients_is_told_what_is_wrong(app: TestApp) {
        keyed(&app, "robot").await;
        let now = app.clock.now().timestamp();
        let told = async |assertion: &str| token(&app, assertion).await.expect_oauth(401, "invalid_client").json()["error_description"].clone();
        let used = signed(&claims(&app, "robot"));
        token(&app, &used).await.expect(200);
        assert_eq!(told(&used).await, "client_assertion is refused: used before");
        let long = with(claims(&app, "robot"), "exp", json!(now + 3600));
        assert_eq!(told(&signed(&long)).await, "client_assertion is refused: good for more than five minutes");
        let nothing = "the client is not known, or does not prove who it is";
        let forged = signed(&long).rsplit_once('.').map(|(said, _)| format!("{said}.{}", "A".repeat(86))).unwrap();
        assert_eq!(told(&forged).await, nothing);
        let strangers = signed(&with(long, "sub", json!("nobody")));
        assert_eq!(told(&strangers).await, nothing);
    }

    async fn what_does_not_prove_it_is_refused(app: TestApp) {
        for id in ["robot", "other"] {
            keyed(&app, id).await;
        }
        let (now, good) = (app.clock.now().timestamp(), || claims(&app, "robot"));
        for (member, value) in [
            ("iss", json!("other")), ("sub", json!("other")), ("sub", json!("nobody")), ("aud", json!("https://other.test")), ("aud", json!([])),
            ("aud", json!("https://auth.test/oauth2/introspect")), ("aud", json!("https://auth.test/")), ("exp", json!(now - 60)), ("exp", json!(now + 361)),
            ("exp", json!(null)), ("exp", json!("soon")), ("nbf", json!(now + 61)), ("iat", json!(now + 61)), ("jti", json!(null)), ("jti", json!("")),
            ("jti", json!(7)), ("jti", json!("x".repeat(257))), ("iss", json!(null)), ("aud", json!(null)),
        ] {
            token(&app, &signed(&with(good(), member, value))).await.expect_oauth(401, "invalid_client");
        }
        let stranger = EncodingKey::from_secret(b"x");
        let by_secret = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &good(), &stranger).unwrap();
        // The public key, which everybody has, as a secret.
        let confused = EncodingKey::from_secret(fixture!("rsa-public.pem").as_bytes());
        let confused = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &good(), &confused).unwrap();
        let rs384 = jsonwebtoken::encode(&Header::new(Algorithm::RS384), &good(), &key(Algorithm::RS256)).unwrap();
        let typed = |typ: &str| {
            let header = Header { typ: Some(typ.to_owned()), ..Header::new(Algorithm::EdDSA) };
            jsonwebtoken::encode(&header, &good(), &key(Algorithm::EdDSA)).unwrap()
        };
        let elsewhere = Header { kid: Some("no-such-key".to_owned()), ..Header::new(Algorithm::ES256) };
        let elsewhere = jsonwebtoken::encode(&elsewhere, &good(), &key(Algorithm::ES256)).unwrap();
        let signature = signed(&good());
        let unsigned = format!("{}.", signature.rsplit_once('.').unwrap().0);
        for bad in [by_secret, confused, rs384, typed("at+jwt"), typed("dpop+jwt"), elsewhere, unsigned, "x".to_owned(), "a.b.c".to_owned(), "a".repeat(20_000)] {
            token(&app, &bad).await.expect_oauth(401, "invalid_client");
        }
        // One of ours is not one of theirs.
        let service = service(&app, "svc", "orders:write", &["https://auth.test"]).await;
        let access = service.token(&app, &[GRANT]).await.expect(200).access_token();
        token(&app, &access).await.expect_oauth(401, "invalid_client");
        for (form, error) in [
            (&[GRANT, ("client_assertion_type", JWT_BEARER)][..], "invalid_request"),
            (&[GRANT, ("client_assertion", &signed(&good()))], "invalid_request"),
            (&[GRANT, ("client_assertion", &signed(&good())), ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")], "invalid_client"),
            (&[GRANT, ("client_id", "robot")], "invalid_client"),
        ] {
            post_form(&app, "/oauth2/token", &[], form).await.expect_oauth(if error == "invalid_client" { 401 } else { 400 }, error);
        }
        post(&app, "/oauth2/token", &signed(&good()), &[GRANT, ("client_id", "other")]).await.expect_oauth(401, "invalid_client");
        let told = "SELECT count(*) FROM audit WHERE event = 'client_refused' AND subject = 'robot'";
        assert!(app.database.count(told).await > 10);
    }

    async fn one_proves_it_in_one_way_and_in_its_own(app: TestApp) {
        keyed(&app, "robot").await;
        let (svc, spa) = (service(&app, "svc", "orders:write", &[]).await, public_client(&app).await);
        let twice = post(&app, "/oauth2/token", &signed(&claims(&app, "robot")), &[GRANT, ("client_id", "robot"), ("client_secret", "x")]).await;
        twice.expect_oauth(400, "invalid_request");
        let by_header = [("client_assertion_type", JWT_BEARER), ("client_assertion", &signed(&claims(&app, "svc"))), GRANT];
        svc.token(&app, &by_header).await.expect_oauth(400, "invalid_request");
        for id in ["svc", "spa"] {
            token(&app, &signed(&claims(&app, id))).await.expect_oauth(401, "invalid_client");
        }
        // A secret does not come in by the side, not even one that is there.
        let secret = chancery::tokens::ClientSecret::random().unwrap();
        let id = chancery::domain::ClientId::parse("robot").unwrap();
        let mut tx = app.app.db.begin().await.unwrap();
        chancery::store::clients::add_secret(&mut tx, &id, &secret.digest(), app.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        let robot = crate::oauth2::support::Registered { id: "robot".to_owned(), secret: Some(secret.expose().to_owned()) };
        robot.token(&app, &[GRANT]).await.expect_oauth(401, "invalid_client");
        let in_body = [GRANT, ("client_id", "robot"), ("client_secret", secret.expose())];
        post_form(&app, "/oauth2/token", &[], &in_body).await.expect_oauth(401, "invalid_client");
        drop(spa);
    }

    async fn an_assertion_is_good_once_on_all_nodes(app: TestApp) {
        for id in ["robot", "other"] {
            keyed(&app, id).await;
        }
        let other = app.another_node(&[]).await;
        let nodes = [&app, &other];
        for round in 0..20 {
            let assertion = signed(&claims(&app, "robot"));
            let answers = join_all((0..16).map(|at| token(nodes[at % 2], &assertion))).await;
            let (right, wrong): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
            assert_eq!(right.len(), 1, "round {round}");
            // So many failures from one address at once are throttled, too.
            assert!(wrong.iter().all(|answer| answer.json()["error"] == "invalid_client"));
            app.advance(TimeDelta::hours(1));
        }
        let named = |id: &str| with(claims(&app, id), "jti", json!("the same"));
        token(&app, &signed(&named("robot"))).await.expect(200);
        token(&app, &signed(&named("other"))).await.expect(200);
        token(&app, &signed(&with(named("robot"), "aud", json!("https://auth.test/oauth2/token")))).await.expect_oauth(401, "invalid_client");
        app.advance(TimeDelta::minutes(4));
        chancery::flows::clean_up(&app.app).await.unwrap();
        assert_eq!(app.database.count("SELECT count(*) FROM replay_guard").await, 0);
        assert!(!app.database.holds("the same"));
    }

    async fn it_works_wherever_clients_show_who_they_are(app: TestApp) {
        app.register("ada@x.test").await;
        keyed(&app, "robot").await;
        let browser = Browser::new(&app);
        let robot = crate::oauth2::support::Registered { id: "robot".to_owned(), secret: None };
        let code = browser.code(&robot, "ada@x.test", &[("scope", "openid")]).await;
        let proof = || signed(&claims(&app, "robot"));
        let exchange = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
        let tokens = post(&app, "/oauth2/token", &proof(), &exchange).await.expect(200);
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh_token())];
        let tokens = post(&app, "/oauth2/token", &proof(), &refresh).await.expect(200);
        let shown = [("token", tokens.refresh_token())];
        let shown: Vec<(&str, &str)> = shown.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(post(&app, "/oauth2/introspect", &proof(), &shown).await.expect(200).json()["active"], true);
        post(&app, "/oauth2/revoke", &proof(), &shown).await.expect(200);
        assert_eq!(post(&app, "/oauth2/introspect", &proof(), &shown).await.expect(200).json(), json!({ "active": false }));
        for path in ["/oauth2/introspect", "/oauth2/revoke"] {
            post(&app, path, "x", &shown).await.expect_oauth(401, "invalid_client");
        }
    }

    async fn an_administrator_registers_public_keys_and_nothing_else(app: TestApp) {
        let admin = app.admin().await;
        let body = |jwks: Value| json!({
            "client_id": "robot", "client_name": "Robot", "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": ["client_credentials"], "scope": "orders:write", "jwks": jwks,
        });
        let private: Value = serde_json::from_str(fixture!("ed25519-private.jwk.json")).unwrap();
        for (jwks, said) in [
            (Value::Null, "needs a key set"), (json!({}), "no JWK Set"), (json!({ "keys": [] }), "no key"),
            (json!({ "keys": [private] }), "private half"), (json!({ "keys": [{ "kty": "oct", "k": "AAAA" }] }), "symmetric"),
            (json!({ "keys": vec![jwks()["keys"][2].clone(); 51] }), "at most 50"),
        ] {
            let refused = app.post_as(&admin, "/admin/clients", body(jwks)).await.expect_problem(422, "invalid_client_metadata");
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.starts_with("jwks: ") && detail.contains(said), "{detail}");
        }
        let with_secret = with(body(jwks()), "token_endpoint_auth_method", json!("client_secret_basic"));
        app.post_as(&admin, "/admin/clients", with_secret).await.expect_problem(422, "invalid_client_metadata");
        app.post_as(&admin, "/admin/clients", with(body(jwks()), "jwks_uri", json!("https://x.test"))).await.expect_problem(400, "invalid_json");
        let made = app.post_as(&admin, "/admin/clients", body(jwks())).await.expect(201).json();
        assert!(made.get("client_secret").is_none() && made["jwks"]["keys"].as_array().unwrap().len() == 3, "{made}");
        assert_eq!(app.get_as(&admin, "/admin/clients/robot").await.expect(200).json(), made);
        app.post_as(&admin, "/admin/clients/robot/secret", json!({})).await.expect_problem(422, "invalid_client_metadata");
        token(&app, &signed(&claims(&app, "robot"))).await.expect(200);
        // Keys that are taken away prove nothing any more.
        let change = json!({ "jwks": { "keys": [jwks()["keys"][1]] } });
        let changed = app.request_as(&admin, reqwest::Method::PATCH, "/admin/clients/robot", change).await.expect(200).json();
        assert_eq!(changed["jwks"]["keys"].as_array().unwrap().len(), 1);
        token(&app, &signed(&claims(&app, "robot"))).await.expect_oauth(401, "invalid_client");
        token(&app, &signed_with(Algorithm::ES256, &claims(&app, "robot"))).await.expect(200);
        let secret = json!({ "client_name": "S", "client_id": "s", "grant_types": ["client_credentials"] });
        app.post_as(&admin, "/admin/clients", secret).await.expect(201);
        let keys = json!({ "jwks": jwks() });
        app.request_as(&admin, reqwest::Method::PATCH, "/admin/clients/s", keys).await.expect_problem(422, "invalid_client_metadata");
    }
}
