use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;

use crate::support::{Kind, PASSWORD, TestApp, bearer, on_both, part};

on_both! {
    async fn sessions_are_listed_with_what_they_are_known_by(app: TestApp) {
        app.register("ada@x.test").await;
        let body = json!({ "email": "ada@x.test", "password": PASSWORD }).to_string();
        let headers = [("content-type", "application/json"), ("user-agent", "Browser \u{1f510} 1.0")];
        let older = app.send(Method::POST, "/auth/login", &headers, Some(body)).await.expect(200);
        app.advance(TimeDelta::seconds(1));
        let newer = app.login("ada@x.test").await;
        app.newcomer("bob@x.test").await;
        let list = app.get_as(&older.access_token(), "/auth/sessions").await.expect(200).json();
        let sessions = list["sessions"].as_array().unwrap();
        assert_eq!(sessions.len(), 2);
        assert_eq!(sessions[0]["id"], part(&newer.access_token(), 1)["sid"]);
        assert_eq!(sessions[0]["current"], false);
        assert_eq!(sessions[1]["id"], part(&older.access_token(), 1)["sid"]);
        assert_eq!(sessions[1]["current"], true);
        assert_eq!(sessions[1]["user_agent"], "Browser \u{1f510} 1.0");
        assert_eq!(sessions[1]["ip"], "127.0.0.1");
        let members: Vec<&String> = sessions[0].as_object().unwrap().keys().collect();
        assert_eq!(sessions[0]["client_id"], "chancery");
        assert_eq!(members, ["client_id", "created_at", "current", "id", "ip", "last_used_at", "user_agent"]);
    }

    async fn one_session_can_be_ended_from_another(app: TestApp) {
        let here = app.newcomer("ada@x.test").await;
        let there = app.login("ada@x.test").await;
        let id = part(&there.access_token(), 1)["sid"].as_str().unwrap().to_owned();
        let path = format!("/auth/sessions/{id}");
        app.delete_as(&here.access_token(), &path).await.expect(204);
        app.refresh(&there.refresh_token()).await.expect_problem(401, "invalid_grant");
        app.delete_as(&here.access_token(), &path).await.expect_problem(404, "not_found");
        let list = app.get_as(&here.access_token(), "/auth/sessions").await.json();
        assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
    }

    async fn nobody_ends_anothers_session(app: TestApp) {
        let ada = app.newcomer("ada@x.test").await;
        let bob = app.newcomer("bob@x.test").await;
        let id = part(&ada.access_token(), 1)["sid"].as_str().unwrap().to_owned();
        app.delete_as(&bob.access_token(), &format!("/auth/sessions/{id}")).await.expect_problem(404, "not_found");
        app.delete_as(&bob.access_token(), "/auth/sessions/nonsense").await.expect_problem(404, "not_found");
        app.refresh(&ada.refresh_token()).await.expect(200);
    }
}

#[tokio::test]
async fn the_address_is_the_sockets_unless_a_trusted_proxy_says_otherwise() {
    for (trusted, seen) in [("", "127.0.0.1"), ("127.0.0.0/8", "198.51.100.7")] {
        let app = TestApp::start_with(Kind::Sqlite, &[("CHANCERY_SERVER__TRUSTED_PROXIES", trusted)]).await;
        app.register("ada@x.test").await;
        let body = json!({ "email": "ada@x.test", "password": PASSWORD }).to_string();
        let headers =
            [("content-type", "application/json"), ("x-forwarded-for", "203.0.113.1, 198.51.100.7")];
        let login = app.send(Method::POST, "/auth/login", &headers, Some(body)).await.expect(200);
        let headers = [("authorization", bearer(&login.access_token()))];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let list = app.send(Method::GET, "/auth/sessions", &headers, None).await.expect(200).json();
        assert_eq!(list["sessions"][0]["ip"], seen);
    }
}
