use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp, on_both};

on_both! {
    async fn an_administrator_makes_finds_changes_and_removes_accounts(app: TestApp) {
        let admin = app.admin().await;
        let body = json!({ "email": "Ada@x.test", "password": PASSWORD, "name": "Ada", "roles": ["user"] });
        let made = app.post_as(&admin, "/admin/users", body.clone()).await.expect(201).json();
        assert_eq!(made["roles"], json!(["user"]));
        app.post_as(&admin, "/admin/users", body).await.expect_problem(409, "email_taken");
        let path = format!("/admin/users/{}", made["id"].as_str().unwrap());
        assert_eq!(app.get_as(&admin, &path).await.expect(200).json(), made);

        let change = async |body: Value| app.request_as(&admin, Method::PATCH, &path, body).await;
        assert_eq!(change(json!({ "name": null, "roles": [] })).await.expect(200).json()["name"], Value::Null);
        assert_eq!(change(json!({ "name": "A. L." })).await.expect(200).json()["name"], "A. L.");
        assert_eq!(change(json!({})).await.expect(200).json()["roles"], json!([]));
        change(json!({ "roles": ["emperor"] })).await.expect_problem(422, "invalid_role");
        change(json!({ "status": "dead" })).await.expect_problem(400, "invalid_parameter");
        change(json!({ "email": "x@x.test" })).await.expect_problem(400, "invalid_json");

        app.delete_as(&admin, &path).await.expect(204);
        app.get_as(&admin, &path).await.expect_problem(404, "not_found");
        app.delete_as(&admin, &path).await.expect_problem(404, "not_found");
        change(json!({})).await.expect_problem(404, "not_found");
        app.get_as(&admin, "/admin/users/nonsense").await.expect_problem(404, "not_found");
    }

    async fn disabling_ends_every_session_and_enabling_brings_none_back(app: TestApp) {
        let admin = app.admin().await;
        let login = app.newcomer("ada@x.test").await;
        let path = format!("/admin/users/{}", login.json()["user"]["id"].as_str().unwrap());
        let set = async |status: &str| app.request_as(&admin, Method::PATCH, &path, json!({ "status": status })).await.expect(200);
        assert_eq!(set("disabled").await.json()["status"], "disabled");
        app.get_as(&login.access_token(), "/auth/me").await.expect_problem(401, "invalid_token");
        app.refresh(&login.refresh_token()).await.expect_problem(401, "invalid_grant");
        app.try_login("ada@x.test", PASSWORD).await.expect_problem(401, "invalid_credentials");
        set("active").await;
        app.refresh(&login.refresh_token()).await.expect_problem(401, "invalid_grant");
        app.login("ada@x.test").await;
    }

    async fn a_password_set_by_an_administrator_ends_every_session(app: TestApp) {
        let admin = app.admin().await;
        let login = app.newcomer("ada@x.test").await;
        let path = format!("/admin/users/{}/password", login.json()["user"]["id"].as_str().unwrap());
        app.post_as(&admin, &path, json!({ "password": "short" })).await.expect_problem(422, "password_too_short");
        app.post_as(&admin, &path, json!({ "password": "quite another one" })).await.expect(204);
        app.refresh(&login.refresh_token()).await.expect_problem(401, "invalid_grant");
        app.try_login("ada@x.test", PASSWORD).await.expect(401);
        app.try_login("ada@x.test", "quite another one").await.expect(200);
    }

    async fn nobody_gives_or_takes_over_more_than_they_have(app: TestApp) {
        let support = app.another_node(&[("CHANCERY_ROLES__SUPPORT", "users:read,users:write")]).await;
        let admin = app.admin().await;
        let helper = json!({ "email": "helper@x.test", "password": PASSWORD, "roles": ["support"] });
        let helper = support.post_as(&admin, "/admin/users", helper).await.expect(201).json();
        let token = support.login("helper@x.test").await.access_token();
        let list = support.get_as(&token, "/admin/users").await.expect(200).json();
        let is_admin = |user: &&Value| user["email"] == "admin@x.test";
        let admins = list["users"].as_array().unwrap().iter().find(is_admin).unwrap();
        let path = |id: &Value| format!("/admin/users/{}", id.as_str().unwrap());
        let (own, admins) = (path(&helper["id"]), path(&admins["id"]));

        let grab = json!({ "roles": ["admin"] });
        support.request_as(&token, Method::PATCH, &own, grab).await.expect_problem(403, "insufficient_scope");
        let accomplice = json!({ "email": "eve@x.test", "password": PASSWORD, "roles": ["admin"] });
        support.post_as(&token, "/admin/users", accomplice).await.expect_problem(403, "insufficient_scope");
        let take_over = json!({ "password": "a password of mine" });
        support.post_as(&token, &format!("{admins}/password"), take_over).await.expect_problem(403, "insufficient_scope");
        for change in [json!({ "status": "disabled" }), json!({ "roles": [] })] {
            support.request_as(&token, Method::PATCH, &admins, change).await.expect_problem(403, "insufficient_scope");
        }
        support.delete_as(&token, &admins).await.expect_problem(403, "insufficient_scope");
        assert_eq!(support.get_as(&admin, &admins).await.expect(200).json()["status"], "active");

        let customer = json!({ "email": "bob@x.test", "password": PASSWORD, "roles": ["user"] });
        support.post_as(&token, "/admin/users", customer).await.expect(201);
    }

    async fn two_changes_at_once_do_not_undo_each_other(app: TestApp) {
        let admin = app.admin().await;
        for round in 0..10 {
            let id = app.register(&format!("user{round}@x.test")).await.json()["id"].clone();
            let path = format!("/admin/users/{}", id.as_str().unwrap());
            let change = |body: Value| app.request_as(&admin, Method::PATCH, &path, body);
            tokio::join!(change(json!({ "status": "disabled" })), change(json!({ "name": "Renamed" })));
            let user = app.get_as(&admin, &path).await.expect(200).json();
            assert_eq!((&user["status"], &user["name"]), (&json!("disabled"), &json!("Renamed")));
        }
    }

    async fn who_may_not_ask_hears_that_first(app: TestApp) {
        let token = app.newcomer("ada@x.test").await.access_token();
        app.get_as(&token, "/admin/users/nonsense").await.expect_problem(403, "insufficient_scope");
        app.get_as(&token, "/admin/users?limit=x").await.expect_problem(403, "insufficient_scope");
        app.get("/admin/users/nonsense").await.expect_problem(401, "token_required");
    }

    async fn pages_hold_everyone_once(app: TestApp) {
        let admin = app.admin().await;
        for number in 0..7 {
            // Some share their moment of creation.
            if number % 2 == 0 {
                app.advance(TimeDelta::seconds(1));
            }
            app.register(&format!("user{number}@x.test")).await;
        }
        let mut seen = Vec::new();
        let mut path = "/admin/users?limit=3".to_owned();
        loop {
            let page = app.get_as(&admin, &path).await.expect(200).json();
            let users = page["users"].as_array().unwrap();
            assert!((1..=3).contains(&users.len()));
            seen.extend(users.iter().map(|user| user["email"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/admin/users?limit=3&cursor={cursor}");
        }
        seen.sort();
        let mut expected: Vec<String> = (0..7).map(|number| format!("user{number}@x.test")).collect();
        expected.insert(0, "admin@x.test".to_owned());
        assert_eq!(seen, expected);
    }

    async fn hostile_page_parameters_are_refused(app: TestApp) {
        let admin = app.admin().await;
        let far = "f".repeat(32);
        for query in [
            "limit=0", "limit=201", "limit=-1", "limit=x", "limit=99999999999", "cursor=", "cursor=nonsense", "cursor='%20OR%201=1",
            &format!("cursor={far}"), "cursor=%00", "sort=email", "limit=1&limit=2",
        ] {
            app.get_as(&admin, &format!("/admin/users?{query}")).await.expect_problem(400, "invalid_parameter");
        }
    }
}
