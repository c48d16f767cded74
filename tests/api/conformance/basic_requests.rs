//! Basic OP and Form Post OP, continued: what may stand in a request, and who has to sign in again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::suite::{BACK, NONCE, Suite, modules};
use crate::oauth2::support::{CHALLENGE, VERIFIER, post_form};

/// A request object that nobody has signed. How the answer shall come is said in it and nowhere else.
fn unsigned(suite: &Suite<'_>) -> String {
    let claims = json!({
        "client_id": suite.client.id, "response_type": "code", "redirect_uri": BACK, "scope": "openid", "nonce": NONCE, "state": "inside",
        "response_mode": suite.response_mode(),
    });
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", encode(&json!({ "alg": "none" })), encode(&claims))
}

modules! {
    form_post in [false, true];

    async fn oidcc_response_type_missing(suite: Suite<'_>) {
        let back = suite.silently(&[("response_type", "-")]).await;
        assert_eq!(suite.error(&back), "invalid_request");
    }

    async fn oidcc_ensure_request_without_nonce_succeeds_for_code_flow(suite: Suite<'_>) {
        let code = suite.code(&suite.authorize(&[("nonce", "-")]).await);
        suite.read(suite.exchange(&code).await, None).await;
        // That is OpenID Connect's word, and holds for nothing else.
        let back = suite.silently(&[("nonce", "-"), ("scope", "profile")]).await;
        assert_eq!(suite.error(&back), "invalid_request");
    }

    async fn oidcc_display_page(suite: Suite<'_>) {
        for display in ["page", "popup"] {
            suite.sign_in(&[("display", display)]).await;
        }
    }

    async fn oidcc_prompt_login(suite: Suite<'_>) {
        let first = suite.sign_in(&[]).await;
        suite.wait(1);
        let again = suite.code(&suite.signing_in(&[("prompt", "login")]).await);
        let second = suite.tokens(&again).await;
        assert!(second.id["auth_time"].as_i64() > first.id["auth_time"].as_i64());
    }

    async fn oidcc_prompt_none_not_logged_in(suite: Suite<'_>) {
        suite.long_state();
        let back = suite.silently(&[("prompt", "none")]).await;
        assert_eq!(suite.error(&back), "login_required");
    }

    async fn oidcc_prompt_none_logged_in(suite: Suite<'_>) {
        let first = suite.sign_in(&[]).await;
        suite.wait(1);
        let second = suite.tokens(&suite.code(&suite.silently(&[("prompt", "none")]).await)).await;
        assert_eq!((&first.id["sub"], &first.id["auth_time"]), (&second.id["sub"], &second.id["auth_time"]));
    }

    async fn oidcc_max_age_1(suite: Suite<'_>) {
        let first = suite.sign_in(&[]).await;
        suite.wait(2);
        let again = suite.code(&suite.signing_in(&[("max_age", "1")]).await);
        let second = suite.tokens(&again).await;
        assert!(second.id["auth_time"].as_i64() > first.id["auth_time"].as_i64());
        assert!((suite.app.clock.now().timestamp() - second.id["auth_time"].as_i64().unwrap()).abs() <= 1);
    }

    async fn oidcc_max_age_10000(suite: Suite<'_>) {
        let first = suite.sign_in(&[("max_age", "15000")]).await;
        suite.wait(1);
        let second = suite.tokens(&suite.code(&suite.silently(&[("max_age", "10000")]).await)).await;
        assert_eq!((&first.id["sub"], &first.id["auth_time"]), (&second.id["sub"], &second.id["auth_time"]));
    }

    async fn oidcc_ensure_request_with_unknown_parameter_succeeds(suite: Suite<'_>) {
        suite.sign_in(&[("extra", "foobar")]).await;
    }

    async fn oidcc_id_token_hint(suite: Suite<'_>) {
        let first = suite.sign_in(&[]).await;
        suite.wait(1);
        let back = suite.silently(&[("prompt", "none"), ("id_token_hint", &first.id_token())]).await;
        let second = suite.tokens(&suite.code(&back)).await;
        assert_eq!((&first.id["sub"], &first.id["auth_time"]), (&second.id["sub"], &second.id["auth_time"]));
    }

    async fn oidcc_login_hint(suite: Suite<'_>) {
        let page = suite.browser.get(&suite.request(&[("login_hint", "buffy@auth.test")])).await;
        assert!(page.text.contains("value=\"buffy@auth.test\""), "{}", page.text);
        let code = suite.code(&suite.follow(page).await);
        suite.tokens(&code).await;
    }

    // The pages are in English, whatever is asked for.
    async fn oidcc_ui_locales(suite: Suite<'_>) {
        for parameter in [("ui_locales", "se"), ("claims_locales", "se")] {
            suite.sign_in(&[parameter]).await;
        }
    }

    async fn oidcc_ensure_request_with_acr_values_succeeds(suite: Suite<'_>) {
        let metadata = suite.app.get("/.well-known/openid-configuration").await.json();
        let known = metadata["acr_values_supported"].as_array().unwrap().clone();
        let asked: Vec<&str> = known.iter().map(|value| value.as_str().unwrap()).collect();
        let tokens = suite.sign_in(&[("acr_values", &asked.join(" "))]).await;
        assert!(known.contains(&tokens.id["acr"]), "{}", tokens.id);
    }

    async fn oidcc_ensure_registered_redirect_uri(suite: Suite<'_>) {
        let other = format!("{BACK}/mGq4T7wZ2k");
        suite.browser.get(&suite.request(&[("redirect_uri", &other)])).await.page(400);
    }

    async fn oidcc_ensure_post_request_succeeds(suite: Suite<'_>) {
        let asked = suite.request(&[]);
        let query = asked.split_once('?').unwrap().1;
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        // From another site, so without cookies.
        let moved = post_form(suite.app, "/oauth2/authorize", &[], &pairs).await.expect(303);
        let page = suite.browser.get(moved.header("location")).await;
        let code = suite.code(&suite.follow(page).await);
        suite.tokens(&code).await;
    }

    // The suite then leaves request objects at that.
    async fn oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(suite: Suite<'_>) {
        let object = unsigned(&suite);
        let outside = [("state", "-"), ("nonce", "-"), ("response_mode", "-"), ("request", &object)];
        let back = suite.silently(&outside).await;
        assert_eq!((back["error"].as_str(), back["state"].as_str()), ("request_not_supported", "inside"));
        assert!(!back.contains_key("code"));
    }

    // The address outside the object is wrong, so an answer goes nowhere, and never to the one that is registered.
    async fn oidcc_ensure_request_object_with_redirect_uri(suite: Suite<'_>) {
        let (object, other) = (unsigned(&suite), format!("{BACK}/mGq4T7wZ2k"));
        suite.browser.get(&suite.request(&[("request", &object), ("redirect_uri", &other)])).await.page(400);
    }

    async fn oidcc_ensure_request_with_valid_pkce_succeeds(suite: Suite<'_>) {
        let asked = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
        let code = suite.code(&suite.authorize(&asked).await);
        let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", BACK), ("code_verifier", VERIFIER)];
        let tokens = suite.read(suite.token(&form).await, Some(NONCE)).await;
        suite.userinfo(&tokens).await;
    }
}
