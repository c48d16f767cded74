use crate::support::{Kind, TestApp, on_both};

on_both! {
    async fn a_node_that_works_says_so(app: TestApp) {
        assert_eq!(app.get("/health/live").await.expect(200).text, r#"{"status":"ok"}"#);
        assert_eq!(app.get("/health/ready").await.expect(200).text, r#"{"status":"ok"}"#);
    }

    async fn a_node_that_drains_is_alive_and_not_ready(app: TestApp) {
        app.app.start_draining();
        app.get("/health/ready").await.expect_problem(503, "not_ready");
        app.get("/health/live").await.expect(200);
    }

    async fn without_its_database_a_node_serves_keys_and_issues_nothing(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        let keys = app.get("/.well-known/jwks.json").await.text;
        app.app.db.close().await;
        assert_eq!(app.get("/.well-known/jwks.json").await.expect(200).text, keys);
        app.get("/.well-known/openid-configuration").await.expect(200);
        app.get("/health/live").await.expect(200);
        for refused in [
            app.get("/health/ready").await,
            app.try_login("ada@x.test", crate::support::PASSWORD).await,
            app.refresh(&login.refresh_token()).await,
            app.get_as(&login.access_token(), "/auth/me").await,
        ] {
            assert_eq!(refused.header("retry-after"), "2");
            refused.expect_problem(503, "database_unavailable");
        }
    }

    async fn metrics_tell_what_happened_and_to_nobody_whom(app: TestApp) {
        app.newcomer("ada@x.test").await;
        app.try_login("ada@x.test", "wrong wrong wrong").await.expect(401);
        app.get("/.well-known/jwks.json").await.expect(200);
        let answer = app.get("/metrics").await.expect(200);
        for name in [
            "chancery_logins_total{outcome=\"success\"}",
            "chancery_logins_total{outcome=\"invalid_credentials\"}",
            "chancery_jwks_requests_total{status=\"200\"}",
            "chancery_signing_keys{status=\"current\"} 1",
            "chancery_signing_keys{status=\"next\"} 1",
            "chancery_signing_key_age_seconds",
            "chancery_password_hash_queue_depth",
            "chancery_database_connections{state=\"open\"}",
            "chancery_http_request_duration_seconds_bucket{route=\"/auth/login\"",
        ] {
            assert!(answer.text.contains(name), "{name}");
        }
        assert!(!answer.text.contains("ada"));
    }
}

#[tokio::test]
async fn a_view_of_the_keys_that_is_too_old_signs_nothing() {
    let app = TestApp::start(Kind::Sqlite).await;
    app.register("ada@x.test").await;
    let read_at = app.app.keyring.load_full().unwrap().read_at();
    app.advance(chrono::TimeDelta::seconds(6));
    app.login("ada@x.test").await;
    assert!(app.app.keyring.load_full().unwrap().read_at() > read_at, "read anew before signing");
    // With keys that cannot be read any more, the last good set is served and nothing is signed by it.
    app.database.execute("DELETE FROM signing_keys WHERE activated_at IS NULL").await;
    app.advance(chrono::TimeDelta::seconds(6));
    app.try_login("ada@x.test", crate::support::PASSWORD).await.expect_problem(503, "keys_unavailable");
    app.get("/health/ready").await.expect_problem(503, "keys_unavailable");
    app.get("/.well-known/jwks.json").await.expect(200);
}
