use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;

use crate::support::{TestApp, kids, on_both};

on_both! {
    async fn the_key_set_is_what_verifiers_expect(app: TestApp) {
        let answer = app.get("/.well-known/jwks.json").await.expect(200);
        assert_eq!(answer.header("content-type"), "application/jwk-set+json");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let body = answer.json();
        let mut names = kids(&body);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), body["keys"].as_array().unwrap().len(), "no kid twice");
        for key in body["keys"].as_array().unwrap() {
            let members: Vec<&String> = key.as_object().unwrap().keys().collect();
            assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
            assert_eq!((&key["kty"], &key["use"], &key["alg"], &key["e"]), (&json!("RSA"), &json!("sig"), &json!("RS256"), &json!("AQAB")));
            let modulus = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).expect("base64url, not padded");
            assert!(modulus.len() == 256 && modulus[0] >= 0x80, "2048 bits, and no zero in front (RFC 7518 section 6.3.1.1)");
            let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).unwrap();
            assert_eq!(jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap(), key["kid"].as_str().unwrap());
        }
    }

    async fn an_unchanged_set_is_304(app: TestApp) {
        let answer = app.get("/.well-known/jwks.json").await;
        let etag = answer.header("etag").to_owned();
        assert!(etag.starts_with('"') && etag.ends_with('"'), "a strong validator");
        assert_eq!(answer.header("cache-control"), "public, max-age=300, stale-if-error=86400");
        let ask = async |tag: &str| app.send(Method::GET, "/.well-known/jwks.json", &[("if-none-match", tag)], None).await;
        for known in [etag.as_str(), &format!("W/{etag}"), &format!("\"other\", {etag}"), "*"] {
            let unchanged = ask(known).await.expect(304);
            assert_eq!(unchanged.text, "");
            assert_eq!(unchanged.header("etag"), etag);
            assert_eq!(unchanged.header("cache-control"), answer.header("cache-control"));
        }
        for other in ["\"other\"", "", "garbage", &etag[1..]] {
            ask(other).await.expect(200);
        }
        let head = app.send(Method::HEAD, "/.well-known/jwks.json", &[], None).await.expect(200);
        assert_eq!((head.text.as_str(), head.header("etag")), ("", etag.as_str()));

        let admin = app.admin().await;
        app.post_as(&admin, "/admin/keys/rotate", json!({ "force": true, "reason": "test" })).await.expect(200);
        let changed = ask(&etag).await.expect(200);
        assert_ne!(changed.header("etag"), etag);
    }

    async fn caches_come_back_when_the_schedule_is_near(app: TestApp) {
        app.advance(TimeDelta::days(30) - TimeDelta::seconds(40));
        // A view that is too old to vouch for is not to be kept for long either.
        let answer = app.get("/.well-known/jwks.json").await;
        assert_eq!(answer.header("cache-control"), "public, max-age=5, stale-if-error=86400");
        app.get("/health/ready").await.expect(200);
        let answer = app.get("/.well-known/jwks.json").await;
        assert_eq!(answer.header("cache-control"), "public, max-age=40, stale-if-error=86400");
    }

    async fn browsers_anywhere_may_ask(app: TestApp) {
        let asks = [("origin", "https://anywhere.test"), ("access-control-request-method", "GET"), ("access-control-request-headers", "if-none-match")];
        let preflight = app.send(Method::OPTIONS, "/.well-known/jwks.json", &asks, None).await.expect(204);
        assert_eq!(preflight.header("access-control-allow-origin"), "*");
        assert_eq!(preflight.header("access-control-allow-headers"), "*");
        assert_eq!(preflight.header("access-control-allow-credentials"), "");
    }

    async fn both_metadata_documents_lead_to_the_keys_whoever_the_request_says_we_are(app: TestApp) {
        let lies = [("host", "evil.test"), ("x-forwarded-host", "evil.test"), ("x-forwarded-proto", "http"), ("forwarded", "host=evil.test")];
        for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
            let document = app.send(Method::GET, path, &lies, None).await.expect(200).json();
            assert_eq!(document["issuer"], "https://auth.test");
            assert_eq!(document["jwks_uri"], "https://auth.test/.well-known/jwks.json");
            assert_eq!(document["id_token_signing_alg_values_supported"], json!(["RS256"]));
        }
    }
}
