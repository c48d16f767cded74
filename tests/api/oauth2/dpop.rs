//! Tokens that are bound to a key of the client's, and the proofs that one has it (RFC 9449).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chancery::domain::Scopes;
use chancery::domain::clients::{Client, GrantType, RedirectUri};
use chrono::TimeDelta;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::device;
use super::support::{
    Browser, CALLBACK, CHALLENGE, Registered, VERIFIER, claims, client, encode, public_client, register,
    service,
};
use crate::support::{Answer, Kind, PASSWORD, TestApp, bearer, on_both};

const TOKEN: &str = "https://auth.test/oauth2/token";
const USERINFO: &str = "https://auth.test/oauth2/userinfo";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const SERVICE: (&str, &str) = ("grant_type", "client_credentials");

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../keys-fixtures/", $name))
    };
}

/// A key pair in the client's hands.
#[derive(Clone, Copy)]
struct Key(Algorithm);

const ED: Key = Key(Algorithm::EdDSA);
const EC: Key = Key(Algorithm::ES256);

impl Key {
    fn private(self) -> EncodingKey {
        match self.0 {
            Algorithm::ES256 => EncodingKey::from_ec_pem(fixture!("p256-pkcs8.pem").as_bytes()),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(fixture!("ed25519-pkcs8.pem").as_bytes()),
            _ => EncodingKey::from_rsa_pem(fixture!("rsa-pkcs8.pem").as_bytes()),
        }
        .unwrap()
    }

    /// With what makes it this key and nothing else.
    fn jwk(self) -> Value {
        let text = match self.0 {
            Algorithm::ES256 => fixture!("p256-public.jwk.json"),
            Algorithm::EdDSA => fixture!("ed25519-public.jwk.json"),
            _ => fixture!("rsa-public.jwk.json"),
        };
        let mut jwk: Value = serde_json::from_str(text).unwrap();
        jwk.as_object_mut()
            .unwrap()
            .retain(|name, _| ["kty", "crv", "x", "y", "n", "e"].contains(&name.as_str()));
        jwk
    }

    fn header(self) -> Value {
        json!({ "typ": "dpop+jwt", "alg": format!("{:?}", self.0), "jwk": self.jwk() })
    }

    /// Its thumbprint, reckoned apart from the server's code: the members are in the order it wants them.
    fn jkt(self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.jwk().to_string().as_bytes());
        URL_SAFE_NO_PAD.encode(digest)
    }

    fn sign(self, header: &Value, claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.private(), self.0).unwrap();
        format!("{message}.{signature}")
    }

    fn proves(self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }

    fn for_token(self, app: &TestApp) -> String {
        self.proves(&says(app, "POST", TOKEN))
    }

    fn for_resource(self, app: &TestApp, method: &str, address: &str, token: &str) -> String {
        self.proves(&with(says(app, method, address), "ath", json!(ath(token))))
    }
}

fn says(app: &TestApp, method: &str, address: &str) -> Value {
    json!({ "jti": Uuid::new_v4(), "htm": method, "htu": address, "iat": app.clock.now().timestamp() })
}

fn ath(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes()))
}

fn with(mut object: Value, member: &str, value: Value) -> Value {
    object[member] = value;
    object
}

async fn shown(
    app: &TestApp,
    method: Method,
    path: &str,
    scheme: &str,
    token: &str,
    proofs: &[&str],
) -> Answer {
    let authorization = format!("{scheme} {token}");
    let mut headers = vec![("authorization", authorization.as_str())];
    headers.extend(proofs.iter().map(|proof| ("dpop", *proof)));
    app.send(method, path, &headers, None).await
}

async fn userinfo(app: &TestApp, token: &str, proof: &str) -> Answer {
    shown(app, Method::GET, "/oauth2/userinfo", "DPoP", token, &[proof]).await
}

impl Registered {
    async fn token_with(&self, app: &TestApp, proofs: &[&str], form: &[(&str, &str)]) -> Answer {
        let headers: Vec<(&str, &str)> = proofs.iter().map(|proof| ("dpop", *proof)).collect();
        self.post_with(app, "/oauth2/token", &headers, form).await
    }

    async fn exchange_with(&self, app: &TestApp, proofs: &[&str], code: &str) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.token_with(app, proofs, &form).await
    }

    /// Exchanges a user's token (RFC 8693).
    async fn trade(&self, app: &TestApp, proofs: &[&str], subject: &str, own: &[(&str, &str)]) -> Answer {
        let usual = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", subject),
            ("subject_token_type", ACCESS),
        ];
        self.token_with(app, proofs, &[&usual, own].concat()).await
    }

    async fn refresh_with(&self, app: &TestApp, proofs: &[&str], token: &str) -> Answer {
        self.token_with(app, proofs, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }
}

async fn robot(app: &TestApp) -> Registered {
    service(app, "robot", "orders:write keys:read", &["chancery"]).await
}

