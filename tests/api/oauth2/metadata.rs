use serde_json::{Value, json};

use super::support::{Browser, CALLBACK, public_client, service};
use crate::support::{TestApp, on_both};

on_both! {
    async fn both_documents_say_the_same_and_what_they_say_is_there(app: TestApp) {
        let headers = [("host", "evil.test"), ("x-forwarded-host", "evil.test"), ("forwarded", "host=evil.test;proto=http")];
        let openid = app.send(reqwest::Method::GET, "/.well-known/openid-configuration", &headers, None).await.expect(200);
        assert_eq!(openid.header("access-control-allow-origin"), "*");
        let metadata = openid.json();
        assert_eq!(metadata, app.get("/.well-known/oauth-authorization-server").await.expect(200).json());
        assert_eq!(metadata["issuer"], "https://auth.test");
        assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(metadata["response_types_supported"], json!(["code"]));
        assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
        assert!(metadata["id_token_signing_alg_values_supported"].as_array().unwrap().contains(&json!("RS256")));
        for (name, value) in metadata.as_object().unwrap() {
            let Some(address) = value.as_str().filter(|_| name.ends_with("_endpoint") || name == "jwks_uri") else { continue };
            let path = address.strip_prefix("https://auth.test").unwrap();
            let answer = app.get(path).await;
            assert_ne!(answer.status, 404, "{name}");
        }
    }

    async fn whatever_is_listed_works_and_nothing_else_does(app: TestApp) {
        app.register("ada@x.test").await;
        let metadata = app.get("/.well-known/openid-configuration").await.json();
        let listed = |name: &str| -> Vec<String> {
            metadata[name].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
        };
        let (web, spa, browser) = (service(&app, "web", "openid profile email offline_access orders:write", &[]).await, public_client(&app).await, Browser::new(&app));
        let code = browser.code(&web, "ada@x.test", &[("scope", &listed("scopes_supported").join(" "))]).await;
        let mut tokens = web.exchange(&app, &code).await.expect(200);
        for grant in listed("grant_types_supported") {
            let (refresh, access) = (tokens.refresh_token(), tokens.access_token());
            let form: &[(&str, &str)] = match grant.as_str() {
                "authorization_code" => continue,
                "refresh_token" => &[("grant_type", "refresh_token"), ("refresh_token", &refresh)],
                "urn:ietf:params:oauth:grant-type:token-exchange" => &[
                    ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"), ("subject_token", &access),
                    ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
                ],
                "client_credentials" => &[("grant_type", "client_credentials")],
                // device.rs goes all the way.
                "urn:ietf:params:oauth:grant-type:device_code" => {
                    let begun = web.post(&app, "/oauth2/device_authorization", &[]).await.expect(200).json();
                    let asked = [("grant_type", grant.as_str()), ("device_code", begun["device_code"].as_str().unwrap())];
                    web.token(&app, &asked).await.expect_oauth(400, "authorization_pending");
                    continue;
                }
                other => panic!("{other} is listed and not tried"),
            };
            let answer = web.token(&app, form).await.expect(200);
            if grant == "refresh_token" {
                tokens = answer;
            }
        }
        for grant in ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer"] {
            web.token(&app, &[("grant_type", grant)]).await.expect_oauth(400, "unsupported_grant_type");
        }
        for mode in listed("response_modes_supported") {
            let answer = browser.get(&spa.authorize(&[("response_mode", &mode)])).await;
            assert!(answer.status == 303 || answer.text.contains("name=\"code\""), "{mode}");
        }
        for prompt in listed("prompt_values_supported") {
            let answer = browser.get(&spa.authorize(&[("prompt", &prompt)])).await;
            let refused = answer.header("location").contains("error=invalid_request");
            assert!(!refused, "{prompt}");
        }
        for method in listed("token_endpoint_auth_methods_supported") {
            assert!(["none", "client_secret_basic", "client_secret_post", "private_key_jwt"].contains(&method.as_str()), "{method} is listed and not tried");
        }
        for endpoint in ["token", "introspection", "revocation"] {
            let signing = listed(&format!("{endpoint}_endpoint_auth_signing_alg_values_supported"));
            assert_eq!(signing, ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"], "what client_assertion.rs tries");
        }
        assert_eq!(listed("dpop_signing_alg_values_supported"), ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"], "what dpop.rs tries");
        let info: Value = app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect(200).json();
        let id_token = crate::oauth2::support::claims(tokens.json()["id_token"].as_str().unwrap());
        let claims = listed("claims_supported");
        for name in info.as_object().unwrap().keys().chain(id_token.as_object().unwrap().keys()) {
            assert!(claims.contains(name) || name == "at_hash", "{name} is not listed");
        }
        assert_eq!((&metadata["acr_values_supported"], &metadata["claims_parameter_supported"]), (&json!([id_token["acr"]]), &json!(true)));
        assert_eq!(browser.get(&spa.authorize(&[("response_mode", "fragment")])).await.sent_to(CALLBACK)["error"], "invalid_request");
    }
}
