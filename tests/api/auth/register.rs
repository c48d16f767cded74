use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Kind, PASSWORD, TestApp, on_both};

on_both! {
    async fn a_new_account_is_answered_with_the_user(app: TestApp) {
        let body = json!({ "email": " Ada@X.test", "password": PASSWORD, "name": "Ada" });
        let user = app.post("/auth/register", body).await.expect(201).json();
        assert_eq!(user["email"], "ada@x.test");
        assert_eq!(user["name"], "Ada");
        assert_eq!(user["roles"], json!([]));
        assert_eq!(user["status"], "active");
        assert_eq!(user["email_verified"], false);
        let members: Vec<&String> = user.as_object().unwrap().keys().collect();
        assert_eq!(members, ["created_at", "email", "email_verified", "id", "name", "roles", "status"]);
        assert_eq!(app.login("ada@x.test").await.json()["user"], user);
    }

    async fn a_taken_address_answers_alike_and_changes_nothing(app: TestApp) {
        let first = app.register("ada@x.test").await;
        let body = json!({ "email": "ADA@x.test ", "password": "another good password" });
        let second = app.post("/auth/register", body).await.expect(201);
        let shape = |answer: &crate::support::Answer| {
            let mut user = answer.json();
            user["id"] = json!(null);
            user["created_at"] = json!(null);
            let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
            names.sort();
            (user, names)
        };
        assert_eq!(shape(&first), shape(&second));
        app.login("ada@x.test").await;
        app.try_login("ada@x.test", "another good password").await.expect_problem(401, "invalid_credentials");
        assert_eq!(app.database.count("SELECT count(*) FROM users").await, 1);
    }

    async fn every_spelling_of_an_address_is_one_account(app: TestApp) {
        let mut answers = Vec::new();
        for spelling in [
            "alice@x.test", "Alice@x.test", "ALICE@X.TEST", "alice@x.test\u{a0}", " alice@x.test ", "\u{ff41}lice@x.test",
            "alice\u{ff20}x.test", "\u{1d41a}lice@x.test",
        ] {
            let mut user = app.post("/auth/register", json!({ "email": spelling, "password": PASSWORD })).await.expect(201).json();
            user["id"] = json!(null);
            user["created_at"] = json!(null);
            answers.push(user);
            app.try_login(spelling, PASSWORD).await.expect(200);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1);
        // A letter that only looks alike would be a second account that reads the same.
        let dotless = json!({ "email": "al\u{131}ce@x.test", "password": PASSWORD });
        app.post("/auth/register", dotless).await.expect_problem(422, "invalid_email");
        assert_eq!(app.database.count("SELECT count(*) FROM users").await, 1);
    }

    async fn sixteen_at_once_make_one_account(app: TestApp) {
        for round in 0..5 {
            let email = format!("race{round}@x.test");
            let answers = join_all((0..16).map(|_| app.register(&email))).await;
            assert_eq!(answers.len(), 16);
            let count = format!("SELECT count(*) FROM users WHERE email = '{email}'");
            assert_eq!(app.database.count(&count).await, 1);
        }
    }

    async fn what_cannot_be_accepted_is_named(app: TestApp) {
        for (body, code) in [
            (json!({ "email": "nobody", "password": PASSWORD }), "invalid_email"),
            (json!({ "email": "a@x.test", "password": "short" }), "password_too_short"),
            (json!({ "email": "a@x.test", "password": "x".repeat(300) }), "password_too_long"),
            (json!({ "email": "a@x.test", "password": "baseball" }), "password_common"),
            (json!({ "email": "ada.lovelace@x.test", "password": "Ada.Lovelace" }), "password_personal"),
            (json!({ "email": "a@x.test", "password": PASSWORD, "name": "a\nb" }), "invalid_name"),
        ] {
            app.post("/auth/register", body).await.expect_problem(422, code);
        }
        assert_eq!(app.database.count("SELECT count(*) FROM users").await, 0);
    }

    async fn nobody_gives_themselves_more_than_an_account(app: TestApp) {
        for extra in [json!({ "roles": ["admin"] }), json!({ "email_verified": true }), json!({ "id": "x" })] {
            let mut body = json!({ "email": "eve@x.test", "password": PASSWORD });
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            app.post("/auth/register", body).await.expect_problem(400, "invalid_json");
        }
        let eve = app.newcomer("eve@x.test").await;
        assert_eq!(eve.json()["scope"], "");
        let token = eve.access_token();
        for extra in [
            ("role", json!("admin")), ("roles", json!(["admin"])), ("email_verified", json!(true)), ("id", json!("x")),
            ("status", json!("active")), ("scope", json!("users:write")), ("client_id", json!("other")),
        ] {
            for (path, body) in [
                ("/auth/login", json!({ "email": "eve@x.test", "password": PASSWORD })),
                ("/auth/refresh", json!({ "refresh_token": eve.refresh_token() })),
                ("/auth/password", json!({ "current_password": PASSWORD, "new_password": "something else entirely" })),
                ("/auth/logout", json!({})),
            ] {
                let mut body = body;
                body[extra.0] = extra.1.clone();
                app.post_as(&token, path, body).await.expect_problem(400, "invalid_json");
            }
        }
        assert_eq!(app.get_as(&token, "/auth/me").await.expect(200).json(), eve.json()["user"]);
    }
}

#[tokio::test]
async fn registration_can_be_switched_off() {
    let app = TestApp::start_with(Kind::Sqlite, &[("CHANCERY_LOGIN__REGISTRATION", "false")]).await;
    let body = json!({ "email": "a@x.test", "password": PASSWORD });
    app.post("/auth/register", body).await.expect_problem(403, "registration_closed");
}
