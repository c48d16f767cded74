//! How clients prove who they are at the token endpoint, and service accounts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;

use super::support::{claims, encode, post_form, public_client, service};
use crate::support::{TestApp, on_both};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

on_both! {
    async fn a_service_gets_tokens_for_itself(app: TestApp) {
        let robot = service(&app, "robot", "openid orders:write keys:read", &["orders"]).await;
        let before = app.database.count("SELECT count(*) FROM audit").await;
        let answer = robot.token(&app, &[GRANT]).await.expect(200);
        let tokens = answer.json();
        assert_eq!(tokens["scope"], "keys:read orders:write", "what is a user's is not a service's");
        for absent in ["refresh_token", "id_token", "refresh_expires_in"] {
            assert!(tokens.get(absent).is_none(), "{absent}");
        }
        let access = claims(&answer.access_token());
        for (name, value) in [("sub", json!("robot")), ("client_id", json!("robot")), ("aud", json!("orders")), ("iss", json!("https://auth.test"))] {
            assert_eq!(access[name], value, "{name}");
        }
        for absent in ["sid", "auth_time", "roles", "amr"] {
            assert!(access.get(absent).is_none(), "{absent}");
        }
        assert_eq!(app.database.count("SELECT count(*) FROM sessions").await, 0);
        assert_eq!(app.database.count("SELECT count(*) FROM audit").await, before);
        assert_eq!(robot.token(&app, &[GRANT, ("scope", "orders:write")]).await.expect(200).json()["scope"], "orders:write");
        for scope in ["users:write", "openid", "offline_access"] {
            robot.token(&app, &[GRANT, ("scope", scope)]).await.expect_oauth(400, "invalid_scope");
        }
        robot.token(&app, &[GRANT, ("resource", "stock")]).await.expect_oauth(400, "invalid_target");
    }

    async fn nothing_at_all_is_written_for_a_services_token(app: TestApp) {
        let robot = service(&app, "robot", "orders:write", &["orders"]).await;
        let before = app.database.rows_as_text();
        for _ in 0..3 {
            robot.token(&app, &[GRANT]).await.expect(200);
        }
        assert_eq!(app.database.rows_as_text(), before);
        post_form(&app, "/oauth2/token", &[], &[GRANT, ("client_id", "robot"), ("client_secret", "x")]).await.expect_oauth(401, "invalid_client");
        assert_ne!(app.database.rows_as_text(), before, "a write would be seen: this one is a refusal in the audit log");
    }

    async fn a_service_account_opens_what_its_scope_names_and_no_users_doors(app: TestApp) {
        let robot = service(&app, "robot", "openid keys:read", &["chancery"]).await;
        let token = robot.token(&app, &[GRANT]).await.expect(200).access_token();
        app.get_as(&token, "/admin/keys").await.expect(200);
        app.get_as(&token, "/admin/users").await.expect_problem(403, "insufficient_scope");
        app.get_as(&token, "/auth/me").await.expect_problem(403, "insufficient_scope");
        app.get_as(&token, "/oauth2/userinfo").await.expect_oauth(403, "insufficient_scope");
        let told = "SELECT count(*) FROM audit WHERE event = 'access_denied' AND actor = 'client:robot'";
        assert_eq!(app.database.count(told).await, 1);
        // Deleted, it opens nothing, though the token lives.
        app.database.execute("DELETE FROM clients WHERE id = 'robot'").await;
        app.get_as(&token, "/admin/keys").await.expect_problem(401, "invalid_token");
    }

    async fn a_client_shows_its_secret_in_one_way(app: TestApp) {
        let robot = service(&app, "robot", "orders:write", &[]).await;
        let secret = robot.secret.clone().unwrap();
        let basic = |user: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let with_secret = [GRANT, ("client_id", "robot"), ("client_secret", secret.as_str())];
        post_form(&app, "/oauth2/token", &[], &with_secret).await.expect(200);
        let right = basic("robot", &secret);
        post_form(&app, "/oauth2/token", &[("authorization", &right)], &[GRANT]).await.expect(200);
        post_form(&app, "/oauth2/token", &[("authorization", &right)], &[GRANT, ("client_id", "robot")]).await.expect(200);
        post_form(&app, "/oauth2/token", &[("authorization", &right)], &with_secret).await.expect_oauth(400, "invalid_request");
        post_form(&app, "/oauth2/token", &[("authorization", &right)], &[GRANT, ("client_id", "other")]).await.expect_oauth(400, "invalid_request");
        let encoded = basic("%72obot", &secret.replace('_', "%5F"));
        post_form(&app, "/oauth2/token", &[("authorization", &encoded)], &[GRANT]).await.expect(200);
        for wrong in [basic("robot", "wrong"), basic("nobody", &secret), basic("robot", ""), "Basic !".to_owned(), basic("robot", &secret.to_lowercase())] {
            let refused = post_form(&app, "/oauth2/token", &[("authorization", &wrong)], &[GRANT]).await.expect_oauth(401, "invalid_client");
            assert!(refused.header("www-authenticate").starts_with("Basic"), "{wrong}");
        }
        for form in [&[GRANT, ("client_id", "robot")][..], &[GRANT, ("client_id", "robot"), ("client_secret", "wrong")], &[GRANT], &[GRANT, ("client_id", "nobody")]] {
            post_form(&app, "/oauth2/token", &[], form).await.expect_oauth(401, "invalid_client");
        }
        // One that has no secret cannot show one.
        public_client(&app).await;
        let shown = [("grant_type", "refresh_token"), ("client_id", "spa"), ("client_secret", "x"), ("refresh_token", "x")];
        post_form(&app, "/oauth2/token", &[], &shown).await.expect_oauth(401, "invalid_client");
        assert!(app.database.count("SELECT count(*) FROM audit WHERE event = 'client_refused'").await == 8);
        assert!(!app.database.holds(&secret));
    }

    async fn an_old_secret_goes_when_its_time_is_over(app: TestApp) {
        let robot = service(&app, "robot", "orders:write", &[]).await;
        let id = chancery::domain::ClientId::parse("robot").unwrap();
        let new = chancery::tokens::ClientSecret::random().unwrap();
        let mut tx = app.app.db.begin().await.unwrap();
        chancery::store::clients::expire_secrets(&mut tx, &id, app.clock.now() + TimeDelta::hours(1)).await.unwrap();
        chancery::store::clients::add_secret(&mut tx, &id, &new.digest(), app.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        let renewed = crate::oauth2::support::Registered { id: robot.id.clone(), secret: Some(new.expose().to_owned()) };
        robot.token(&app, &[GRANT]).await.expect(200);
        renewed.token(&app, &[GRANT]).await.expect(200);
        app.advance(TimeDelta::hours(1));
        robot.token(&app, &[GRANT]).await.expect_oauth(401, "invalid_client");
        renewed.token(&app, &[GRANT]).await.expect(200);
    }

    async fn what_is_wrong_with_a_token_request_is_told(app: TestApp) {
        let (spa, robot) = (public_client(&app).await, service(&app, "robot", "orders:write", &[]).await);
        for (grant, error) in [("password", "unsupported_grant_type"), ("implicit", "unsupported_grant_type"), ("urn:x", "unsupported_grant_type")] {
            robot.token(&app, &[("grant_type", grant)]).await.expect_oauth(400, error);
        }
        spa.token(&app, &[GRANT]).await.expect_oauth(400, "unauthorized_client");
        robot.token(&app, &[]).await.expect_oauth(400, "invalid_request");
        robot.token(&app, &[GRANT, GRANT]).await.expect_oauth(400, "invalid_request");
        robot.token(&app, &[("grant_type", "")]).await.expect_oauth(400, "invalid_request");
        let json = app.post("/oauth2/token", json!({ "grant_type": "client_credentials" })).await;
        json.expect_oauth(415, "invalid_request");
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let refused = app.send(method, "/oauth2/token", &[], None).await.expect_oauth(405, "invalid_request");
            assert_eq!(refused.header("allow"), "POST");
        }
        let broken = [("content-type", "application/x-www-form-urlencoded")];
        for body in ["grant_type=%ff&client_id=spa", "grant_type=%00&client_id=spa"] {
            app.send(Method::POST, "/oauth2/token", &broken, Some(body.to_owned())).await.expect_oauth(400, "invalid_request");
        }
        let huge = encode(&[("x", &"a".repeat(70_000))]);
        app.send(Method::POST, "/oauth2/token", &broken, Some(huge)).await.expect_oauth(413, "invalid_request");
    }

    async fn an_application_in_a_browser_may_ask_from_its_own_origin(app: TestApp) {
        for path in ["/oauth2/token", "/oauth2/par", "/oauth2/revoke", "/oauth2/userinfo"] {
            let asked = [("origin", "https://app.test"), ("access-control-request-method", "POST"), ("access-control-request-headers", "authorization")];
            let allowed = app.send(Method::OPTIONS, path, &asked, None).await.expect(200);
            assert_eq!(allowed.header("access-control-allow-origin"), "*", "{path}");
            assert_eq!(allowed.header("access-control-allow-credentials"), "", "{path}");
        }
        let asked = [("origin", "https://app.test"), ("access-control-request-method", "POST")];
        let introspect = app.send(Method::OPTIONS, "/oauth2/introspect", &asked, None).await;
        assert_eq!(introspect.header("access-control-allow-origin"), "");
    }
}

/// Guesses count by the network they come from, and cost the right one nothing.
#[tokio::test]
async fn guesses_of_secrets_are_throttled() {
    let settings = [("CHANCERY_LOGIN__MAX_FAILURES_PER_NETWORK", "3")];
    let app = TestApp::start_with(crate::support::Kind::Sqlite, &settings).await;
    let robot = service(&app, "robot", "orders:write", &[]).await;
    let guess = crate::oauth2::support::Registered { id: robot.id.clone(), secret: Some("wrong".to_owned()) };
    for _ in 0..3 {
        guess.token(&app, &[GRANT]).await.expect_oauth(401, "invalid_client");
    }
    let refused = guess.token(&app, &[GRANT]).await.expect_oauth(429, "invalid_client");
    assert!(refused.header("retry-after").parse::<i64>().unwrap() > 0);
    robot.token(&app, &[GRANT]).await.expect(200);
}
