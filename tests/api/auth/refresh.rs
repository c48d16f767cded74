use std::collections::HashSet;
use std::sync::Arc;

use chancery::clock::Clock;
use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Database, Kind, TestApp, on_both, part};

on_both! {
    async fn a_refresh_gives_the_next_tokens_of_the_same_session(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        app.advance(TimeDelta::minutes(5));
        let refreshed = app.refresh(&login.refresh_token()).await.expect(200);
        let (before, after) = (part(&login.access_token(), 1), part(&refreshed.access_token(), 1));
        for same in ["sub", "sid", "auth_time", "amr"] {
            assert_eq!(before[same], after[same], "{same}");
        }
        assert_eq!(after["iat"], app.clock.now().timestamp());
        assert_ne!(before["jti"], after["jti"]);
        assert_ne!(login.refresh_token(), refreshed.refresh_token());
        assert!(refreshed.json().get("user").is_none());
        assert_eq!(refreshed.header("cache-control"), "no-store");
        app.refresh(&refreshed.refresh_token()).await.expect(200);
    }

    async fn within_the_grace_the_same_successor_comes_again(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        let first = app.refresh(&login.refresh_token()).await.expect(200);
        app.advance(TimeDelta::milliseconds(9_999));
        let again = app.refresh(&login.refresh_token()).await.expect(200);
        assert_eq!(first.refresh_token(), again.refresh_token());
        assert_ne!(first.access_token(), again.access_token());
        app.refresh(&first.refresh_token()).await.expect(200);
    }

    async fn a_token_used_after_the_grace_ends_the_session(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        let newest = app.refresh(&login.refresh_token()).await.expect(200);
        app.advance(TimeDelta::seconds(10));
        app.refresh(&login.refresh_token()).await.expect_problem(401, "invalid_grant");
        app.refresh(&newest.refresh_token()).await.expect_problem(401, "invalid_grant");
        app.get_as(&newest.access_token(), "/auth/me").await.expect_problem(401, "invalid_token");
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event = 'refresh_reuse'").await, 1);
        app.login("ada@x.test").await;
    }

    async fn a_grandparent_ends_the_session_even_within_the_grace(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        let second = app.refresh(&login.refresh_token()).await.expect(200);
        let third = app.refresh(&second.refresh_token()).await.expect(200);
        app.refresh(&login.refresh_token()).await.expect_problem(401, "invalid_grant");
        app.refresh(&third.refresh_token()).await.expect_problem(401, "invalid_grant");
    }

    async fn replays_are_forgiven_twenty_times(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        let first = app.refresh(&login.refresh_token()).await.expect(200);
        for _ in 0..20 {
            assert_eq!(app.refresh(&login.refresh_token()).await.expect(200).refresh_token(), first.refresh_token());
        }
        app.refresh(&login.refresh_token()).await.expect_problem(401, "invalid_grant");
    }

    async fn sixteen_at_once_get_one_successor_and_nobody_is_logged_out(app: TestApp) {
        let mut token = app.newcomer("ada@x.test").await.refresh_token();
        let mut ids = HashSet::new();
        for round in 0..20 {
            let answers = join_all((0..16).map(|_| app.refresh(&token))).await;
            ids.extend(answers.iter().map(|answer| part(&answer.access_token(), 1)["jti"].to_string()));
            let successors: Vec<String> = answers.into_iter().map(|answer| answer.expect(200).refresh_token()).collect();
            assert!(successors.iter().all(|successor| *successor == successors[0]), "round {round}");
            token.clone_from(&successors[0]);
            // Out of the grace of the last round, so that a parent's parent is never near.
            app.advance(TimeDelta::minutes(1));
        }
        assert_eq!(ids.len(), 320, "no jti twice");
        assert_eq!(app.database.count("SELECT max(generation) FROM sessions").await, 21);
        assert_eq!(app.database.count("SELECT count(*) FROM sessions WHERE revoked_at IS NULL").await, 1);
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event LIKE 'refresh%'").await, 0);
    }

    async fn what_is_no_token_of_ours_is_refused(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        let token = login.refresh_token();
        let altered = [
            String::new(),
            "crt_".to_owned(),
            token[4..].to_owned(),
            token[..63].to_owned(),
            format!("{token}="),
            format!("{token} "),
            token.to_uppercase(),
            token.replace("crt_", "CRT_"),
            login.access_token(),
            part(&login.access_token(), 1)["sid"].as_str().unwrap().to_owned(),
        ];
        for altered in altered {
            app.refresh(&altered).await.expect_problem(401, "invalid_grant");
        }
        app.get_as(&token, "/auth/me").await.expect_problem(401, "invalid_token");
        app.refresh(&token).await.expect(200);
    }

    async fn idle_and_absolute_limits_hold(app: TestApp) {
        let idle = app.newcomer("idle@x.test").await.refresh_token();
        let mut busy = app.newcomer("busy@x.test").await;
        app.advance(TimeDelta::days(6));
        for _ in 0..4 {
            busy = app.refresh(&busy.refresh_token()).await.expect(200);
            app.advance(TimeDelta::days(6));
        }
        app.refresh(&idle).await.expect_problem(401, "invalid_grant");
        // Thirty days are over: refreshing has not moved the end.
        app.refresh(&busy.refresh_token()).await.expect_problem(401, "invalid_grant");
    }

    async fn a_database_set_back_is_noticed(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        let newest = app.refresh(&login.refresh_token()).await.expect(200);
        app.database.execute("UPDATE sessions SET generation = 1").await;
        app.refresh(&newest.refresh_token()).await.expect_problem(401, "invalid_grant");
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event = 'refresh_ahead'").await, 1);
        app.refresh(&login.refresh_token()).await.expect_problem(401, "invalid_grant");
    }

    async fn another_clients_token_is_refused_and_its_session_untouched(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        app.database.execute("UPDATE sessions SET client_id = 'other'").await;
        // As it stands the token is bound to a client that is not the session's: forged.
        app.refresh(&login.refresh_token()).await.expect_problem(401, "invalid_grant");
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event = 'refresh_wrong_client'").await, 0);
        let sid = part(&login.access_token(), 1)["sid"].as_str().unwrap().parse().unwrap();
        let theirs = chancery::tokens::RefreshKeys(&app.app.master_keys).token(
            chancery::domain::SessionId(sid),
            1,
            &chancery::domain::ClientId::new_unchecked("other".to_owned()),
            None,
        );
        app.refresh(theirs.expose()).await.expect_problem(401, "invalid_grant");
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event = 'refresh_wrong_client'").await, 1);
        assert_eq!(app.database.count("SELECT count(*) FROM sessions WHERE revoked_at IS NULL").await, 1);
    }

    async fn roles_taken_away_are_gone_from_the_next_token(app: TestApp) {
        let admin = app.admin().await;
        let login = app.login("admin@x.test").await;
        app.database.execute("UPDATE users SET roles = ''").await;
        let refreshed = app.refresh(&login.refresh_token()).await.expect(200);
        assert_eq!(refreshed.json()["scope"], "");
        // The token that still claims them gets nothing by it here.
        app.get_as(&admin, "/admin/keys").await.expect_problem(403, "insufficient_scope");
    }

    async fn in_cookie_mode_the_token_is_in_the_cookie_only(app: TestApp) {
        app.register("ada@x.test").await;
        let body = json!({ "email": "ada@x.test", "password": crate::support::PASSWORD, "cookie": true });
        let login = app.post("/auth/login", body).await.expect(200);
        assert!(login.json().get("refresh_token").is_none());
        let cookie = cookie_of(&login);
        let set = login.header("set-cookie");
        for attribute in ["__Host-", "; HttpOnly", "; SameSite=Strict", "; Secure", "; Path=/", "; Max-Age=604800"] {
            assert!(set.contains(attribute), "{set}");
        }
        assert!(!set.contains("Domain"));

        let own = [("cookie", cookie.as_str()), ("origin", "https://auth.test")];
        let refreshed = app.send(Method::POST, "/auth/refresh", &own, None).await.expect(200);
        assert!(refreshed.json().get("refresh_token").is_none());
        let next = cookie_of(&refreshed);
        assert_ne!(cookie, next);

        let foreign = [
            vec![("cookie", next.as_str()), ("origin", "https://evil.test")],
            vec![("cookie", next.as_str()), ("origin", "null")],
            vec![("cookie", next.as_str()), ("sec-fetch-site", "cross-site")],
            vec![("cookie", next.as_str()), ("sec-fetch-site", "same-site")],
        ];
        for headers in foreign {
            app.send(Method::POST, "/auth/refresh", &headers, None).await.expect_problem(403, "origin_not_allowed");
        }
        app.send(Method::POST, "/auth/refresh", &[("cookie", &next)], None).await.expect(200);

        let token = refreshed.access_token();
        let out = app.post_as(&token, "/auth/logout", json!({})).await.expect(204);
        assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));
        app.send(Method::POST, "/auth/refresh", &[("cookie", &next)], None).await.expect_problem(401, "invalid_grant");
        app.post("/auth/refresh", json!({})).await.expect_problem(400, "invalid_json");
    }
}

fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

/// With the real clock: requests that lost the race may have read it before the winner did.
async fn without_grace(kind: Kind) {
    let database = Arc::new(Database::create(kind).await);
    let app =
        TestApp::start_on(database, Clock::system(), &[("CHANCERY_SESSIONS__REFRESH_GRACE", "0s")]).await;
    app.register("ada@x.test").await;
    for round in 0..20 {
        let token = app.login("ada@x.test").await.refresh_token();
        let answers = join_all((0..16).map(|_| app.refresh(&token))).await;
        let winners: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(winners.len(), 1, "round {round}");
        app.refresh(&winners[0].refresh_token()).await.expect_problem(401, "invalid_grant");
    }
    assert_eq!(app.database.count("SELECT count(*) FROM sessions WHERE revoked_at IS NULL").await, 0);
    assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event = 'refresh_reuse'").await, 20);
}

#[tokio::test]
async fn without_grace_one_wins_and_the_session_dies_sqlite() {
    without_grace(Kind::Sqlite).await;
}

#[tokio::test]
async fn without_grace_one_wins_and_the_session_dies_postgres() {
    without_grace(Kind::Postgres).await;
}

#[tokio::test]
async fn an_origin_that_is_configured_may_use_cookies_and_read_answers() {
    let app =
        TestApp::start_with(Kind::Sqlite, &[("CHANCERY_SERVER__CORS_ORIGINS", "https://app.test")]).await;
    app.register("ada@x.test").await;
    let body =
        json!({ "email": "ada@x.test", "password": crate::support::PASSWORD, "cookie": true }).to_string();
    let login = |origin: &'static str| {
        let headers = [("content-type", "application/json"), ("origin", origin)];
        let body = body.clone();
        let app = &app;
        async move { app.send(Method::POST, "/auth/login", &headers, Some(body)).await }
    };
    let allowed = login("https://app.test").await.expect(200);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://app.test");
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    let foreign = login("https://evil.test").await.expect_problem(403, "origin_not_allowed");
    assert_eq!(foreign.header("access-control-allow-origin"), "");
    let asks = [
        ("origin", "https://app.test"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let preflight = app.send(Method::OPTIONS, "/auth/login", &asks, None).await.expect(200);
    assert_eq!(preflight.header("access-control-allow-origin"), "https://app.test");
    let admin = app.send(Method::OPTIONS, "/admin/keys", &asks, None).await;
    assert_eq!(admin.header("access-control-allow-origin"), "");
}
