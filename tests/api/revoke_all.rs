//! One command after which nothing from before is good any more.

use chancery::domain::operations::{AuditContext, Reason};
use chancery::flows::operations::{RevokeAll, RevokeAllError, revoke_all};
use chancery::views::RevokeAllView;
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Chancery, Database, Kind, MASTER_KEY, PASSWORD, TestApp, kids, on_both};

async fn revoke(app: &TestApp, dry_run: bool) -> Result<RevokeAllView, RevokeAllError> {
    let reason = Reason::parse("restored a backup").unwrap();
    revoke_all(&app.app, RevokeAll { reason, dry_run, context: AuditContext::operator() }).await
}

on_both! {
    async fn after_revoke_all_nothing_from_before_is_good_on_any_node(app: TestApp) {
        let other = app.another_node(&[]).await;
        let admin = app.admin().await;
        let ada = app.newcomer("ada@x.test").await;
        app.post_as(&admin, "/admin/keys/rotate", json!({ "force": true, "reason": "so that there is a previous key" })).await.expect(200);
        let bob = app.newcomer("bob@x.test").await;
        let before = kids(&app.get("/.well-known/jwks.json").await.json());
        assert_eq!(before.len(), 3);

        let foreseen = revoke(&app, true).await.unwrap();
        assert_eq!((foreseen.sessions, foreseen.revoked.len(), foreseen.valid_tokens), (3, 3, 3));
        app.get_as(&ada.access_token(), "/auth/me").await.expect(200);

        let done = revoke(&app, false).await.unwrap();
        assert_eq!((done.sessions, done.revoked.len()), (3, 3));
        for node in [&app, &other] {
            chancery::flows::keys::load_keyring(&node.app).await.unwrap();
            let after = kids(&node.get("/.well-known/jwks.json").await.json());
            assert_eq!(after.len(), 2);
            assert!(after.iter().all(|kid| !before.contains(kid)), "keys that were never published");
            for session in [&ada, &bob] {
                node.get_as(&session.access_token(), "/auth/me").await.expect_problem(401, "invalid_token");
                node.refresh(&session.refresh_token()).await.expect_problem(401, "invalid_grant");
            }
            node.get_as(&admin, "/admin/keys").await.expect_problem(401, "invalid_token");
        }
        let again = other.login("ada@x.test").await;
        app.get_as(&again.access_token(), "/auth/me").await.expect(200);
        app.refresh(&again.refresh_token()).await.expect(200);
        let told = "SELECT count(*) FROM audit WHERE event = 'all_sessions_revoked' AND actor = 'operator:cli' AND detail LIKE '%restored a backup%'";
        assert_eq!(app.database.count(told).await, 1);
        other.stop().await;
    }

    async fn revoke_all_may_run_again(app: TestApp) {
        app.newcomer("ada@x.test").await;
        revoke(&app, false).await.unwrap();
        let again = revoke(&app, false).await.unwrap();
        assert_eq!((again.sessions, again.revoked.len()), (0, 2));
        app.login("ada@x.test").await;
        app.open_the_gate();
        let admin = app.admin().await;
        app.post_as(&admin, "/admin/keys/rotate", json!({})).await.expect(200);
    }

    async fn what_was_answered_to_an_idempotency_key_before_is_forgotten(app: TestApp) {
        let admin = app.admin().await;
        let headers = [("authorization", format!("Bearer {admin}")), ("content-type", "application/json".to_owned()), ("idempotency-key", "k".to_owned())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = json!({ "force": true, "reason": "test" }).to_string();
        app.send(reqwest::Method::POST, "/admin/keys/rotate", &headers, Some(body)).await.expect(200);
        app.advance(chrono::TimeDelta::seconds(1));
        revoke(&app, false).await.unwrap();
        assert_eq!(app.database.count("SELECT count(*) FROM idempotency_keys").await, 0);
    }
}

/// The whole story with the real program: a backup, what happens after it, the backup restored, `revoke-all`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_brings_back_nothing_after_revoke_all() {
    let folder = tempdir().unwrap();
    let database = Database::create(Kind::Sqlite).await;
    let chancery = Chancery::new(folder.path())
        .with("CHANCERY_DATABASE__URL", &database.url())
        .with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY)
        .with("CHANCERY_SERVER__ISSUER", "https://auth.test");
    let files = database.url().strip_prefix("sqlite://").unwrap().to_owned();
    let post = async |base: &str, path: &str, body: Value| {
        let answer = Client::new().post(format!("{base}{path}")).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
    };
    let credentials = json!({ "email": "ada@x.test", "password": PASSWORD });

    let serving = chancery.serve();
    post(&serving.address, "/auth/register", credentials.clone()).await;
    let (_, stolen) = post(&serving.address, "/auth/login", credentials.clone()).await;
    assert_eq!(serving.terminate(), Some(0));
    std::fs::copy(&files, folder.path().join("backup.db")).unwrap();

    let serving = chancery.serve();
    let logout = Client::new().post(format!("{}/auth/logout", serving.address)).json(&json!({ "all": true }));
    let logout = logout.bearer_auth(stolen["access_token"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(logout.status(), 204);
    let refresh = json!({ "refresh_token": stolen["refresh_token"] });
    assert_eq!(post(&serving.address, "/auth/refresh", refresh.clone()).await.0, 401);
    assert_eq!(serving.terminate(), Some(0));
    for beside in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{files}{beside}"));
    }
    std::fs::copy(folder.path().join("backup.db"), &files).unwrap();

    let dry = chancery.run(&["revoke-all", "--reason", "restored", "--dry-run", "-o", "json"], "");
    let foreseen: Value = serde_json::from_slice(&dry.stdout).unwrap();
    assert_eq!(
        (&foreseen["sessions"], &foreseen["dry_run"]),
        (&json!(1), &json!(true)),
        "the ended session lives again"
    );
    let done = chancery.run(&["revoke-all", "--reason", "restored"], "");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(String::from_utf8_lossy(&done.stdout).starts_with("Ended 1 session:"));
    let serving = chancery.serve();
    assert_eq!(post(&serving.address, "/auth/refresh", refresh).await.0, 401);
    let me = Client::new().get(format!("{}/auth/me", serving.address));
    assert_eq!(me.bearer_auth(stolen["access_token"].as_str().unwrap()).send().await.unwrap().status(), 401);
    assert_eq!(post(&serving.address, "/auth/login", credentials).await.0, 200);
    let reasonless = chancery.run(&["revoke-all", "--reason", " "], "");
    assert_eq!(reasonless.status.code(), Some(2));
}
