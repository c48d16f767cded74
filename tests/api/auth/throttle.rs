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

    async fn one_source_has_a_budget_for_all_accounts_together(app: TestApp) {
        let node = app.another_node(&[("CHANCERY_LOGIN__MAX_FAILURES_PER_NETWORK", "6"), ("CHANCERY_LOGIN__NETWORK_FAILURE_WINDOW", "1m")]).await;
        let other = app.another_node(&[("CHANCERY_LOGIN__MAX_FAILURES_PER_NETWORK", "6"), ("CHANCERY_LOGIN__NETWORK_FAILURE_WINDOW", "1m")]).await;
        app.register("ada@x.test").await;
        let device = node.login("ada@x.test").await.header("set-cookie").split(';').next().unwrap().to_owned();
        for number in 0..3 {
            fail(&node, &format!("nobody{number}@x.test"), 1).await;
            fail(&other, &format!("no address at all {number}"), 1).await;
        }
        for _ in 0..3 {
            let refused = node.try_login("ada@x.test", PASSWORD).await.expect_problem(429, "too_many_attempts");
            assert_eq!(refused.header("retry-after"), "11", "one of six comes back every ten seconds");
        }
        other.try_login("bob@x.test", WRONG).await.expect_problem(429, "too_many_attempts");
        // Whoever has been here before is not kept out by a neighbour.
        let body = json!({ "email": "ada@x.test", "password": PASSWORD }).to_string();
        let headers = [("content-type", "application/json"), ("cookie", device.as_str())];
        node.send(Method::POST, "/auth/login", &headers, Some(body)).await.expect(200);

        app.advance(TimeDelta::seconds(10));
        for _ in 0..3 {
            node.login("ada@x.test").await;
        }
        fail(&node, "nobody@x.test", 1).await;
        node.try_login("ada@x.test", PASSWORD).await.expect(429);
        app.advance(TimeDelta::minutes(2));
        chancery::flows::clean_up(&app.app).await.unwrap();
        assert_eq!(app.database.count("SELECT count(*) FROM network_attempts").await, 0);
        node.login("ada@x.test").await;
        node.stop().await;
        other.stop().await;
    }

    async fn parallel_right_logins_pass_through_a_source_that_is_nearly_spent(app: TestApp) {
        let node = app.another_node(&[("CHANCERY_LOGIN__MAX_FAILURES_PER_NETWORK", "3")]).await;
        app.register("ada@x.test").await;
        fail(&node, "nobody@x.test", 2).await;
        let logins = (0..16).map(|_| async { node.try_login("ada@x.test", PASSWORD).await.status.as_u16() });
        assert_eq!(join_all(logins).await, [200; 16]);
        let guesses = (0..16).map(|_| async { node.try_login("eve@x.test", WRONG).await.status.as_u16() });
        let mut answers = join_all(guesses).await;
        answers.sort_unstable();
        assert_eq!(answers[..2], [401, 429], "one attempt was left");
        node.stop().await;
    }

    async fn an_address_that_is_made_up_gains_nothing(app: TestApp) {
        let node = app.another_node(&[("CHANCERY_LOGIN__MAX_FAILURES_PER_NETWORK", "3")]).await;
        let mut statuses = Vec::new();
        for number in 0..5 {
            let made_up = format!("198.51.100.{number}");
            let forwarded = format!("for={made_up}");
            let headers = [("content-type", "application/json"), ("x-forwarded-for", made_up.as_str()), ("x-real-ip", &made_up), ("true-client-ip", &made_up), ("forwarded", &forwarded)];
            let body = json!({ "email": format!("n{number}@x.test"), "password": WRONG }).to_string();
            statuses.push(node.send(Method::POST, "/auth/login", &headers, Some(body)).await.status.as_u16());
        }
        for garbage in ["garbage, , \u{e9}", "", "999.1.1.1", "for=;;\"", "127.0.0.1"] {
            let headers = [("content-type", "application/json"), ("x-forwarded-for", garbage), ("forwarded", garbage), ("x-real-ip", garbage)];
            let body = json!({ "email": "g@x.test", "password": WRONG }).to_string();
            statuses.push(node.send(Method::POST, "/auth/login", &headers, Some(body)).await.status.as_u16());
        }
        assert_eq!(statuses[..3], [401; 3]);
        assert_eq!(statuses[3..], [429; 7]);
        let named = "SELECT count(*) FROM audit WHERE event = 'login_failed' AND source = '127.0.0.1'";
        assert_eq!(app.database.count(named).await, 3);
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE source <> '127.0.0.1'").await, 0);
        node.stop().await;
        let proxied = app.another_node(&[("CHANCERY_LOGIN__MAX_FAILURES_PER_NETWORK", "1"), ("CHANCERY_SERVER__TRUSTED_PROXIES", "127.0.0.1")]).await;
        let from = async |ip: &str| {
            let headers = [("content-type", "application/json"), ("x-forwarded-for", ip)];
            let body = json!({ "email": format!("{ip}@x.test"), "password": WRONG }).to_string();
            proxied.send(Method::POST, "/auth/login", &headers, Some(body)).await.status.as_u16()
        };
        assert_eq!(from("2001:db8::1").await, 401);
        assert_eq!(from("2001:DB8:0:0:ffff::9").await, 429, "the same /64");
        assert_eq!(from("2001:db8:0:1::1").await, 401);
        assert_eq!(from("192.0.2.1").await, 401);
        assert_eq!(from("::ffff:192.0.2.1").await, 429, "the same address");
        assert_eq!(from("::FFFF:c000:201").await, 429, "and once more");
        proxied.stop().await;
    }

    async fn registrations_are_limited_per_source(app: TestApp) {
        let node = app.another_node(&[("CHANCERY_LOGIN__MAX_REGISTRATIONS_PER_NETWORK", "2")]).await;
        node.register("ada@x.test").await;
        node.register("ada@x.test").await;
        let body = json!({ "email": "bob@x.test", "password": PASSWORD });
        let refused = node.post("/auth/register", body.clone()).await.expect_problem(429, "too_many_attempts");
        assert_eq!(refused.header("retry-after"), "1801");
        assert_eq!(app.database.count("SELECT count(*) FROM users").await, 1);
        node.login("ada@x.test").await;
        app.advance(TimeDelta::minutes(30));
        node.post("/auth/register", body).await.expect(201);
        node.stop().await;
    }

    async fn a_source_may_be_without_limit(app: TestApp) {
        let node = app.another_node(&[("CHANCERY_LOGIN__MAX_FAILURES_PER_NETWORK", "0"), ("CHANCERY_LOGIN__MAX_REGISTRATIONS_PER_NETWORK", "0")]).await;
        for number in 0..3 {
            fail(&node, &format!("nobody{number}@x.test"), 4).await;
        }
        assert_eq!(app.database.count("SELECT count(*) FROM network_attempts").await, 0);
        node.stop().await;
    }
}
