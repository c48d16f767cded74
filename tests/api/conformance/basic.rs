//! Basic OP and Form Post OP (`oidcc-basic-certification-test-plan`, `oidcc-formpost-basic-certification-test-plan`): tokens,
//! userinfo, and what becomes of codes.

use std::collections::BTreeSet;

use chancery::domain::clients::{Client, ClientAuthMethod};
use reqwest::Method;
use serde_json::{Value, json};

use super::suite::{BACK, NONCE, Suite, entropy, is_error_text, modules, suite_client};
use crate::oauth2::support::{encode, post_form, register};
use crate::support::{bearer, part};

fn members(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

modules! {
    form_post in [false, true];

    async fn oidcc_server(suite: Suite<'_>) {
        let tokens = suite.sign_in(&[]).await;
        assert_eq!(part(&tokens.id_token(), 0)["alg"], "RS256");
        assert!(tokens.id.get("name").is_none() && tokens.id.get("email").is_none());
    }

    async fn oidcc_userinfo_get(suite: Suite<'_>) {
        let tokens = suite.sign_in(&[]).await;
        assert_eq!(suite.userinfo(&tokens).await, json!({ "sub": tokens.id["sub"] }));
    }

    async fn oidcc_userinfo_post_header(suite: Suite<'_>) {
        let tokens = suite.sign_in(&[]).await;
        let header = [("authorization", bearer(&tokens.answer.access_token()))];
        let header = [(header[0].0, header[0].1.as_str())];
        let info = suite.app.send(Method::POST, "/oauth2/userinfo", &header, None).await.expect(200);
        assert!(info.header("content-type").starts_with("application/json"));
        assert_eq!(info.json()["sub"], tokens.id["sub"]);
    }

    // A warning: the specifications leave it to the server, and this one takes no token in a body.
    async fn oidcc_userinfo_post_body(suite: Suite<'_>) {
        let token = suite.sign_in(&[]).await.answer.access_token();
        let refused = post_form(suite.app, "/oauth2/userinfo", &[], &[("access_token", &token)]).await;
        let refused = refused.expect_oauth(400, "invalid_request");
        assert!(refused.header("www-authenticate").starts_with("Bearer error=\"invalid_request\""));
    }

    async fn oidcc_scope_profile(suite: Suite<'_>) {
        let tokens = suite.sign_in(&[("scope", "openid profile")]).await;
        let info = suite.userinfo(&tokens).await;
        assert_eq!(info, json!({ "sub": tokens.id["sub"], "name": "Demo T. User" }));
        // A warning: an account has one name, and none of the thirteen other claims that this scope may have.
        let standard = [
            "name", "given_name", "family_name", "middle_name", "nickname", "profile", "picture", "website", "gender", "birthdate",
            "zoneinfo", "locale", "updated_at", "preferred_username",
        ];
        assert_eq!(standard.iter().filter(|claim| info.get(**claim).is_none()).count(), 13);
    }

    async fn oidcc_scope_email(suite: Suite<'_>) {
        let tokens = suite.sign_in(&[("scope", "openid email")]).await;
        let info = suite.userinfo(&tokens).await;
        assert_eq!(members(&info), BTreeSet::from(["sub", "email", "email_verified"]));
        assert_eq!((&info["email"], info["email_verified"].is_boolean()), (&json!(suite.email), true));
    }

    // The suite leaves these two and `oidcc-scope-all` out where the metadata do not name their scopes.
    async fn oidcc_scope_address(suite: Suite<'_>) {
        let metadata = suite.app.get("/.well-known/openid-configuration").await.json();
        let named = metadata["scopes_supported"].as_array().unwrap().clone();
        assert!(!named.contains(&json!("address")) && !named.contains(&json!("phone")), "{named:?}");
        for scope in ["openid address", "openid phone"] {
            let back = suite.authorize(&[("scope", scope)]).await;
            assert_eq!(suite.error(&back), "invalid_scope", "{scope}");
        }
    }

    async fn oidcc_alternate_happy_flow(suite: Suite<'_>) {
        let asked = suite.request(&[("scope", "email openid")]);
        let query = asked.split_once('?').unwrap().1;
        let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        pairs.reverse();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let page = suite.browser.get(&format!("/oauth2/authorize?{}", encode(&pairs))).await;
        let code = suite.code(&suite.follow(page).await);
        let tokens = suite.tokens(&code).await;
        assert_eq!(suite.userinfo(&tokens).await["email"], json!(suite.email));
    }

    async fn oidcc_claims_essential(suite: Suite<'_>) {
        let wish = r#"{"userinfo":{"name":{"essential":true}}}"#;
        let tokens = suite.sign_in(&[("claims", wish)]).await;
        assert_eq!(suite.userinfo(&tokens).await, json!({ "sub": tokens.id["sub"], "name": "Demo T. User" }));
        assert!(tokens.id.get("name").is_none());
    }

    async fn oidcc_server_client_secret_post(suite: Suite<'_>) {
        let id = format!("{}-secret-post", suite.client.id);
        let wanted = Client { auth_method: ClientAuthMethod::SecretPost, ..suite_client(suite.app, &id) };
        let post = register(suite.app, &wanted).await;
        let post = suite.played_by(post);
        let code = post.code(&post.authorize(&[]).await);
        let secret = post.client.secret.clone().unwrap();
        let form = [
            ("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", BACK), ("client_id", &id), ("client_secret", &secret),
        ];
        let answer = post_form(post.app, "/oauth2/token", &[], &form).await;
        let tokens = post.read(answer, Some(NONCE)).await;
        assert_eq!(post.userinfo(&tokens).await["sub"], tokens.id["sub"]);
    }

    async fn oidcc_codereuse(suite: Suite<'_>) {
        let code = suite.code(&suite.authorize(&[]).await);
        suite.tokens(&code).await;
        let refused = suite.exchange(&code).await.expect_oauth(400, "invalid_grant");
        assert!(refused.json()["error_description"].as_str().is_none_or(is_error_text), "{}", refused.text);
    }

    async fn oidcc_codereuse_30seconds(suite: Suite<'_>) {
        let code = suite.code(&suite.authorize(&[]).await);
        let tokens = suite.tokens(&code).await;
        suite.wait(30);
        suite.exchange(&code).await.expect_oauth(400, "invalid_grant");
        // What was got for it before has ended with it.
        suite.app.get_as(&tokens.answer.access_token(), "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
    }

    async fn oidcc_refresh_token(suite: Suite<'_>) {
        let metadata = suite.app.get("/.well-known/openid-configuration").await.json();
        assert!(metadata["grant_types_supported"].as_array().unwrap().contains(&json!("refresh_token")));
        let offline = [("scope", "openid offline_access"), ("prompt", "consent")];
        let first = suite.sign_in(&offline).await;
        suite.wait(1);
        let (token, scope) = (first.answer.refresh_token(), ("scope", "openid offline_access"));
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), scope];
        let second = suite.read(suite.token(&form).await, None).await;
        for same in ["iss", "sub", "aud", "auth_time"] {
            assert_eq!(first.id[same], second.id[same], "{same}");
        }
        assert!(second.id["iat"].as_i64() > first.id["iat"].as_i64());
        assert_ne!(first.answer.access_token(), second.answer.access_token());
        assert!(entropy(&second.answer.refresh_token()) > 96.0);
        suite.userinfo(&second).await;

        // Another client, which leaves the scope out and has a longer nonce; and what it got is of no use to the first.
        let id = format!("{}-two", suite.client.id);
        let other = register(suite.app, &suite_client(suite.app, &id)).await;
        let mut suite = suite;
        let first_client = std::mem::replace(&mut suite.client, other);
        let nonce = "n".repeat(43);
        let back = suite.authorize(&[offline[0], offline[1], ("nonce", &nonce)]).await;
        let tokens = suite.read(suite.exchange(&suite.code(&back)).await, Some(&nonce)).await;
        suite.wait(1);
        let token = tokens.answer.refresh_token();
        let other = suite.read(suite.token(&[("grant_type", "refresh_token"), ("refresh_token", &token)]).await, None).await;
        suite.client = first_client;
        let form = [("grant_type", "refresh_token"), ("refresh_token", &other.answer.refresh_token()), scope];
        suite.token(&form).await.expect_oauth(400, "invalid_grant");
    }
}
