//! A database that the previous release made.

use serde_json::{Value, json};

use super::support::{ADA, Held, Installation, LOCKED, Node, outcome, run};
use crate::oauth2::support::encode;
use crate::support::{Chancery, Kind, PASSWORD, eventually, kids, part};

/// Names of audit events in the previous release and in this one.
pub const RENAMED: [(&str, &str); 7] = [
    ("fenced", "all_sessions_revoked"),
    ("login_stopped", "account_locked"),
    ("sign_up_repeated", "registration_duplicate"),
    ("client_session_begun", "session_started"),
    ("code_reused", "authorization_code_reused"),
    ("key_mended", "key_repaired"),
    ("user_code_refused", "user_code_rejected"),
];

#[tokio::test]
async fn a_database_of_the_previous_release_goes_on_on_sqlite() {
    goes_on(Kind::Sqlite).await;
}

#[tokio::test]
async fn a_database_of_the_previous_release_goes_on_on_postgres() {
    goes_on(Kind::Postgres).await;
}

async fn goes_on(kind: Kind) {
    let installation = Installation::new(kind).await;
    let database = &installation.database;
    let previous = installation.previous();
    let node = Node::start(&previous);
    damage_and_fence(&installation, &node, &previous).await;
    let held = Held::make(&node, &previous).await;
    cause_events(&node, &held).await;
    let events = node.events(&held.admin, None).await;
    for (old, _) in RENAMED {
        assert!(events.iter().any(|event| event["event"] == old), "{old}");
    }
    let jwks = node.get("/.well-known/jwks.json").await.expect(200).json();
    node.stop();
    let attempts = database.rows("login_attempts").await;
    assert!(!attempts.is_empty());

    let present = installation.present();
    let node = Node::start(&present);
    assert_eq!(kids(&node.get("/.well-known/jwks.json").await.expect(200).json()), kids(&jwks));
    assert_eq!(database.rows("login_attempts").await, attempts, "failed attempts are kept");
    sessions_go_on(&node, &held, &kids(&jwks)).await;
    clients_go_on(&node, &held).await;
    the_browser_is_signed_in(&node, &held).await;
    assert_eq!(node.rotate(&held.admin).await.expect(200).text, held.rotation);
    events_have_new_names(&installation, &node, &held.admin, &events).await;
    node.stop();
    let rotated = run(&present, &["keys", "rotate", "--force", "--reason", "test"], "");
    assert_eq!(rotated["current"]["kid"], kids(&jwks)[1], "the next key of the previous release signs");
}

/// Two rare events: a public key that is repaired, and the end of all sessions.
async fn damage_and_fence(installation: &Installation, node: &Node, previous: &Chancery) {
    let published = async || kids(&node.get("/.well-known/jwks.json").await.expect(200).json());
    let database = &installation.database;
    database.execute("UPDATE signing_keys SET public_jwk = '{}' WHERE activated_at IS NULL").await;
    let repaired = "SELECT count(*) FROM audit WHERE event = 'key_mended'";
    eventually("the key is repaired", async || database.count(repaired).await == 1).await;
    let before = published().await;
    run(previous, &["fence", "--reason", "test"], "");
    eventually("the node has the new keys", async || published().await != before).await;
}

async fn cause_events(node: &Node, held: &Held) {
    let again = json!({ "email": ADA, "password": PASSWORD });
    node.post("/auth/register", &[], again).await.expect(201);
    for _ in 0..3 {
        node.login(LOCKED, "not the password").await.expect_problem(401, "invalid_credentials");
    }
    node.login(ADA, "not the password").await.expect_problem(401, "invalid_credentials");
    let code = held.browser.authorize(node, &[]).await.returned_code();
    held.web.exchange_code(node, &code).await.expect(200);
    held.web.exchange_code(node, &code).await.expect(400);
    let page = held.browser.get(node, "/device").await.expect(200);
    held.browser.submit(node, &page, "/device", &[("user_code", "BCDF-GHJK")]).await.expect(422);
}

