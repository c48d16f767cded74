//! The previous release on a database that this release has migrated.

use serde_json::json;

use super::support::{ADA, Application, Held, Installation, Node, REFRESH_INTERVAL, outcome};
use crate::support::{Answer, Kind, PASSWORD, bearer, kids};

/// Why a command of 0.1.0 does nothing.
const OTHER_SCHEMA: &str = "not at this version's schema";
/// A running node goes on to record which services fetch the key set and how many tokens the keys have signed.
const STATISTICS: [&str; 2] = ["issued_tokens", "jwks_consumers"];

#[tokio::test]
async fn a_running_node_of_the_previous_release_issues_no_token_on_sqlite() {
    issues_no_token(Kind::Sqlite).await;
}

#[tokio::test]
async fn a_running_node_of_the_previous_release_issues_no_token_on_postgres() {
    issues_no_token(Kind::Postgres).await;
}

async fn issues_no_token(kind: Kind) {
    let installation = Installation::new(kind).await;
    let previous = installation.previous();
    let node = Node::start(&previous);
    let held = Held::make(&node, &previous).await;
    let failures = "SELECT CAST(sum(failures) AS BIGINT) FROM login_attempts";
    node.login(ADA, "not the password").await.expect_problem(401, "invalid_credentials");
    let published = kids(&node.get("/.well-known/jwks.json").await.expect(200).json());

    assert_eq!(outcome(&installation.present(), &["migrate"]).0, Some(0));
    // First the grant that reads few tables and writes none, while the node may still sign with the keys it has read.
    refused("client credentials", &held.web.credentials(&node).await);
    let migrated = installation.rows().await;
    let changed = async |may_change: &[&str]| {
        let mut changed = installation.changed(&migrated).await;
        changed.retain(|table| !may_change.contains(&table.as_str()));
        changed
    };
    let failed = installation.database.count(failures).await;
    for (path, answer) in every_path(&node, &held).await {
        refused(path, &answer);
    }
    assert_eq!(changed(&STATISTICS).await, [""; 0]);
    // An attempt of a known device is not charged to its network, but to the device: the charge lapses.
    let wrong = json!({ "email": ADA, "password": "not the password" });
    let wrong = node.post("/auth/login", &[("cookie", &held.device_cookie)], wrong).await;
    refused("a wrong password of a known device", &wrong);
    assert_eq!(installation.database.count(failures).await, failed);

    tokio::time::sleep(REFRESH_INTERVAL * 3 / 2).await;
    let set = node.get("/.well-known/jwks.json").await.expect(200).json();
    assert_eq!(kids(&set), published);
    for path in ["/.well-known/openid-configuration", "/health/live"] {
        node.get(path).await.expect(200);
    }
    refused("readiness", &node.get("/health/ready").await);
    for (path, answer) in every_path(&node, &held).await {
        refused(path, &answer);
    }
    assert_eq!(changed(&[&STATISTICS[..], &["login_attempts"]].concat()).await, [""; 0]);
    node.stop();

    // What the refused requests showed is still good.
    let node = Node::start(&installation.present());
    held.web.exchange_code(&node, &held.code).await.expect(200);
    held.web.poll_device(&node, &held.allowed_device.code).await.expect(200);
    held.web.refresh(&node, &held.client_refresh).await.expect(200);
    node.refresh(&held.refresh).await.expect(200);
    node.refresh_by_cookie(&held.refresh_cookie).await.expect(200);
    node.login(ADA, PASSWORD).await.expect(200);
    node.stop();
}

/// One request on each path by which a token, a session or an account comes to be or changes.
async fn every_path(node: &Node, held: &Held) -> Vec<(&'static str, Answer)> {
    let (web, browser) = (&held.web, &held.browser);
    let credentials = || json!({ "email": ADA, "password": PASSWORD });
    let by_device = [("cookie", held.device_cookie.as_str())];
    let as_user = [("authorization", &*bearer(&held.access))];
    let new_password = json!({ "current_password": PASSWORD, "new_password": "entirely another one" });
    vec![
        ("login", node.login(ADA, PASSWORD).await),
        ("login with a wrong password", node.login(ADA, "not the password").await),
        ("login of a known device", node.post("/auth/login", &by_device, credentials()).await),
        ("registration", node.post("/auth/register", &[], credentials()).await),
        ("refresh", node.refresh(&held.refresh).await),
        ("refresh by cookie", node.refresh_by_cookie(&held.refresh_cookie).await),
        ("password", node.post("/auth/password", &as_user, new_password).await),
        ("logout", node.post("/auth/logout", &as_user, json!({})).await),
        ("rotation", node.rotate(&held.admin).await),
        ("code", web.exchange_code(node, &held.code).await),
        ("refresh of a client", web.refresh(node, &held.client_refresh).await),
        ("client credentials", web.credentials(node).await),
        ("device", web.poll_device(node, &held.allowed_device.code).await),
        ("device that waits", web.poll_device(node, &held.waiting_device.code).await),
        ("token exchange", web.exchange_token(node, &held.client_access).await),
        ("pushed request", web.post(node, "/oauth2/par", &Application::request(&[])).await),
        ("device begins", web.post(node, "/oauth2/device_authorization", &[]).await),
        ("revocation", web.post(node, "/oauth2/revoke", &[("token", &held.client_refresh)]).await),
        ("authorization", browser.authorize(node, &[]).await),
    ]
}

#[track_caller]
fn refused(path: &str, answer: &Answer) {
    assert!(matches!(answer.status.as_u16(), 500 | 503), "{path}: {} {}", answer.status, answer.text);
    assert!(!answer.text.contains("access_token"), "{path}: {}", answer.text);
}

#[tokio::test]
async fn the_previous_release_does_not_start_on_a_migrated_database_and_changes_nothing() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let installation = Installation::new(kind).await;
        let previous = installation.previous();
        Node::start(&previous).stop();
        assert_eq!(outcome(&installation.present(), &["migrate"]).0, Some(0));
        let migrated = installation.rows().await;
        for (arguments, reason) in [
            (&["serve"][..], "sealed_private"),
            (&["migrate"], "newer Chancery"),
            (&["keys", "list"], OTHER_SCHEMA),
            (&["keys", "rotate", "--force", "--reason", "test"], OTHER_SCHEMA),
            (&["fence", "--reason", "test"], OTHER_SCHEMA),
            (&["users", "disable", "--email", ADA], OTHER_SCHEMA),
        ] {
            let (code, message) = outcome(&previous, arguments);
            assert_eq!(code, Some(1), "{arguments:?}: {message}");
            assert!(message.contains(reason), "{arguments:?}: {message}");
        }
        assert_eq!(installation.changed(&migrated).await, [""; 0]);
    }
}
