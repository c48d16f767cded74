use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestApp, on_both, part};

fn told(list: &Value, member: &str) -> Vec<String> {
    let events = list["events"].as_array().unwrap().iter();
    events.map(|event| event[member].as_str().unwrap_or_default().to_owned()).collect()
}

on_both! {
    async fn what_was_done_is_told_newest_first_and_by_filter(app: TestApp) {
        app.advance(TimeDelta::seconds(1));
        let admin = app.admin().await;
        let kid = part(&admin, 0)["kid"].as_str().unwrap().to_owned();
        app.advance(TimeDelta::seconds(1));
        let revoked = app.post_as(&admin, &format!("/admin/keys/{kid}/revoke"), json!({ "reason": "a laptop\u{e4}" })).await;
        let request_id = revoked.expect(200).header("x-request-id").to_owned();
        app.advance(TimeDelta::seconds(1));
        let admin = app.login("admin@x.test").await.access_token();
        let all = app.get_as(&admin, "/admin/audit").await.expect(200).json();
        // Of what happened in one moment no order is told.
        let mut names = told(&all, "event");
        names[3..5].sort();
        assert_eq!(names, ["login_succeeded", "key_revoked", "key_revoked", "login_succeeded", "user_created", "keys_created"]);
        assert_eq!(all["next_cursor"], Value::Null);
        let of_key = app.get_as(&admin, &format!("/admin/audit?subject={kid}&event=key_revoked")).await.expect(200).json();
        let event = &of_key["events"][0];
        assert_eq!(of_key["events"].as_array().unwrap().len(), 1);
        assert_eq!(event["detail"]["reason"], "a laptop\u{e4}");
        assert_eq!((event["source"].as_str(), event["request_id"].as_str()), (Some("127.0.0.1"), Some(&*request_id)));
        assert!(event["actor"].as_str().unwrap().starts_with("user:"));
        let at: DateTime<Utc> = event["at"].as_str().unwrap().parse().unwrap();
        let since = at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let ask = async |query: &str| told(&app.get_as(&admin, &format!("/admin/audit?{query}")).await.expect(200).json(), "event");
        assert_eq!(ask(&format!("since={since}")).await, ["login_succeeded", "key_revoked", "key_revoked"]);
        assert_eq!(ask(&format!("until={since}&event=user_created")).await, ["user_created"]);
        assert_eq!(ask("actor=operator:cli").await, ["user_created"]);
        assert!(ask("event=nothing_of_the_kind").await.is_empty());
    }

    async fn pages_are_stable_while_events_come_in(app: TestApp) {
        let admin = app.admin().await;
        // Several at one moment: the clock stands.
        for name in ["a", "b", "c", "d", "e", "f", "g"] {
            app.register(&format!("{name}@x.test")).await;
        }
        let first = app.get_as(&admin, "/admin/audit?limit=3").await.expect(200).json();
        app.advance(TimeDelta::seconds(1));
        app.register("late@x.test").await;
        let (mut seen, mut next) = (told(&first, "id"), first["next_cursor"].as_str().map(str::to_owned));
        while let Some(cursor) = next {
            let page = app.get_as(&admin, &format!("/admin/audit?limit=3&cursor={cursor}")).await.expect(200).json();
            seen.extend(told(&page, "id"));
            next = page["next_cursor"].as_str().map(str::to_owned);
        }
        let mut distinct = seen.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!((seen.len(), distinct.len()), (10, 10), "three from the start, seven registrations, none twice");
    }

    async fn hostile_queries_are_refused(app: TestApp) {
        let admin = app.admin().await;
        let long = format!("subject={}", "x".repeat(257));
        for query in [
            "limit=0", "limit=201", "cursor=nonsense", "since=yesterday", "until=9999999-01-01T00:00:00Z", "since=-0001-01-01T00:00:00Z",
            "event=%00", "sort=at", "event=a&event=b", &long,
        ] {
            app.get_as(&admin, &format!("/admin/audit?{query}")).await.expect_problem(400, "invalid_parameter");
        }
        let injected = app.get_as(&admin, "/admin/audit?event=%27%20OR%201=1--").await.expect(200).json();
        assert!(told(&injected, "event").is_empty());
    }

    async fn events_past_their_time_are_removed(app: TestApp) {
        app.newcomer("ada@x.test").await;
        assert!(app.database.count("SELECT count(*) FROM audit").await > 0);
        app.advance(TimeDelta::days(401));
        chancery::flows::clean_up(&app.app).await.unwrap();
        assert_eq!(app.database.count("SELECT count(*) FROM audit").await, 0);
    }

    async fn every_way_in_and_every_way_out_is_told(app: TestApp) {
        let admin = app.admin().await;
        app.register("ada@x.test").await;
        app.advance(TimeDelta::seconds(1));
        let ada = app.login("ada@x.test").await;
        app.advance(TimeDelta::seconds(1));
        let id = ada.json()["user"]["id"].as_str().unwrap().to_owned();
        let of_ada = async || {
            let path = format!("/admin/audit?subject={id}");
            let list = app.get_as(&admin, &path).await.expect(200).json();
            let told = list["events"].as_array().unwrap().iter().rev();
            told.map(|event| (event["event"].as_str().unwrap().to_owned(), event["actor"].as_str().unwrap().to_owned(), event["detail"].clone())).collect::<Vec<_>>()
        };
        app.try_login("ada@x.test", "wrong in some way").await.expect(401);
        app.advance(TimeDelta::seconds(1));
        let change = json!({ "current_password": "wrong again", "new_password": "something else entirely" });
        app.post_as(&ada.access_token(), "/auth/password", change).await.expect(403);
        app.advance(TimeDelta::seconds(1));
        app.get_as(&ada.access_token(), "/admin/keys").await.expect(403);
        app.post_as(&ada.access_token(), "/auth/logout", json!({})).await.expect(204);
        let told = of_ada().await;
        let (me, nobody) = (format!("user:{id}"), "anonymous".to_owned());
        let names: Vec<(&str, &String)> = told.iter().map(|(event, actor, _)| (event.as_str(), actor)).collect();
        assert_eq!(names, [("user_created", &nobody), ("login_succeeded", &me), ("login_failed", &nobody), ("password_proof_failed", &me), ("logged_out", &me)]);
        assert_eq!(told[2].2["failures"], 1);
        let sid = part(&ada.access_token(), 1)["sid"].clone();
        assert_eq!((&told[1].2["sid"], &told[4].2["sid"]), (&sid, &sid));
        let denied = app.get_as(&admin, &format!("/admin/audit?event=access_denied&actor={me}")).await.json();
        assert_eq!(told_of(&denied), [("keys:read", "127.0.0.1")]);
    }

    async fn an_unknown_name_is_told_by_nothing_that_was_typed(app: TestApp) {
        let admin = app.admin().await;
        for name in ["nobody@x.test", "Nobody@X.test ", "my secret password", "other@x.test"] {
            app.try_login(name, "whatever it was").await.expect(401);
            app.advance(TimeDelta::seconds(1));
        }
        let failed = app.get_as(&admin, "/admin/audit?event=login_failed").await.expect(200);
        let subjects = told(&failed.json(), "subject");
        assert_eq!(subjects[1], "unknown", "what is no address at all");
        assert!(subjects[0].starts_with("unknown:") && subjects[0] != subjects[2]);
        assert_eq!(subjects[2], subjects[3], "two attempts on one name find each other");
        for typed in ["nobody", "secret", "other"] {
            assert!(!failed.text.contains(typed), "{typed}");
        }
    }

    async fn the_hundredth_failure_is_an_alarm_of_its_own(app: TestApp) {
        let admin = app.admin().await;
        app.register("ada@x.test").await;
        app.try_login("ada@x.test", "wrong once").await.expect(401);
        app.database.execute("UPDATE login_attempts SET failures = 99").await;
        app.try_login("ada@x.test", "wrong and out").await.expect(401);
        app.try_login("ada@x.test", "not even checked").await.expect(401);
        for (event, count) in [("account_locked", 1), ("login_failed", 2)] {
            let list = app.get_as(&admin, &format!("/admin/audit?event={event}")).await.json();
            assert_eq!(told(&list, "event").len(), count, "{event}");
        }
    }

    async fn another_sites_attempt_on_a_cookie_is_told(app: TestApp) {
        let admin = app.admin().await;
        let headers = [("content-type", "application/json"), ("origin", "https://evil.test")];
        let body = json!({ "email": "ada@x.test", "password": "x", "cookie": true }).to_string();
        app.send(Method::POST, "/auth/login", &headers, Some(body)).await.expect_problem(403, "origin_not_allowed");
        let list = app.get_as(&admin, "/admin/audit?event=origin_refused&source=127.0.0.1").await.json();
        assert_eq!(told_of(&list), [("/auth/login", "127.0.0.1")]);
        assert_eq!(told(&app.get_as(&admin, "/admin/audit?source=10.9.9.9").await.json(), "event").len(), 0);
    }
}

fn told_of(list: &Value) -> Vec<(&str, &str)> {
    let events = list["events"].as_array().unwrap().iter();
    events.map(|event| (event["subject"].as_str().unwrap(), event["source"].as_str().unwrap())).collect()
}