async fn sessions_go_on(node: &Node, held: &Held, published: &[String]) {
    for token in [&held.access, &held.admin] {
        assert!(published.contains(&part(token, 0)["kid"].as_str().unwrap().to_owned()));
        node.get_as(token, "/auth/me").await.expect(200);
    }
    let refreshed = node.refresh(&held.refresh).await.expect(200);
    assert_eq!(part(&refreshed.access_token(), 0)["kid"], published[0]);
    assert_eq!(part(&refreshed.access_token(), 1)["sid"], part(&held.access, 1)["sid"]);
    node.refresh(&refreshed.refresh_token()).await.expect(200);
    node.refresh_by_cookie(&held.refresh_cookie).await.expect(200);
    let credentials = json!({ "email": ADA, "password": PASSWORD });
    let login = node.post("/auth/login", &[("cookie", &held.device_cookie)], credentials).await.expect(200);
    let sid = &part(&login.access_token(), 1)["sid"];
    let logins = node.events(&held.admin, Some("login_succeeded")).await;
    let detail = logins.iter().map(|event| &event["detail"]).find(|detail| detail["sid"] == *sid).unwrap();
    assert_eq!(detail["known_device"], true);
    node.login(LOCKED, PASSWORD).await.expect_problem(401, "invalid_credentials");
}

async fn clients_go_on(node: &Node, held: &Held) {
    let web = &held.web;
    web.refresh(node, &held.client_refresh).await.expect(200);
    web.exchange_code(node, &held.code).await.expect(200);
    web.credentials(node).await.expect(200);
    web.exchange_token(node, &held.client_access).await.expect(200);
    web.poll_device(node, &held.allowed_device.code).await.expect(200);
    node.get_as(&held.client_access, "/oauth2/userinfo").await.expect(200);
}

async fn the_browser_is_signed_in(node: &Node, held: &Held) {
    let (browser, web) = (&held.browser, &held.web);
    let silent = [("prompt", "none"), ("id_token_hint", held.id_token.as_str())];
    let code = browser.authorize(node, &silent).await.returned_code();
    web.exchange_code(node, &code).await.expect(200);
    let pushed = encode(&[("client_id", "web"), ("request_uri", &held.pushed)]);
    let code = browser.get(node, &format!("/oauth2/authorize?{pushed}")).await.returned_code();
    web.exchange_code(node, &code).await.expect(200);
    browser.allow_device(node, &held.waiting_device.user_code).await;
    web.poll_device(node, &held.waiting_device.code).await.expect(200);
}

/// Every row of the previous release is there with its new name, and only the name has changed.
async fn events_have_new_names(installation: &Installation, node: &Node, admin: &str, before: &[Value]) {
    let rename = |event: &Value| {
        let mut event = event.clone();
        if let Some((_, new)) = RENAMED.iter().find(|(old, _)| event["event"] == *old) {
            event["event"] = json!(new);
        }
        event
    };
    let renamed: Vec<Value> = before.iter().map(rename).collect();
    let mut all = node.events(admin, None).await;
    all.retain(|event| before.iter().any(|before| before["id"] == event["id"]));
    assert_eq!(all, renamed);
    for (old, new) in RENAMED {
        assert!(node.events(admin, Some(old)).await.is_empty(), "{old}");
        let found = node.events(admin, Some(new)).await;
        for event in renamed.iter().filter(|event| event["event"] == new) {
            assert!(found.contains(event), "{new}");
        }
    }
    let altered = installation.database.try_execute("UPDATE audit SET actor = 'forged'").await;
    altered.expect_err("the audit table is append-only again");
}

#[tokio::test]
async fn migrate_brings_a_database_of_the_previous_release_up_to_date_once() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let installation = Installation::new(kind).await;
        assert_eq!(outcome(&installation.previous(), &["migrate"]).0, Some(0));
        let present = installation.present();
        let (code, message) = outcome(&present, &["keys", "list"]);
        assert!(code == Some(1) && message.contains("chancery migrate"), "{message}");
        assert_eq!(outcome(&present, &["migrate"]).0, Some(0));
        let migrated = installation.rows().await;
        assert_eq!(outcome(&present, &["migrate"]).0, Some(0));
        assert_eq!(installation.changed(&migrated).await, [""; 0]);
        Node::start(&present).stop();
    }
}
