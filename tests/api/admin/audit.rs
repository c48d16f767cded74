use chrono::{DateTime, TimeDelta, Utc};
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
        let admin = app.login("admin@x.test").await.access_token();
        let all = app.get_as(&admin, "/admin/audit").await.expect(200).json();
        assert_eq!(told(&all, "event"), ["key_revoked", "key_revoked", "user_created", "keys_created"]);
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
        assert_eq!(ask(&format!("since={since}")).await, ["key_revoked", "key_revoked"]);
        assert_eq!(ask(&format!("until={since}")).await, ["user_created", "keys_created"]);
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
        assert_eq!((seen.len(), distinct.len()), (9, 9), "two from the start, seven registrations, none twice");
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
}
