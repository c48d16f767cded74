use chrono::TimeDelta;
use serde_json::{Value, json};

use super::support::{Browser, Registered, post_form, public_client, service};
use crate::support::{TestApp, on_both};

async fn ask(app: &TestApp, asker: &Registered, token: &str) -> Value {
    asker.post(app, "/oauth2/introspect", &[("token", token)]).await.expect(200).json()
}

on_both! {
    async fn a_service_learns_of_tokens_that_are_its_business(app: TestApp) {
        let orders = service(&app, "orders", "orders:write", &["orders"]).await;
        let stock = service(&app, "stock", "orders:write", &["stock"]).await;
        let robot = service(&app, "robot", "orders:write", &["orders"]).await;
        let token = robot.token(&app, &[("grant_type", "client_credentials")]).await.expect(200).access_token();
        let told = ask(&app, &orders, &token).await;
        for (name, value) in [("active", json!(true)), ("client_id", json!("robot")), ("sub", json!("robot")), ("scope", json!("orders:write")), ("token_type", json!("Bearer")), ("iss", json!("https://auth.test")), ("aud", json!(["orders"]))] {
            assert_eq!(told[name], value, "{name}");
        }
        assert_eq!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap(), 600);
        assert_eq!(ask(&app, &stock, &token).await, json!({ "active": false }));
        let hinted = [("token", token.as_str()), ("token_type_hint", "refresh_token")];
        assert_eq!(orders.post(&app, "/oauth2/introspect", &hinted).await.expect(200).json()["active"], true);
        app.advance(TimeDelta::minutes(11));
        assert_eq!(ask(&app, &orders, &token).await, json!({ "active": false }));
    }

    async fn whoever_cannot_show_who_they_are_learns_nothing(app: TestApp) {
        let spa = public_client(&app).await;
        spa.post(&app, "/oauth2/introspect", &[("token", "x")]).await.expect_oauth(401, "invalid_client");
        post_form(&app, "/oauth2/introspect", &[], &[("token", "x")]).await.expect_oauth(401, "invalid_client");
        let orders = service(&app, "orders", "orders:write", &[]).await;
        let wrong = Registered { id: orders.id.clone(), secret: Some("wrong".to_owned()) };
        wrong.post(&app, "/oauth2/introspect", &[("token", "x")]).await.expect_oauth(401, "invalid_client");
        orders.post(&app, "/oauth2/introspect", &[]).await.expect_oauth(400, "invalid_request");
        app.get("/oauth2/introspect").await.expect_oauth(405, "invalid_request");
        for garbage in ["x", "a.b.c", "crt_AAAA", "cac_AAAA", &"a".repeat(20_000)] {
            assert_eq!(ask(&app, &orders, garbage).await, json!({ "active": false }), "{garbage:.20}");
        }
    }

    async fn a_users_tokens_are_active_as_long_as_their_session(app: TestApp) {
        app.register("ada@x.test").await;
        let (web, browser) = (service(&app, "web", "openid email", &[]).await, Browser::new(&app));
        let code = browser.code(&web, "ada@x.test", &[("scope", "openid email")]).await;
        let tokens = web.exchange(&app, &code).await.expect(200);
        let (access, refresh) = (tokens.access_token(), tokens.refresh_token());
        assert_eq!(ask(&app, &web, &access).await["active"], true);
        let told = ask(&app, &web, &refresh).await;
        assert_eq!((&told["active"], &told["scope"]), (&json!(true), &json!("email openid")));
        let other = service(&app, "other", "openid", &["chancery"]).await;
        assert_eq!(ask(&app, &other, &refresh).await, json!({ "active": false }), "another client's");
        let next = web.refresh(&app, &refresh).await.expect(200);
        assert_eq!(ask(&app, &web, &refresh).await, json!({ "active": false }), "used up");
        app.database.execute("UPDATE users SET status = 'disabled'").await;
        for token in [&access, &next.refresh_token()] {
            assert_eq!(ask(&app, &web, token).await, json!({ "active": false }));
        }
    }

    async fn a_token_of_a_revoked_key_is_dead(app: TestApp) {
        let orders = service(&app, "orders", "orders:write", &["orders"]).await;
        let token = orders.token(&app, &[("grant_type", "client_credentials")]).await.expect(200).access_token();
        assert_eq!(ask(&app, &orders, &token).await["active"], true);
        let admin = app.admin().await;
        let kid = crate::support::part(&token, 0)["kid"].as_str().unwrap().to_owned();
        app.post_as(&admin, &format!("/admin/keys/{kid}/revoke"), json!({ "reason": "stolen" })).await.expect(200);
        assert_eq!(ask(&app, &orders, &token).await, json!({ "active": false }));
    }

    async fn revoking_ends_the_session_and_only_ones_own(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let other = service(&app, "other", "openid", &[]).await;
        let orders = service(&app, "orders", "openid", &["chancery"]).await;
        for by_refresh in [true, false] {
            let page = browser.get(&spa.authorize(&[])).await;
            let back = if page.status == 200 { browser.sign_in(&page, "ada@x.test", crate::support::PASSWORD).await } else { page };
            let tokens = spa.exchange(&app, &back.returned_code()).await.expect(200);
            let shown = if by_refresh { tokens.refresh_token() } else { tokens.access_token() };
            other.post(&app, "/oauth2/revoke", &[("token", &shown)]).await.expect(200);
            assert_eq!(ask(&app, &orders, &tokens.access_token()).await["active"], true, "another client's stays");
            for _ in 0..2 {
                spa.post(&app, "/oauth2/revoke", &[("token", &shown), ("token_type_hint", "whatever")]).await.expect(200);
            }
            assert_eq!(ask(&app, &orders, &tokens.access_token()).await, json!({ "active": false }));
            app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
            spa.refresh(&app, &tokens.refresh_token()).await.expect_oauth(400, "invalid_grant");
        }
        for unknown in ["x", "crt_AAAA", "a.b.c"] {
            spa.post(&app, "/oauth2/revoke", &[("token", unknown)]).await.expect(200);
        }
        spa.post(&app, "/oauth2/revoke", &[]).await.expect_oauth(400, "invalid_request");
        post_form(&app, "/oauth2/revoke", &[], &[("token", "x"), ("client_id", "other")]).await.expect_oauth(401, "invalid_client");
    }
}
