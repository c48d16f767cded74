//! The previous release on a database that this release has migrated.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{
    ADA, Application, Browser, Device, Held, Installation, Node, REFRESH_INTERVAL, outcome,
};
use crate::support::{Answer, Kind, PASSWORD, bearer, kids, part};

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
    let opened = Opened::make(&node, &held).await;
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
    every_path_is_refused(&node, &held, &opened).await;
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
    every_path_is_refused(&node, &held, &opened).await;
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

/// Pages that stand open and an application that has registered itself when the upgrade comes.
struct Opened {
    /// Has no session.
    guest: Browser,
    sign_in: Answer,
    consent: Answer,
    device: Answer,
    sign_out: Answer,
    application: Value,
}

impl Opened {
    async fn make(node: &Node, held: &Held) -> Self {
        let (guest, browser) = (Browser::default(), &held.browser);
        let ask_consent = async || browser.authorize(node, &[("prompt", "consent")]).await.expect(200);
        // A consent that is stored, to withdraw.
        let page = ask_consent().await;
        browser.submit(node, &page, "/consent", &[("decision", "allow")]).await.returned_code();
        let waiting = Device::begin(node, &held.web).await;
        let page = browser.get(node, "/device").await.expect(200);
        let device = browser.submit(node, &page, "/device", &[("user_code", &waiting.user_code)]).await;
        Self {
            sign_in: guest.authorize(node, &[]).await.expect(200),
            consent: ask_consent().await,
            device: device.expect(200),
            sign_out: browser.get(node, "/oauth2/logout").await.expect(200),
            application: node.post("/oauth2/register", &[], application()).await.expect(201).json(),
            guest,
        }
    }
}

/// What an application registers.
fn application() -> Value {
    json!({ "redirect_uris": ["https://orders.test/cb"], "client_name": "Orders" })
}

async fn every_path_is_refused(node: &Node, held: &Held, opened: &Opened) {
    for (path, answer) in every_path(node, held).await {
        refused(path, &answer);
    }
    for (path, answer) in every_page(node, held, opened).await {
        refused(path, &answer);
    }
    for (token, method, path, body) in every_change(held, opened) {
        let answer = node.ask(token, method.clone(), &path, body).await;
        refused(&format!("{method} {path}"), &answer);
    }
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

/// The form of each page that stood open, filled in.
async fn every_page(node: &Node, held: &Held, opened: &Opened) -> Vec<(&'static str, Answer)> {
    let (guest, browser) = (&opened.guest, &held.browser);
    let known = [("email", ADA), ("password", PASSWORD)];
    let newcomer = [("email", "new@x.test"), ("password", PASSWORD)];
    let (allow, sign_out) = ([("decision", "allow")], [("decision", "sign_out")]);
    vec![
        ("sign-in", guest.submit(node, &opened.sign_in, "/sign-in", &known).await),
        ("sign-up", guest.submit(node, &opened.sign_in, "/sign-up", &newcomer).await),
        ("consent", browser.submit(node, &opened.consent, "/consent", &allow).await),
        ("device page", browser.submit(node, &opened.device, "/device", &allow).await),
        ("sign-out", browser.submit(node, &opened.sign_out, "/oauth2/logout", &sign_out).await),
    ]
}

/// Each change that a user, an operator or an application makes with a token: the token, and the request.
fn every_change<'a>(held: &'a Held, opened: &'a Opened) -> Vec<(&'a str, Method, String, Value)> {
    let (ada, admin) = (held.access.as_str(), held.admin.as_str());
    let claim = |name: &str| part(ada, 1)[name].as_str().unwrap().to_owned();
    let user = format!("/admin/users/{}", claim("sub"));
    let key = part(ada, 0)["kid"].as_str().unwrap().to_owned();
    let registration = opened.application["registration_access_token"].as_str().unwrap();
    let own = opened.application["client_id"].as_str().unwrap();
    let own_path = format!("/oauth2/register/{own}");
    let mut metadata = application();
    metadata["client_id"] = json!(own);
    let new_user = json!({ "email": "new@x.test", "password": PASSWORD });
    let (name, other_name) = (json!({ "name": "Ada" }), json!({ "client_name": "Other" }));
    let new_client = json!({ "client_name": "New", "redirect_uris": ["https://new.test/cb"] });
    let to = |path: &str| path.to_owned();
    vec![
        (ada, Method::DELETE, format!("/auth/sessions/{}", claim("sid")), Value::Null),
        (ada, Method::DELETE, to("/auth/consents/web"), Value::Null),
        (admin, Method::POST, to("/admin/users"), new_user),
        (admin, Method::PATCH, user.clone(), name),
        (admin, Method::POST, format!("{user}/password"), json!({ "password": "entirely another one" })),
        (admin, Method::DELETE, user, Value::Null),
        (admin, Method::POST, to("/admin/clients"), new_client),
        (admin, Method::PATCH, to("/admin/clients/web"), other_name),
        (admin, Method::POST, to("/admin/clients/web/secret"), Value::Null),
        (admin, Method::DELETE, to("/admin/clients/web"), Value::Null),
        (admin, Method::POST, format!("/admin/keys/{key}/revoke"), json!({ "reason": "test" })),
        ("", Method::POST, to("/oauth2/register"), application()),
        (registration, Method::PUT, own_path.clone(), metadata),
        (registration, Method::DELETE, own_path, Value::Null),
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
