//! What the suite asks of registration: 3rd Party-Init OP, and the modules of `oidcc-dynamic-certification-test-plan` that a server of
//! the code flow alone can pass. Who registers by themselves must use PKCE here, which the suite's own client does not.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::suite::{BACK, ISSUER, NONCE, Suite, modules};
use crate::oauth2::support::{CHALLENGE, Registered, VERIFIER};
use crate::support::{kids, part};

const WITH_QUERY: &str = "https://suite.test/test/a/chancery/callback?dummy1=lorem&dummy2=ipsum";
const PKCE: [(&str, &str); 2] = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];

/// What the suite registers.
fn said(own: Value) -> Value {
    let mut said = json!({
        "client_name": "suite", "grant_types": ["authorization_code"], "response_types": ["code"], "redirect_uris": [BACK],
        "token_endpoint_auth_method": "client_secret_basic", "contacts": ["certification@suite.test"],
    });
    said.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    said
}

/// The same run, as a client that has registered itself.
async fn registered(suite: Suite<'_>, own: Value) -> Suite<'_> {
    let answer = suite.app.post("/oauth2/register", said(own)).await.expect(201);
    assert!(answer.header("content-type").starts_with("application/json"));
    let made = answer.json();
    assert!(made["client_secret_expires_at"].is_i64() && made["registration_access_token"].is_string());
    assert!(made["registration_client_uri"].as_str().unwrap().starts_with("https://"));
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    suite.played_by(Registered { id: text("client_id"), secret: Some(text("client_secret")) })
}

modules! {
    form_post in [false];

    async fn oidcc_idtoken_rs256(suite: Suite<'_>) {
        let suite = registered(suite, json!({ "id_token_signed_response_alg": "RS256" })).await;
        let code = suite.code(&suite.authorize(&PKCE).await);
        let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", BACK), ("code_verifier", VERIFIER)];
        let tokens = suite.read(suite.token(&form).await, Some(NONCE)).await;
        let header = part(&tokens.id_token(), 0);
        assert!(header["alg"] == "RS256" && header["kid"].is_string(), "{header}");
        // An unsigned one the suite does not try where nobody says that there are any.
        let metadata = suite.app.get("/.well-known/openid-configuration").await.json();
        assert!(!metadata["id_token_signing_alg_values_supported"].as_array().unwrap().contains(&json!("none")));
    }

    async fn oidcc_ensure_redirect_uri_in_authorization_request(suite: Suite<'_>) {
        let suite = registered(suite, json!({ "redirect_uris": [BACK, "https://suite.test/test/a/chancery/two"] })).await;
        suite.browser.get(&suite.request(&[PKCE[0], PKCE[1], ("redirect_uri", "-")])).await.page(400);
    }

    async fn oidcc_redirect_uri_query_ok(suite: Suite<'_>) {
        let suite = registered(suite, json!({ "redirect_uris": [WITH_QUERY] })).await;
        let back = suite.authorize(&[PKCE[0], PKCE[1], ("redirect_uri", WITH_QUERY)]).await;
        assert_eq!((back["dummy1"].as_str(), back["dummy2"].as_str()), ("lorem", "ipsum"));
        let code = suite.code(&back);
        let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", WITH_QUERY), ("code_verifier", VERIFIER)];
        suite.read(suite.token(&form).await, Some(NONCE)).await;
    }

    async fn oidcc_redirect_uri_query_mismatch(suite: Suite<'_>) {
        let suite = registered(suite, json!({ "redirect_uris": [WITH_QUERY] })).await;
        for other in [&WITH_QUERY.replace("ipsum", "other"), BACK] {
            suite.browser.get(&suite.request(&[PKCE[0], PKCE[1], ("redirect_uri", other)])).await.page(400);
        }
    }

    async fn oidcc_redirect_uri_query_added(suite: Suite<'_>) {
        let suite = registered(suite, json!({})).await;
        suite.browser.get(&suite.request(&[PKCE[0], PKCE[1], ("redirect_uri", WITH_QUERY)])).await.page(400);
    }

    // Of `oidcc-3rdparty-init-login-certification-test-plan`, both.
    async fn oidcc_3rd_party_init_login(suite: Suite<'_>) {
        let uri = "https://suite.test/test/a/chancery/initiate_login";
        let wanted = said(json!({ "initiate_login_uri": uri }));
        let made = suite.app.post("/oauth2/register", wanted).await.expect(201).json();
        assert_eq!(made["initiate_login_uri"], uri);
        let path = made["registration_client_uri"].as_str().unwrap().strip_prefix(ISSUER).unwrap();
        let token = made["registration_access_token"].as_str().unwrap();
        let kept = suite.app.get_as(token, path).await.expect(200);
        assert!(kept.header("content-type").starts_with("application/json"));
        assert_eq!(kept.json()["initiate_login_uri"], uri);
        suite.app.delete_as(token, path).await.expect(204);
    }

    async fn oidcc_3rd_party_init_login_nohttps(suite: Suite<'_>) {
        let wanted = said(json!({ "initiate_login_uri": "http://suite.test/test/a/chancery/initiate_login" }));
        suite.app.post("/oauth2/register", wanted).await.expect_oauth(400, "invalid_client_metadata");
    }

    async fn oidcc_server_rotate_keys(suite: Suite<'_>) {
        let before = suite.app.get("/.well-known/jwks.json").await.json();
        suite.app.open_the_gate();
        let admin = suite.app.admin().await;
        suite.app.post_as(&admin, "/admin/keys/rotate", json!({})).await.expect(200);
        let after = suite.app.get("/.well-known/jwks.json").await.json();
        let (old, new): (BTreeSet<String>, BTreeSet<String>) = (kids(&before).into_iter().collect(), kids(&after).into_iter().collect());
        assert!(old.is_subset(&new) && new.len() == old.len() + 1, "{old:?} {new:?}");
        let moduli: BTreeSet<&str> = after["keys"].as_array().unwrap().iter().map(|key| key["n"].as_str().unwrap()).collect();
        assert_eq!(moduli.len(), new.len());
    }
}
