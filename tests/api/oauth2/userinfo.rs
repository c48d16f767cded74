use reqwest::Method;
use serde_json::json;

use super::support::{Browser, public_client};
use crate::support::{PASSWORD, TestApp, bearer, on_both};

on_both! {
    async fn claims_follow_the_scope(app: TestApp) {
        let named = json!({ "email": "ada@x.test", "password": PASSWORD, "name": "Ada" });
        app.post("/auth/register", named).await.expect(201);
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let mut signed_in = false;
        for (scope, members) in [
            ("openid", vec!["sub"]),
            ("openid profile", vec!["name", "sub"]),
            ("openid email", vec!["email", "email_verified", "sub"]),
            ("openid email profile", vec!["email", "email_verified", "name", "sub"]),
        ] {
            let page = browser.get(&spa.authorize(&[("scope", scope)])).await;
            let back = if signed_in { page } else { browser.sign_in(&page, "ada@x.test", PASSWORD).await };
            signed_in = true;
            let tokens = spa.exchange(&app, &back.returned_code()).await.expect(200);
            let headers = [("authorization", bearer(&tokens.access_token()))];
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            for method in [Method::GET, Method::POST] {
                let info = app.send(method, "/oauth2/userinfo", &headers, None).await.expect(200).json();
                assert_eq!(info.as_object().unwrap().keys().collect::<Vec<_>>(), members, "{scope}");
                assert_eq!(info["sub"], crate::oauth2::support::claims(&tokens.access_token())["sub"]);
            }
        }
    }

    async fn a_bearer_is_needed_and_only_in_the_header(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let token = spa.exchange(&app, &code).await.expect(200).access_token();
        let bare = app.get("/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
        assert_eq!(bare.header("www-authenticate"), "Bearer");
        let bad = app.get_as("x.y.z", "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
        assert!(bad.header("www-authenticate").contains("invalid_token"));
        app.get(&format!("/oauth2/userinfo?access_token={token}")).await.expect_oauth(401, "invalid_token");
        let form = [("content-type", "application/x-www-form-urlencoded"), ("authorization", &bearer(&token))];
        let both = app.send(Method::POST, "/oauth2/userinfo", &form, Some(format!("access_token={token}"))).await;
        both.expect_oauth(400, "invalid_request");
        let login = app.login("ada@x.test").await;
        let narrow = app.get_as(&login.access_token(), "/oauth2/userinfo").await.expect_oauth(403, "insufficient_scope");
        assert!(narrow.header("www-authenticate").contains("scope=\"openid\""));
    }
}
