use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::support::{PASSWORD, TestApp, on_both};

const WRONG: &str = "not the right password";

async fn fail(app: &TestApp, email: &str, times: usize) {
    for _ in 0..times {
        app.try_login(email, WRONG).await.expect_problem(401, "invalid_credentials");
    }
}

on_both! {
    async fn from_the_fifth_failure_on_even_the_right_password_must_wait(app: TestApp) {
        app.register("ada@x.test").await;
        fail(&app, "ada@x.test", 4).await;
        app.login("ada@x.test").await;
        fail(&app, "ada@x.test", 5).await;
        app.try_login("ada@x.test", PASSWORD).await.expect_problem(401, "invalid_credentials");
        app.advance(TimeDelta::seconds(1));
        // One try per back-off; each failure doubles it.
        fail(&app, "ada@x.test", 1).await;
        app.advance(TimeDelta::seconds(1));
        app.try_login("ada@x.test", PASSWORD).await.expect(401);
        app.advance(TimeDelta::seconds(1));
        app.login("ada@x.test").await;
        fail(&app, "ada@x.test", 4).await;
        app.login("ada@x.test").await;
    }

    async fn every_spelling_and_every_way_to_check_shares_one_count(app: TestApp) {
        let token = app.newcomer("ada@x.test").await.access_token();
        for spelling in ["ada@x.test", "ADA@x.test", " ada@X.test\u{a0}"] {
            fail(&app, spelling, 1).await;
        }
        let change = json!({ "current_password": WRONG, "new_password": "something else entirely" });
        for _ in 0..2 {
            app.post_as(&token, "/auth/password", change.clone()).await.expect_problem(403, "wrong_password");
        }
        app.try_login("ada@x.test", PASSWORD).await.expect(401);
        let right = json!({ "current_password": PASSWORD, "new_password": "something else entirely" });
        app.post_as(&token, "/auth/password", right).await.expect_problem(403, "wrong_password");
    }

    async fn unknown_addresses_are_counted_too(app: TestApp) {
        fail(&app, "nobody@x.test", 6).await;
        assert_eq!(app.database.count("SELECT failures FROM login_attempts").await, 5, "the sixth was not checked");
    }

    async fn of_two_hundred_parallel_guesses_no_more_than_the_budget_are_checked(app: TestApp) {
        app.register("ada@x.test").await;
        let guesses = (0..200).map(|at| {
            let password = if at == 150 { PASSWORD.to_owned() } else { format!("guess number {at}") };
            let app = &app;
            async move { app.try_login("ada@x.test", &password).await.status.as_u16() }
        });
        let answers = join_all(guesses).await;
        assert!(answers.iter().all(|status| matches!(status, 200 | 401)), "{answers:?}");
        let failures = app.database.count("SELECT coalesce(max(failures), 0) FROM login_attempts").await;
        assert!(failures <= 5, "{failures}");
    }

    async fn another_node_counts_with_this_one(app: TestApp) {
        let other = app.another_node(&[]).await;
        app.register("ada@x.test").await;
        fail(&app, "ada@x.test", 3).await;
        fail(&other, "ada@x.test", 2).await;
        app.try_login("ada@x.test", PASSWORD).await.expect(401);
        other.try_login("ada@x.test", PASSWORD).await.expect(401);
    }

    async fn an_attacker_does_not_lock_out_a_known_device(app: TestApp) {
        app.register("ada@x.test").await;
        let login = app.login("ada@x.test").await;
        let device = login.header("set-cookie").split(';').next().unwrap().to_owned();
        assert!(device.starts_with("__Host-chancery_device="));
        fail(&app, "ada@x.test", 8).await;
        app.try_login("ada@x.test", PASSWORD).await.expect(401);
        let from_device = async |email: &str, password: &str| {
            let body = json!({ "email": email, "password": password }).to_string();
            let headers = [("content-type", "application/json"), ("cookie", device.as_str())];
            app.send(Method::POST, "/auth/login", &headers, Some(body)).await
        };
        from_device("ada@x.test", PASSWORD).await.expect(200);
        // The device has a budget of its own, and for this address only.
        for _ in 0..5 {
            from_device("ada@x.test", WRONG).await.expect(401);
        }
        from_device("ada@x.test", PASSWORD).await.expect(401);
        app.register("bob@x.test").await;
        fail(&app, "bob@x.test", 5).await;
        from_device("bob@x.test", PASSWORD).await.expect(401);
    }

    async fn after_a_hundred_failures_only_a_new_password_helps(app: TestApp) {
        let admin = app.admin().await;
        let id = app.register("ada@x.test").await.json()["id"].as_str().unwrap().to_owned();
        fail(&app, "ada@x.test", 5).await;
        app.database.execute("UPDATE login_attempts SET failures = 100").await;
        app.advance(TimeDelta::days(2));
        chancery::flows::clean_up(&app.app).await.unwrap();
        app.try_login("ada@x.test", PASSWORD).await.expect(401);
        let admin = { drop(admin); app.login("admin@x.test").await.access_token() };
        let path = format!("/admin/users/{id}/password");
        app.post_as(&admin, &path, json!({ "password": "a new one at last" })).await.expect(204);
        app.try_login("ada@x.test", "a new one at last").await.expect(200);
    }

    async fn failures_of_yesterday_are_forgotten(app: TestApp) {
        fail(&app, "nobody@x.test", 5).await;
        app.advance(TimeDelta::hours(25));
        chancery::flows::clean_up(&app.app).await.unwrap();
        assert_eq!(app.database.count("SELECT count(*) FROM login_attempts").await, 0);
    }
}
