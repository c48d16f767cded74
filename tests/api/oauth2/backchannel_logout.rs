//! Clients are told that sessions have ended (OpenID Connect Back-Channel Logout).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chancery::domain::clients::{Client, LogoutUri};
use chancery::domain::operations::{AuditContext, Reason};
use chancery::flows::operations::{RevokeAll, revoke_all};
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::support::{Browser, Registered, claims, client, encode, register};
use crate::support::{Answer, PASSWORD, TestApp, eventually, on_both, part};

/// What a client is told, and what it answers. 0: nothing at all.
pub struct Receiver {
    pub address: String,
    heard: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    pub async fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect::<VecDeque<u16>>()));
        let (into, from) = (Arc::clone(&heard), Arc::clone(&answers));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(receive(stream, Arc::clone(&into), Arc::clone(&from)));
            }
        });
        Self { address, heard, answers }
    }

    fn times(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// Waits until it has been told so often, and gives the last token.
    pub async fn told(&self, times: usize) -> String {
        eventually(&format!("told {times} times"), async || self.times() >= times).await;
        let heard = self.heard.lock().unwrap();
        assert_eq!(heard.len(), times);
        let request = heard.last().unwrap();
        assert!(request.starts_with("POST /out?x=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("content-type: application/x-www-form-urlencoded\r\n"), "{request}");
        request.rsplit_once("\r\n\r\nlogout_token=").unwrap().1.to_owned()
    }
}

async fn receive(mut stream: TcpStream, heard: Arc<Mutex<Vec<String>>>, answers: Arc<Mutex<VecDeque<u16>>>) {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    loop {
        let length = |head: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            line.map_or(0, |length| length.parse::<usize>().unwrap())
        };
        if request.split_once("\r\n\r\n").is_some_and(|(head, body)| body.len() >= length(head)) {
            break;
        }
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        request += std::str::from_utf8(&buffer[..read]).unwrap();
    }
    let status = answers.lock().unwrap().pop_front().unwrap_or(200);
    heard.lock().unwrap().push(request);
    if status == 0 {
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    let answer = format!("HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// The same node, which may tell clients on this machine.
async fn open(app: TestApp) -> TestApp {
    let (database, clock) = (Arc::clone(&app.database), app.clock.clone());
    app.stop().await;
    TestApp::start_on(database, clock, &[("CHANCERY_OAUTH__BACKCHANNEL_PRIVATE_NETWORKS", "true")]).await
}

/// A client that wants to be told.
async fn listening(app: &TestApp, id: &str, address: &str) -> Registered {
    let uri = LogoutUri::parse(&format!("{address}/out?x=1")).unwrap();
    let wanted = Client { backchannel_logout_uri: Some(uri), ..client(app, id) };
    register(app, &wanted).await
}

async fn signed_in(app: &TestApp, client: &Registered, email: &str, scope: &str) -> Answer {
    let code = Browser::new(app).code(client, email, &[("scope", scope)]).await;
    client.exchange(app, &code).await.expect(200)
}

fn sid(tokens: &Answer) -> Value {
    claims(tokens.json()["id_token"].as_str().unwrap())["sid"].clone()
}

async fn pending(app: &TestApp) -> i64 {
    app.database.count("SELECT count(*) FROM backchannel_logouts").await
}

async fn nobody_is_told(app: &TestApp, receiver: &Receiver, times: usize) {
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!((receiver.times(), pending(app).await), (times, 0));
}

on_both! {
    async fn a_logout_token_says_who_and_which_session(app: TestApp) {
        let app = open(app).await;
        let receiver = Receiver::start(&[]).await;
        let ada = app.register("ada@x.test").await.json()["id"].clone();
        let (rp, browser) = (listening(&app, "rp", &receiver.address).await, Browser::new(&app));
        let code = browser.code(&rp, "ada@x.test", &[]).await;
        let tokens = rp.exchange(&app, &code).await.expect(200);
        let hint = tokens.json()["id_token"].as_str().unwrap().to_owned();
        browser.get(&format!("/oauth2/logout?{}", encode(&[("id_token_hint", &hint)]))).await.page(200);
        let token = receiver.told(1).await;
        let header = part(&token, 0);
        assert_eq!((&header["typ"], &header["alg"]), (&json!("logout+jwt"), &json!("RS256")));
        let keys = app.get("/.well-known/jwks.json").await.json();
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keys).unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(set.find(header["kid"].as_str().unwrap()).unwrap()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
        validation.set_audience(&["rp"]);
        validation.set_issuer(&["https://auth.test"]);
        let told = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap().claims;
        let now = app.clock.now().timestamp();
        assert_eq!((&told["sub"], &told["sid"]), (&ada, &sid(&tokens)));
        assert_eq!((&told["iat"], &told["exp"]), (&json!(now), &json!(now + 120)));
        assert_eq!(told["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
        assert!(told["jti"].is_string() && told.get("nonce").is_none());
        // It opens nothing and hints at nothing.
        app.get_as(&token, "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
        browser.get(&format!("/oauth2/logout?{}", encode(&[("id_token_hint", &token)]))).await.page(200);
        nobody_is_told(&app, &receiver, 1).await;
    }

    async fn however_a_session_ends_its_client_is_told_once(app: TestApp) {
        let app = open(app).await;
        let receiver = Receiver::start(&[]).await;
        let rp = listening(&app, "rp", &receiver.address).await;
        let quiet = register(&app, &client(&app, "quiet")).await;
        let admin = app.admin().await;
        let user = app.register("ada@x.test").await.json()["id"].as_str().unwrap().to_owned();
        let user_path = format!("/admin/users/{user}");
        let mut times = 0;
        for way in ["logout all", "one session", "its browser", "password", "an administrator's password", "disabled", "all revoked", "deleted"] {
            let tokens = signed_in(&app, &rp, "ada@x.test", "openid").await;
            signed_in(&app, &quiet, "ada@x.test", "openid").await;
            let own = app.login("ada@x.test").await.access_token();
            let id = sid(&tokens).as_str().unwrap().to_owned();
            match way {
                "logout all" => { app.post_as(&own, "/auth/logout", json!({ "all": true })).await.expect(204); }
                "one session" => { app.delete_as(&own, &format!("/auth/sessions/{id}")).await.expect(204); }
                "its browser" => {
                    let listed = app.get_as(&own, "/auth/sessions").await.json();
                    for session in listed["sessions"].as_array().unwrap().iter().filter(|one| one["client_id"] == "chancery:browser") {
                        app.delete_as(&own, &format!("/auth/sessions/{}", session["id"].as_str().unwrap())).await.expect(204);
                    }
                }
                "password" => { app.post_as(&own, "/auth/password", json!({ "current_password": PASSWORD, "new_password": PASSWORD })).await.expect(204); }
                "an administrator's password" => { app.post_as(&admin, &format!("{user_path}/password"), json!({ "password": PASSWORD })).await.expect(204); }
                "disabled" => {
                    app.request_as(&admin, Method::PATCH, &user_path, json!({ "status": "disabled" })).await.expect(200);
                    app.request_as(&admin, Method::PATCH, &user_path, json!({ "status": "active" })).await.expect(200);
                }
                "all revoked" => {
                    let request = RevokeAll { reason: Reason::parse("a drill").unwrap(), dry_run: false, context: AuditContext::operator() };
                    revoke_all(&app.app, request).await.unwrap();
                }
                _ => {
                    let admin = app.login("admin@x.test").await.access_token();
                    app.delete_as(&admin, &user_path).await.expect(204);
                }
            }
            times += 1;
            let told = part(&receiver.told(times).await, 1);
            assert_eq!((&told["sid"], &told["sub"]), (&json!(id), &json!(user)), "{way}");
        }
        nobody_is_told(&app, &receiver, times).await;
    }

    async fn who_ended_it_or_has_no_address_is_not_told(app: TestApp) {
        let app = open(app).await;
        let receiver = Receiver::start(&[]).await;
        let rp = listening(&app, "rp", &receiver.address).await;
        let login = app.newcomer("ada@x.test").await;
        let tokens = signed_in(&app, &rp, "ada@x.test", "openid").await;
        rp.post(&app, "/oauth2/revoke", &[("token", &tokens.refresh_token())]).await.expect(200);
        app.post_as(&login.access_token(), "/auth/logout", json!({})).await.expect(204);
        assert_eq!(pending(&app).await, 0);
        // One that was to be told and is gone.
        let tokens = signed_in(&app, &rp, "ada@x.test", "openid").await;
        receiver.answers.lock().unwrap().push_back(500);
        let own = app.login("ada@x.test").await.access_token();
        app.delete_as(&own, &format!("/auth/sessions/{}", sid(&tokens).as_str().unwrap())).await.expect(204);
        receiver.told(1).await;
        let admin = app.admin().await;
        app.delete_as(&admin, "/admin/clients/rp").await.expect(204);
        app.advance(TimeDelta::minutes(1));
        nobody_is_told(&app, &receiver, 1).await;
    }

    async fn access_without_the_user_goes_on_and_its_client_is_told(app: TestApp) {
        let app = open(app).await;
        let receiver = Receiver::start(&[]).await;
        app.register("ada@x.test").await;
        let (rp, browser) = (listening(&app, "rp", &receiver.address).await, Browser::new(&app));
        let code = browser.code(&rp, "ada@x.test", &[("scope", "openid offline_access")]).await;
        let tokens = rp.exchange(&app, &code).await.expect(200);
        let hint = tokens.json()["id_token"].as_str().unwrap().to_owned();
        browser.get(&format!("/oauth2/logout?{}", encode(&[("id_token_hint", &hint)]))).await.page(200);
        assert_eq!(part(&receiver.told(1).await, 1)["sid"], sid(&tokens));
        rp.refresh(&app, &tokens.refresh_token()).await.expect(200);
    }

    async fn who_cannot_listen_is_told_later_and_who_will_not_is_left_alone(app: TestApp) {
        let app = open(app).await;
        // Redirects lead nowhere.
        let receiver = Receiver::start(&[500, 302, 204, 400]).await;
        let rp = listening(&app, "rp", &receiver.address).await;
        app.register("ada@x.test").await;
        let tokens = signed_in(&app, &rp, "ada@x.test", "openid").await;
        let own = app.login("ada@x.test").await.access_token();
        app.delete_as(&own, &format!("/auth/sessions/{}", sid(&tokens).as_str().unwrap())).await.expect(204);
        let first = part(&receiver.told(1).await, 1);
        eventually("put off", async || app.database.count("SELECT count(*) FROM backchannel_logouts WHERE attempts = 1").await == 1).await;
        app.advance(TimeDelta::seconds(4));
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(receiver.times(), 1, "too soon");
        for (times, pause) in [(2, 1), (3, 10)] {
            // What was put off is known when it is written down.
            tokio::time::sleep(Duration::from_millis(300)).await;
            app.advance(TimeDelta::seconds(pause));
            let again = part(&receiver.told(times).await, 1);
            assert_eq!(again["sid"], first["sid"]);
            assert_ne!(again["jti"], first["jti"]);
        }
        eventually("done", async || pending(&app).await == 0).await;
        let tokens = signed_in(&app, &rp, "ada@x.test", "openid").await;
        app.delete_as(&own, &format!("/auth/sessions/{}", sid(&tokens).as_str().unwrap())).await.expect(204);
        receiver.told(4).await;
        eventually("refused", async || pending(&app).await == 0).await;
        app.advance(TimeDelta::hours(2));
        nobody_is_told(&app, &receiver, 4).await;
    }

    async fn after_a_day_nobody_tries_any_more(app: TestApp) {
        let app = open(app).await;
        let receiver = Receiver::start(&[500, 500]).await;
        let rp = listening(&app, "rp", &receiver.address).await;
        app.register("ada@x.test").await;
        let tokens = signed_in(&app, &rp, "ada@x.test", "openid").await;
        let own = app.login("ada@x.test").await.access_token();
        app.delete_as(&own, &format!("/auth/sessions/{}", sid(&tokens).as_str().unwrap())).await.expect(204);
        receiver.told(1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        app.advance(TimeDelta::hours(24));
        receiver.told(2).await;
        eventually("given up", async || pending(&app).await == 0).await;
    }

    async fn a_client_that_hangs_keeps_no_user_waiting(app: TestApp) {
        let app = open(app).await;
        let (hanging, well) = (Receiver::start(&[0; 40]).await, Receiver::start(&[]).await);
        let rps = [listening(&app, "hangs", &hanging.address).await, listening(&app, "well", &well.address).await];
        app.register("ada@x.test").await;
        for rp in &rps {
            signed_in(&app, rp, "ada@x.test", "openid").await;
        }
        let own = app.login("ada@x.test").await.access_token();
        let begun = Instant::now();
        app.post_as(&own, "/auth/logout", json!({ "all": true })).await.expect(204);
        assert!(begun.elapsed() < Duration::from_secs(2));
        well.told(1).await;
        hanging.told(1).await;
        eventually("timed out", async || {
            app.database.count("SELECT count(*) FROM backchannel_logouts WHERE attempts = 1").await == 1 && begun.elapsed() > Duration::from_secs(5)
        }).await;
    }

    async fn this_machine_is_not_asked_unless_the_operator_says_so(app: TestApp) {
        let receiver = Receiver::start(&[]).await;
        let by_name = receiver.address.replace("127.0.0.1", "localhost");
        let rps = [listening(&app, "by-number", &receiver.address).await, listening(&app, "by-name", &by_name).await];
        app.register("ada@x.test").await;
        for rp in &rps {
            signed_in(&app, rp, "ada@x.test", "openid").await;
        }
        let own = app.login("ada@x.test").await.access_token();
        app.post_as(&own, "/auth/logout", json!({ "all": true })).await.expect(204);
        eventually("given up", async || pending(&app).await == 0).await;
        assert_eq!(receiver.times(), 0);
    }

    async fn of_two_nodes_one_tells(app: TestApp) {
        let app = open(app).await;
        let other = app.another_node(&[("CHANCERY_OAUTH__BACKCHANNEL_PRIVATE_NETWORKS", "true")]).await;
        let receiver = Receiver::start(&[]).await;
        let rp = listening(&app, "rp", &receiver.address).await;
        app.register("ada@x.test").await;
        for _ in 0..20 {
            signed_in(&app, &rp, "ada@x.test", "openid").await;
        }
        let own = other.login("ada@x.test").await.access_token();
        other.post_as(&own, "/auth/logout", json!({ "all": true })).await.expect(204);
        receiver.told(20).await;
        nobody_is_told(&app, &receiver, 20).await;
    }
}