on_both! {
    async fn a_proof_binds_the_access_token_to_its_key(app: TestApp) {
        let robot = robot(&app).await;
        for alg in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA] {
            let key = Key(alg);
            let answer = robot.token_with(&app, &[&key.for_token(&app)], &[SERVICE]).await.expect(200);
            assert_eq!(answer.json()["token_type"], "DPoP", "{alg:?}");
            assert_eq!(claims(&answer.access_token())["cnf"], json!({ "jkt": key.jkt() }), "{alg:?}");
            let told = robot.post(&app, "/oauth2/introspect", &[("token", &answer.access_token())]).await.expect(200).json();
            assert_eq!((&told["active"], &told["token_type"]), (&json!(true), &json!("DPoP")));
            assert_eq!(told["cnf"], json!({ "jkt": key.jkt() }));
        }
        let plain = robot.token(&app, &[SERVICE]).await.expect(200);
        assert_eq!(plain.json()["token_type"], "Bearer");
        assert!(claims(&plain.access_token()).get("cnf").is_none());
        let told = robot.post(&app, "/oauth2/introspect", &[("token", &plain.access_token())]).await.expect(200).json();
        assert!(told["token_type"] == "Bearer" && told.get("cnf").is_none(), "{told}");
        assert_eq!(app.database.count("SELECT count(*) FROM replay_guard").await, 4, "without a proof nothing is written");
    }

    async fn a_proof_must_be_right_in_everything(app: TestApp) {
        let robot = robot(&app).await;
        let (header, good) = (ED.header(), || says(&app, "POST", TOKEN));
        let now = app.clock.now().timestamp();
        let private: Value = serde_json::from_str(fixture!("ed25519-private.jwk.json")).unwrap();
        for (member, value) in [
            ("typ", json!("JWT")), ("typ", json!("at+jwt")), ("typ", Value::Null), ("alg", json!("none")), ("alg", json!("HS256")),
            ("alg", json!("ES256")), ("jwk", private), ("jwk", EC.jwk()), ("jwk", json!({ "kty": "oct", "k": "AAAA" })),
            ("jwk", Value::Null), ("jwk", json!({ "kty": "RSA", "e": "AQAB", "n": "vw".repeat(80) })), ("crit", json!(["exp"])),
        ] {
            let proof = ED.sign(&with(header.clone(), member, value.clone()), &good());
            let refused = robot.token_with(&app, &[&proof], &[SERVICE]).await.expect_oauth(400, "invalid_dpop_proof");
            assert!(refused.json()["error_description"].is_string(), "{member} {value}");
        }
        for (member, value) in [
            ("htm", json!("GET")), ("htm", json!("post")), ("htu", json!(USERINFO)), ("htu", json!("http://auth.test/oauth2/token")),
            ("htu", json!(format!("{}/oauth2/token", app.address))), ("htu", json!("https://evil.test/oauth2/token")),
            ("iat", json!(now - 301)), ("iat", json!(now + 61)), ("iat", json!("now")), ("iat", Value::Null),
            ("jti", json!("")), ("jti", json!("x".repeat(257))), ("jti", Value::Null),
        ] {
            let proof = ED.proves(&with(good(), member, value.clone()));
            let refused = robot.token_with(&app, &[&proof], &[SERVICE]).await;
            assert_eq!(refused.json()["error"], "invalid_dpop_proof", "{member} {value}");
        }
        let signed_by_another = EC.sign(&header, &good());
        for proof in [signed_by_another.as_str(), "", "x", "a.b.c", "a.b.c.d.e"] {
            robot.token_with(&app, &[proof], &[SERVICE]).await.expect_oauth(400, "invalid_dpop_proof");
        }
        for twice in [[ED.for_token(&app), ED.for_token(&app)], [ED.for_token(&app), "x".to_owned()]] {
            let twice: Vec<&str> = twice.iter().map(String::as_str).collect();
            robot.token_with(&app, &twice, &[SERVICE]).await.expect_oauth(400, "invalid_dpop_proof");
        }
        for (member, value) in [
            ("htu", json!("HTTPS://AUTH.TEST:443/oauth2/token?x=1#y")), ("iat", json!(now - 300)), ("iat", json!(now + 60)), ("jti", json!("x".repeat(256))),
        ] {
            let proof = ED.proves(&with(good(), member, value.clone()));
            assert_eq!(robot.token_with(&app, &[&proof], &[SERVICE]).await.status, 200, "{member} {value}");
        }
        // What the request says of the host decides nothing.
        let elsewhere = ED.proves(&with(good(), "htu", json!("https://evil.test/oauth2/token")));
        let headers = [("host", "evil.test"), ("x-forwarded-host", "evil.test"), ("dpop", elsewhere.as_str())];
        robot.post_with(&app, "/oauth2/token", &headers, &[SERVICE]).await.expect_oauth(400, "invalid_dpop_proof");
    }

    async fn a_proof_is_good_once_on_all_nodes(app: TestApp) {
        let robot = robot(&app).await;
        let other = app.another_node(&[]).await;
        let nodes = [&app, &other];
        for round in 0..5 {
            let proof = ED.for_token(&app);
            let proofs = [proof.as_str()];
            let answers = join_all((0..16).map(|at| robot.token_with(nodes[at % 2], &proofs, &[SERVICE]))).await;
            let (right, wrong): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
            assert_eq!(right.len(), 1, "round {round}");
            for answer in wrong {
                answer.expect_oauth(400, "invalid_dpop_proof");
            }
        }
        let proof = ED.for_token(&app);
        robot.token_with(&app, &[&proof], &[SERVICE]).await.expect(200);
        app.advance(TimeDelta::minutes(5));
        robot.token_with(&other, &[&proof], &[SERVICE]).await.expect_oauth(400, "invalid_dpop_proof");
        chancery::flows::clean_up(&app.app).await.unwrap();
        robot.token_with(&app, &[&proof], &[SERVICE]).await.expect_oauth(400, "invalid_dpop_proof");
        let named = |key: Key| key.proves(&with(says(&app, "POST", TOKEN), "jti", json!("the same")));
        robot.token_with(&app, &[&named(ED)], &[SERVICE]).await.expect(200);
        robot.token_with(&app, &[&named(EC)], &[SERVICE]).await.expect(200);
        assert!(!app.database.holds("the same"));
        app.advance(TimeDelta::minutes(7));
        chancery::flows::clean_up(&app.app).await.unwrap();
        assert_eq!(app.database.count("SELECT count(*) FROM replay_guard").await, 0);
    }

    async fn a_bound_token_is_of_use_with_a_proof_of_its_key_and_only_so(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let answer = spa.exchange_with(&app, &[&ED.for_token(&app)], &code).await.expect(200);
        assert_eq!(answer.json()["token_type"], "DPoP");
        let token = answer.access_token();
        let proof = || ED.for_resource(&app, "GET", USERINFO, &token);
        assert_eq!(userinfo(&app, &token, &proof()).await.expect(200).json()["email"], "ada@x.test");
        let posted = ED.for_resource(&app, "POST", USERINFO, &token);
        shown(&app, Method::POST, "/oauth2/userinfo", "dpop", &token, &[&posted]).await.expect(200);

        for proofs in [vec![], vec![proof()]] {
            let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
            let refused = shown(&app, Method::GET, "/oauth2/userinfo", "Bearer", &token, &proofs).await.expect_oauth(401, "invalid_token");
            let challenge = refused.header("www-authenticate");
            assert!(challenge.starts_with("DPoP ") && challenge.contains(r#"error="invalid_token""#) && challenge.contains("algs=\"RS256 PS256 ES256 EdDSA Ed25519\""), "{challenge}");
        }
        let other_key = userinfo(&app, &token, &EC.for_resource(&app, "GET", USERINFO, &token)).await.expect_oauth(401, "invalid_token");
        assert!(other_key.header("www-authenticate").starts_with("DPoP error=\"invalid_token\""));
        let says = || says(&app, "GET", USERINFO);
        for wrong in [
            ED.proves(&says()),
            ED.proves(&with(says(), "ath", json!(ath("other")))),
            ED.for_resource(&app, "POST", USERINFO, &token),
            ED.for_resource(&app, "GET", TOKEN, &token),
            "x".to_owned(),
        ] {
            let refused = userinfo(&app, &token, &wrong).await.expect_oauth(401, "invalid_dpop_proof");
            assert!(refused.header("www-authenticate").starts_with("DPoP error=\"invalid_dpop_proof\""));
        }
        for proofs in [vec![], vec![proof(), proof()]] {
            let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
            shown(&app, Method::GET, "/oauth2/userinfo", "DPoP", &token, &proofs).await.expect_oauth(401, "invalid_dpop_proof");
        }
        let once = proof();
        let other = app.another_node(&[]).await;
        userinfo(&app, &token, &once).await.expect(200);
        userinfo(&app, &token, &once).await.expect_oauth(401, "invalid_dpop_proof");
        userinfo(&other, &token, &once).await.expect_oauth(401, "invalid_dpop_proof");

        // One that is bound to nothing is not shown so.
        let plain = spa.exchange(&app, &browser.get(&spa.authorize(&[])).await.returned_code()).await.expect(200);
        let plain = plain.access_token();
        let refused = userinfo(&app, &plain, &ED.for_resource(&app, "GET", USERINFO, &plain)).await.expect_oauth(401, "invalid_token");
        assert!(refused.header("www-authenticate").starts_with("DPoP "));
        app.get_as(&plain, "/oauth2/userinfo").await.expect(200);
        let bare = app.get("/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
        let offered: Vec<&str> = bare.headers.get_all("www-authenticate").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(offered, ["Bearer", r#"DPoP algs="RS256 PS256 ES256 EdDSA Ed25519""#]);
    }

    async fn operators_addresses_take_bound_tokens_too(app: TestApp) {
        let robot = service(&app, "robot", "keys:read", &["chancery"]).await;
        let token = robot.token_with(&app, &[&EC.for_token(&app)], &[SERVICE]).await.expect(200).access_token();
        let ask = async |path: &'static str, scheme: &'static str, proof: String| {
            shown(&app, Method::GET, path, scheme, &token, &[&proof]).await
        };
        let proof = |path: &str| EC.for_resource(&app, "GET", &format!("https://auth.test{path}"), &token);
        ask("/admin/keys", "DPoP", proof("/admin/keys")).await.expect(200);
        let narrow = ask("/admin/users", "DPoP", proof("/admin/users")).await.expect_problem(403, "insufficient_scope");
        assert!(narrow.header("www-authenticate").starts_with("DPoP error=\"insufficient_scope\", scope=\"users:read\""));
        let as_bearer = ask("/admin/keys", "Bearer", proof("/admin/keys")).await.expect_problem(401, "invalid_token");
        assert!(as_bearer.header("www-authenticate").starts_with("DPoP error=\"invalid_token\""));
        ask("/admin/keys", "DPoP", proof("/admin/users")).await.expect_problem(401, "invalid_dpop_proof");
        let once = proof("/admin/keys");
        let answers = join_all((0..16).map(|_| ask("/admin/keys", "DPoP", once.clone()))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        // Tokens of /auth are bearers' and nothing else.
        for path in ["/auth/me", "/auth/sessions"] {
            let address = format!("https://auth.test{path}");
            let refused = shown(&app, Method::GET, path, "DPoP", &token, &[&EC.for_resource(&app, "GET", &address, &token)]).await;
            assert_eq!(refused.expect_problem(401, "token_required").header("www-authenticate"), "Bearer");
            shown(&app, Method::GET, path, "Bearer", &token, &[]).await.expect_problem(401, "invalid_token");
        }
        let login = app.newcomer("ada@x.test").await.access_token();
        let proof = EC.for_resource(&app, "GET", "https://auth.test/auth/me", &login);
        shown(&app, Method::GET, "/auth/me", "DPoP", &login, &[&proof]).await.expect_problem(401, "token_required");
        shown(&app, Method::GET, "/auth/me", "Bearer", &login, &[&proof]).await.expect(200);
    }

    async fn a_code_may_be_bound_beforehand(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        for wrong in ["x", &"a".repeat(44), &format!("{}=", &ED.jkt()[..42])] {
            let sent = browser.get(&spa.authorize(&[("dpop_jkt", wrong)])).await.sent_to(CALLBACK);
            assert_eq!(sent["error"], "invalid_request", "{wrong}");
        }
        let jkt = ED.jkt();
        // Through the hosted pages as straight back.
        let first = browser.code(&spa, "ada@x.test", &[("dpop_jkt", &jkt)]).await;
        spa.exchange_with(&app, &[&EC.for_token(&app)], &first).await.expect_oauth(400, "invalid_grant");
        let code = async || browser.get(&spa.authorize(&[("dpop_jkt", &jkt)])).await.returned_code();
        // Who forgot to show the key may do so yet.
        let forgotten = code().await;
        spa.exchange(&app, &forgotten).await.expect_oauth(400, "invalid_dpop_proof");
        spa.exchange_with(&app, &[&ED.for_token(&app)], &forgotten).await.expect(200);
        spa.exchange_with(&app, &[&EC.for_token(&app)], &code().await).await.expect_oauth(400, "invalid_grant");
        // A proof that is wrong in itself uses nothing up.
        let bound = code().await;
        spa.exchange_with(&app, &["x"], &bound).await.expect_oauth(400, "invalid_dpop_proof");
        spa.exchange_with(&app, &[&ED.for_token(&app)], &bound).await.expect(200);
        // And of one that was used before, neither.
        let (proof, bound) = (ED.for_token(&app), code().await);
        spa.exchange_with(&app, &[&proof], &code().await).await.expect(200);
        spa.exchange_with(&app, &[&proof], &bound).await.expect_oauth(400, "invalid_dpop_proof");
        spa.exchange_with(&app, &[&ED.for_token(&app)], &bound).await.expect(200);
        let before = app.database.count("SELECT count(*) FROM replay_guard").await;
        spa.exchange_with(&app, &[&ED.for_token(&app)], "unknown").await.expect_oauth(400, "invalid_grant");
        spa.refresh_with(&app, &[&ED.for_token(&app)], "unknown").await.expect_oauth(400, "invalid_grant");
        assert_eq!(app.database.count("SELECT count(*) FROM replay_guard").await, before, "nobody fills the table for nothing");
    }

    async fn a_public_clients_refresh_tokens_are_bound_to_the_key(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let first = spa.exchange_with(&app, &[&ED.for_token(&app)], &code).await.expect(200);
        let stolen = first.refresh_token();
        spa.refresh(&app, &stolen).await.expect_oauth(400, "invalid_dpop_proof");
        spa.refresh_with(&app, &[&EC.for_token(&app)], &stolen).await.expect_oauth(400, "invalid_grant");
        let second = spa.refresh_with(&app, &[&ED.for_token(&app)], &stolen).await.expect(200);
        assert_eq!(second.json()["token_type"], "DPoP");
        assert_eq!(claims(&second.access_token())["cnf"]["jkt"], ED.jkt());
        // In the grace too, and what comes without the key ends nothing however old it is.
        spa.refresh_with(&app, &[&EC.for_token(&app)], &stolen).await.expect_oauth(400, "invalid_grant");
        let again = spa.refresh_with(&app, &[&ED.for_token(&app)], &stolen).await.expect(200);
        assert_eq!(again.refresh_token(), second.refresh_token());
        app.advance(TimeDelta::minutes(1));
        spa.refresh(&app, &stolen).await.expect_oauth(400, "invalid_dpop_proof");
        let other = app.another_node(&[]).await;
        let third = spa.refresh_with(&other, &[&ED.for_token(&app)], &second.refresh_token()).await.expect(200);
        // With the key an old one is a sign of theft, as ever.
        spa.refresh_with(&app, &[&ED.for_token(&app)], &stolen).await.expect_oauth(400, "invalid_grant");
        spa.refresh_with(&app, &[&ED.for_token(&app)], &third.refresh_token()).await.expect_oauth(400, "invalid_grant");

        // An answer that is given again in the grace binds to the key that is shown then.
        let plain = spa.exchange(&app, &browser.get(&spa.authorize(&[])).await.returned_code()).await.expect(200);
        spa.refresh(&app, &plain.refresh_token()).await.expect(200);
        let again = spa.refresh_with(&app, &[&ED.for_token(&app)], &plain.refresh_token()).await.expect(200);
        assert_eq!(again.json()["token_type"], "DPoP");
        spa.refresh(&app, &again.refresh_token()).await.expect_oauth(400, "invalid_dpop_proof");
        spa.refresh_with(&app, &[&ED.for_token(&app)], &again.refresh_token()).await.expect(200);

        // The first key that is shown is the one, whenever that is.
        let plain = spa.exchange(&app, &browser.get(&spa.authorize(&[])).await.returned_code()).await.expect(200);
        let plain = spa.refresh(&app, &plain.refresh_token()).await.expect(200);
        assert_eq!(plain.json()["token_type"], "Bearer");
        let bound = spa.refresh_with(&app, &[&EC.for_token(&app)], &plain.refresh_token()).await.expect(200);
        spa.refresh(&app, &bound.refresh_token()).await.expect_oauth(400, "invalid_dpop_proof");
        spa.refresh_with(&app, &[&ED.for_token(&app)], &bound.refresh_token()).await.expect_oauth(400, "invalid_grant");
        spa.refresh_with(&app, &[&EC.for_token(&app)], &bound.refresh_token()).await.expect(200);
    }

    async fn a_devices_session_is_bound_to_the_key_it_asked_with(app: TestApp) {
        app.register("ada@x.test").await;
        let tv = register(&app, &device::television(&app, "tv")).await;
        let codes = device::begin(&app, &tv, "openid").await;
        let asked = [("grant_type", device::DEVICE_CODE), ("device_code", codes.device.as_str())];
        // A proof that was shown for nothing is not used up.
        let proof = ED.for_token(&app);
        tv.token_with(&app, &[&proof], &asked).await.expect_oauth(400, "authorization_pending");
        device::decided(&Browser::new(&app), &codes, "allow").await;
        tv.token_with(&app, &["x.y.z"], &asked).await.expect_oauth(400, "invalid_dpop_proof");
        let tokens = tv.token_with(&app, &[&proof], &asked).await.expect(200);
        assert_eq!(tokens.json()["token_type"], "DPoP");
        assert_eq!(claims(&tokens.access_token())["cnf"]["jkt"], ED.jkt());
        app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
        let refresh = tokens.refresh_token();
        tv.refresh(&app, &refresh).await.expect_oauth(400, "invalid_dpop_proof");
        tv.refresh_with(&app, &[&EC.for_token(&app)], &refresh).await.expect_oauth(400, "invalid_grant");
        tv.refresh_with(&app, &[&ED.for_token(&app)], &refresh).await.expect(200);
    }

    async fn a_confidential_clients_refresh_tokens_are_not(app: TestApp) {
        app.register("ada@x.test").await;
        let (web, browser) = (service(&app, "web", "openid", &[]).await, Browser::new(&app));
        let code = browser.code(&web, "ada@x.test", &[("scope", "openid")]).await;
        let first = web.exchange_with(&app, &[&ED.for_token(&app)], &code).await.expect(200);
        assert_eq!(claims(&first.access_token())["cnf"]["jkt"], ED.jkt());
        let second = web.refresh_with(&app, &[&EC.for_token(&app)], &first.refresh_token()).await.expect(200);
        assert_eq!(claims(&second.access_token())["cnf"]["jkt"], EC.jkt());
        let third = web.refresh(&app, &second.refresh_token()).await.expect(200);
        assert_eq!(third.json()["token_type"], "Bearer");
        assert_eq!(app.database.count("SELECT count(*) FROM sessions WHERE dpop_jkt IS NOT NULL").await, 0);
    }

    async fn a_client_that_wants_bound_tokens_gets_no_others(app: TestApp) {
        app.register("ada@x.test").await;
        let wanted = Client { dpop_bound_access_tokens: true, ..client(&app, "bound") };
        let (bound, browser) = (register(&app, &wanted).await, Browser::new(&app));
        let code = browser.code(&bound, "ada@x.test", &[]).await;
        bound.exchange(&app, &code).await.expect_oauth(400, "invalid_dpop_proof");
        let tokens = bound.exchange_with(&app, &[&ED.for_token(&app)], &code).await.expect(200);
        bound.refresh(&app, &tokens.refresh_token()).await.expect_oauth(400, "invalid_dpop_proof");
        let wanted = Client { grant_types: [GrantType::ClientCredentials].into(), scopes: Scopes::parse("orders:write").unwrap(),
            auth_method: chancery::domain::clients::ClientAuthMethod::SecretPost, redirect_uris: Vec::<RedirectUri>::new(),
            dpop_bound_access_tokens: true, ..client(&app, "robot") };
        let robot = register(&app, &wanted).await;
        robot.token(&app, &[SERVICE]).await.expect_oauth(400, "invalid_dpop_proof");
        assert_eq!(robot.token_with(&app, &[&ED.for_token(&app)], &[SERVICE]).await.expect(200).json()["token_type"], "DPoP");
    }

    async fn an_administrator_says_that_tokens_must_be_bound(app: TestApp) {
        let admin = app.admin().await;
        let body = json!({ "client_id": "r", "client_name": "R", "grant_types": ["client_credentials"], "dpop_bound_access_tokens": true });
        let made = app.post_as(&admin, "/admin/clients", body).await.expect(201).json();
        assert_eq!(made["dpop_bound_access_tokens"], true);
        let robot = Registered { id: "r".to_owned(), secret: Some(made["client_secret"].as_str().unwrap().to_owned()) };
        robot.token(&app, &[SERVICE]).await.expect_oauth(400, "invalid_dpop_proof");
        let change = async |on: bool| {
            let body = json!({ "dpop_bound_access_tokens": on });
            app.request_as(&admin, Method::PATCH, "/admin/clients/r", body).await.expect(200).json()
        };
        assert_eq!(change(false).await["dpop_bound_access_tokens"], false);
        robot.token(&app, &[SERVICE]).await.expect(200);
        assert_eq!(change(true).await["dpop_bound_access_tokens"], true);
        robot.token(&app, &[SERVICE]).await.expect_oauth(400, "invalid_dpop_proof");
    }

    async fn browsers_may_send_proofs_and_read_nonces(app: TestApp) {
        for (path, method) in [("/oauth2/token", "POST"), ("/oauth2/par", "POST"), ("/oauth2/userinfo", "GET")] {
            let preflight = [
                ("origin", "https://app.test"), ("access-control-request-method", method),
                ("access-control-request-headers", "authorization,content-type,dpop"),
            ];
            let allowed = app.send(Method::OPTIONS, path, &preflight, None).await.expect(200);
            assert!(allowed.header("access-control-allow-headers").to_lowercase().contains("dpop"), "{path}");
            let answer = app.send(method.parse().unwrap(), path, &[("origin", "https://app.test")], None).await;
            assert!(answer.header("access-control-expose-headers").to_lowercase().contains("dpop-nonce"), "{path}");
            assert_eq!(answer.header("dpop-nonce"), "", "only where it is asked for");
        }
    }

    async fn a_bound_token_is_exchanged_for_nobody_without_its_key(app: TestApp) {
        app.register("ada@x.test").await;
        let (web, browser) = (service(&app, "web", "openid orders:write", &["orders"]).await, Browser::new(&app));
        let orders = service(&app, "orders", "openid orders:write", &["orders"]).await;
        let code = browser.code(&web, "ada@x.test", &[("scope", "openid")]).await;
        let subject = web.exchange_with(&app, &[&ED.for_token(&app)], &code).await.expect(200).access_token();
        let before = app.database.count("SELECT count(*) FROM replay_guard").await;
        // Neither the one it was given to nor a service it was shown to.
        for by in [&web, &orders] {
            by.trade(&app, &[], &subject, &[]).await.expect_oauth(400, "invalid_dpop_proof");
            by.trade(&app, &["x"], &subject, &[]).await.expect_oauth(400, "invalid_dpop_proof");
            by.trade(&app, &[&EC.for_token(&app)], &subject, &[]).await.expect_oauth(400, "invalid_request");
        }
        assert_eq!(app.database.count("SELECT count(*) FROM replay_guard").await, before);
        let proof = ED.for_token(&app);
        let traded = web.trade(&app, &[&proof], &subject, &[]).await.expect(200);
        assert_eq!((&traded.json()["token_type"], &claims(&traded.access_token())["cnf"]), (&json!("DPoP"), &json!({ "jkt": ED.jkt() })));
        web.trade(&app, &[&proof], &subject, &[]).await.expect_oauth(400, "invalid_dpop_proof");
        let once = ED.for_token(&app);
        let once = [once.as_str()];
        let answers = join_all((0..16).map(|_| web.trade(&app, &once, &subject, &[]))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);

        // One that is bound to no key becomes bound to the key that is proved, or stays as it is.
        let plain = web.exchange(&app, &browser.get(&web.authorize(&[("scope", "openid")])).await.returned_code()).await.expect(200).access_token();
        let bound = orders.trade(&app, &[&EC.for_token(&app)], &plain, &[]).await.expect(200);
        assert_eq!((&bound.json()["token_type"], &claims(&bound.access_token())["cnf"]["jkt"]), (&json!("DPoP"), &json!(EC.jkt())));
        let unbound = orders.trade(&app, &[], &plain, &[]).await.expect(200);
        assert!(unbound.json()["token_type"] == "Bearer" && claims(&unbound.access_token()).get("cnf").is_none());

        // What shows who acts is shown with its key, too.
        let actor = orders.token_with(&app, &[&EC.for_token(&app)], &[SERVICE]).await.expect(200).access_token();
        let acting = [("actor_token", actor.as_str()), ("actor_token_type", ACCESS)];
        orders.trade(&app, &[], &plain, &acting).await.expect_oauth(400, "invalid_dpop_proof");
        orders.trade(&app, &[&ED.for_token(&app)], &plain, &acting).await.expect_oauth(400, "invalid_request");
        orders.trade(&app, &[&EC.for_token(&app)], &plain, &acting).await.expect(200);
    }

    async fn a_pushed_request_may_prove_the_key(app: TestApp) {
        const PAR: &str = "https://auth.test/oauth2/par";
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        let push = async |proofs: &[&str], own: &[(&str, &str)]| {
            let asked = spa.authorize(own);
            let pairs: Vec<(String, String)> =
                url::form_urlencoded::parse(asked.split_once('?').unwrap().1.as_bytes()).into_owned().collect();
            let form: Vec<(&str, &str)> =
                pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).filter(|(name, _)| *name != "client_id").collect();
            let headers: Vec<(&str, &str)> = proofs.iter().map(|proof| ("dpop", *proof)).collect();
            spa.post_with(&app, "/oauth2/par", &headers, &form).await
        };
        let code = async |pushed: Answer| {
            let pushed = pushed.expect(201).json();
            let asked = [("client_id", spa.id.as_str()), ("request_uri", pushed["request_uri"].as_str().unwrap())];
            browser.get(&format!("/oauth2/authorize?{}", encode(&asked))).await.returned_code()
        };
        let proof = || ED.proves(&says(&app, "POST", PAR));
        let jkt = ED.jkt();
        for (proofs, own) in [
            (vec![proof()], vec![]),
            (vec![proof()], vec![("dpop_jkt", jkt.as_str())]),
            (vec![], vec![("dpop_jkt", jkt.as_str())]),
        ] {
            let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
            let bound = code(push(&proofs, &own).await).await;
            spa.exchange(&app, &bound).await.expect_oauth(400, "invalid_dpop_proof");
            let bound = code(push(&[&proof()], &own).await).await;
            spa.exchange_with(&app, &[&EC.for_token(&app)], &bound).await.expect_oauth(400, "invalid_grant");
            let bound = code(push(&[&proof()], &own).await).await;
            spa.exchange_with(&app, &[&ED.for_token(&app)], &bound).await.expect(200);
        }
        let other = EC.jkt();
        push(&[&proof()], &[("dpop_jkt", &other)]).await.expect_oauth(400, "invalid_dpop_proof");
        push(&[], &[("dpop_jkt", "x")]).await.expect_oauth(400, "invalid_request");
        push(&[&ED.for_token(&app)], &[]).await.expect_oauth(400, "invalid_dpop_proof");
        push(&[&proof(), &proof()], &[]).await.expect_oauth(400, "invalid_dpop_proof");
        let used = proof();
        push(&[&used], &[]).await.expect(201);
        push(&[&used], &[]).await.expect_oauth(400, "invalid_dpop_proof");
    }

    async fn an_application_that_registers_itself_may_want_bound_tokens(app: TestApp) {
        let (database, clock) = (std::sync::Arc::clone(&app.database), app.clock.clone());
        app.stop().await;
        let app = TestApp::start_on(database, clock, &[("CHANCERY_OAUTH__REGISTRATION", "open")]).await;
        let body = |wants: Value| {
            json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none", "dpop_bound_access_tokens": wants })
        };
        assert_eq!(app.post("/oauth2/register", body(Value::Null)).await.expect(201).json()["dpop_bound_access_tokens"], false);
        app.post("/oauth2/register", body(json!("yes"))).await.expect_oauth(400, "invalid_client_metadata");
        let made = app.post("/oauth2/register", body(json!(true))).await.expect(201).json();
        assert_eq!(made["dpop_bound_access_tokens"], true);
        app.register("ada@x.test").await;
        let wants = Registered { id: made["client_id"].as_str().unwrap().to_owned(), secret: None };
        let token = bearer(made["registration_access_token"].as_str().unwrap());
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        let path = format!("/oauth2/register/{}", wants.id);
        assert_eq!(app.send(Method::GET, &path, &headers, None).await.expect(200).json()["dpop_bound_access_tokens"], true);
        wants.exchange(&app, "code").await.expect_oauth(400, "invalid_dpop_proof");
        wants.exchange_with(&app, &[&ED.for_token(&app)], "code").await.expect_oauth(400, "invalid_grant");
        // What is left out of a change is as if it had never been said.
        let change = json!({ "client_id": wants.id, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none" }).to_string();
        assert_eq!(app.send(Method::PUT, &path, &headers, Some(change)).await.expect(200).json()["dpop_bound_access_tokens"], false);
        wants.exchange(&app, "code").await.expect_oauth(400, "invalid_grant");
    }

    async fn what_proves_nothing_is_not_remembered(app: TestApp) {
        let robot = robot(&app).await;
        let token = robot.token_with(&app, &[&ED.for_token(&app)], &[SERVICE]).await.expect(200).access_token();
        let plain = robot.token(&app, &[SERVICE]).await.expect(200).access_token();
        let before = app.database.count("SELECT count(*) FROM replay_guard").await;
        let keys = "https://auth.test/admin/keys";
        let ask = async |scheme: &'static str, token: &str, proof: &str| {
            shown(&app, Method::GET, "/admin/keys", scheme, token, &[proof]).await
        };
        for (scheme, token, proof) in [
            ("DPoP", "x", ED.for_resource(&app, "GET", keys, "x")),
            ("DPoP", &token, EC.for_resource(&app, "GET", keys, &token)),
            ("DPoP", &token, ED.for_resource(&app, "GET", keys, &plain)),
            ("DPoP", &plain, ED.for_resource(&app, "GET", keys, &plain)),
            ("Bearer", &token, ED.for_resource(&app, "GET", keys, &token)),
        ] {
            assert_eq!(ask(scheme, token, &proof).await.status, 401, "{scheme}");
        }
        // A bearer's token is what it is, whatever comes beside it.
        ask("Bearer", &plain, "x").await.expect(200);
        let stranger = Registered { id: "robot".to_owned(), secret: Some("wrong".to_owned()) };
        stranger.token_with(&app, &[&ED.for_token(&app)], &[SERVICE]).await.expect_oauth(401, "invalid_client");
        robot.token_with(&app, &[&ED.for_token(&app)], &[("grant_type", "password")]).await.expect_oauth(400, "unsupported_grant_type");
        robot.token_with(&app, &[&ED.for_token(&app)], &[SERVICE, ("scope", "users:write")]).await.expect_oauth(400, "invalid_scope");
        assert_eq!(app.database.count("SELECT count(*) FROM replay_guard").await, before);
    }

    async fn a_request_without_a_proof_asks_the_database_nothing_of_proofs(app: TestApp) {
        app.register("ada@x.test").await;
        let (web, browser) = (service(&app, "web", "openid orders:write", &["chancery"]).await, Browser::new(&app));
        app.database.execute("DROP TABLE replay_guard").await;
        let code = browser.code(&web, "ada@x.test", &[("scope", "openid")]).await;
        let tokens = web.exchange(&app, &code).await.expect(200);
        app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect(200);
        web.trade(&app, &[], &tokens.access_token(), &[]).await.expect(200);
        web.refresh(&app, &tokens.refresh_token()).await.expect(200);
        web.token(&app, &[SERVICE]).await.expect(200);
        let asked = [("response_type", "code"), ("redirect_uri", CALLBACK), ("scope", "openid"), ("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
        web.post(&app, "/oauth2/par", &asked).await.expect(201);
        // Where there is one, nothing goes without that table.
        assert!(web.token_with(&app, &[&ED.for_token(&app)], &[SERVICE]).await.status.is_server_error());
    }

    async fn the_address_is_the_one_the_issuer_tells(app: TestApp) {
        let (database, clock) = (std::sync::Arc::clone(&app.database), app.clock.clone());
        app.stop().await;
        // A proxy serves it below a path, and takes that off.
        let app = TestApp::start_on(database, clock, &[("CHANCERY_SERVER__ISSUER", "https://auth.test/id")]).await;
        let robot = robot(&app).await;
        robot.token_with(&app, &[&ED.for_token(&app)], &[SERVICE]).await.expect_oauth(400, "invalid_dpop_proof");
        let proof = ED.proves(&says(&app, "POST", "https://auth.test/id/oauth2/token"));
        let token = robot.token_with(&app, &[&proof], &[SERVICE]).await.expect(200).access_token();
        let proof = ED.for_resource(&app, "GET", "https://auth.test/id/admin/keys", &token);
        shown(&app, Method::GET, "/admin/keys?limit=1", "DPoP", &token, &[&proof]).await.expect(200);
    }
}

async fn with_nonces(kind: Kind) {
    let on = [("CHANCERY_OAUTH__DPOP_NONCE", "true")];
    let app = TestApp::start_with(kind, &on).await;
    app.register("ada@x.test").await;
    let (spa, browser) = (public_client(&app).await, Browser::new(&app));
    let code = browser.code(&spa, "ada@x.test", &[]).await;
    let told = |answer: &Answer| {
        assert_ne!(answer.header("dpop-nonce"), "", "{}", answer.text);
        answer.header("dpop-nonce").to_owned()
    };
    let proof = |nonce: &str| ED.proves(&with(says(&app, "POST", TOKEN), "nonce", json!(nonce)));
    // The code is still good afterwards.
    let asked =
        spa.exchange_with(&app, &[&ED.for_token(&app)], &code).await.expect_oauth(400, "use_dpop_nonce");
    spa.exchange_with(&app, &[&proof("x")], &code).await.expect_oauth(400, "use_dpop_nonce");
    let nonce = told(&asked);
    let tokens = spa.exchange_with(&app, &[&proof(&nonce)], &code).await.expect(200);
    assert_eq!(told(&tokens), nonce);
    let token = tokens.access_token();
    let at_resource = |nonce: &str| {
        let claims = with(says(&app, "GET", USERINFO), "ath", json!(ath(&token)));
        ED.proves(&with(claims, "nonce", json!(nonce)))
    };
    let asked = userinfo(&app, &token, &ED.for_resource(&app, "GET", USERINFO, &token)).await;
    let asked = asked.expect_oauth(401, "use_dpop_nonce");
    assert!(asked.header("www-authenticate").starts_with("DPoP error=\"use_dpop_nonce\""));
    assert_eq!(told(&asked), nonce);
    told(&userinfo(&app, &token, &at_resource(&nonce)).await.expect(200));
    // The nonce of the last window is good on every node, and older ones are not.
    let other = app.another_node(&on).await;
    app.advance(TimeDelta::minutes(5));
    let next = told(&userinfo(&other, &token, &at_resource(&nonce)).await.expect(200));
    assert_ne!(next, nonce);
    let refreshed = spa.refresh_with(&other, &[&proof(&next)], &tokens.refresh_token()).await.expect(200);
    assert_eq!(told(&refreshed), next);
    app.advance(TimeDelta::minutes(5));
    userinfo(&app, &refreshed.access_token(), &at_resource(&nonce))
        .await
        .expect_oauth(401, "invalid_dpop_proof");
    spa.refresh_with(&app, &[&proof(&nonce)], &refreshed.refresh_token())
        .await
        .expect_oauth(400, "use_dpop_nonce");
    // Whoever shows a proof is told one, whatever else is wrong, and others are not.
    for path in ["/admin/keys", "/oauth2/token", "/oauth2/par", "/oauth2/userinfo", "/auth/me"] {
        told(&app.send(Method::GET, path, &[("dpop", "x")], None).await);
        assert_eq!(app.get(path).await.header("dpop-nonce"), "");
    }
    let robot = robot(&app).await;
    let asked = robot.token_with(&app, &["x"], &[SERVICE]).await;
    let bound = robot.token_with(&app, &[&proof(&told(&asked))], &[SERVICE]).await;
    let bound = bound.expect(200).access_token();
    let address = "https://auth.test/admin/keys";
    let asked = shown(
        &app,
        Method::GET,
        "/admin/keys",
        "DPoP",
        &bound,
        &[&ED.for_resource(&app, "GET", address, &bound)],
    )
    .await;
    told(&asked.expect_problem(401, "use_dpop_nonce"));
    let login = app.try_login("ada@x.test", PASSWORD).await.expect(200);
    assert_eq!(login.header("dpop-nonce"), "");
    // Bearers are asked for nothing.
    let plain = robot.token(&app, &[SERVICE]).await.expect(200).access_token();
    app.send(Method::GET, "/admin/keys", &[("authorization", &bearer(&plain))], None).await.expect(200);
}

#[tokio::test]
async fn where_a_nonce_is_asked_for_a_proof_must_hold_one_sqlite() {
    with_nonces(Kind::Sqlite).await;
}

#[tokio::test]
async fn where_a_nonce_is_asked_for_a_proof_must_hold_one_postgres() {
    with_nonces(Kind::Postgres).await;
}
