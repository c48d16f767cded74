//! A real server in this process, on a database of its own, with a clock that tests move.

mod database;
mod previous;
mod process;
mod proxy;

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use chancery::app::App;
use chancery::clock::Clock;
use chancery::domain::Email;
use chancery::domain::accounts::{Authority, Role};
use chancery::domain::keys::SigningAlgorithm;
use chancery::domain::operations::AuditContext;
use chancery::flows::accounts::{CreateUser, create_user};
use chancery::keys::{GeneratedKey, KeyFactory};
use chancery::server::Server;
use chancery::settings::Settings;
use chrono::{TimeDelta, Utc};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub use database::{Database, Kind};
pub use process::{Chancery, Serving};
pub use proxy::Wire;

/// The master key of every test.
pub const MASTER_KEY: &str = "test:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
pub const PASSWORD: &str = "correct horse battery";

/// Runs each test on SQLite and on Postgres.
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($app:ident: $node:ty) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(#[$meta])*
            async fn test($app: $node) $body

            #[tokio::test]
            async fn sqlite() {
                test($crate::support::TestApp::start($crate::support::Kind::Sqlite).await).await;
            }

            #[tokio::test]
            async fn postgres() {
                test($crate::support::TestApp::start($crate::support::Kind::Postgres).await).await;
            }
        }
    )+};
}
pub(crate) use on_both;

/// A node under test.
pub struct TestApp {
    pub app: Arc<App>,
    pub address: String,
    pub clock: Clock,
    pub database: Arc<Database>,
    http: reqwest::Client,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// An answer, read.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The problem's code, or nothing.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.code().as_str()), (status, code), "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.json()["status"], status);
        assert_eq!(self.json()["type"], format!("urn:chancery:problem:{code}"));
        assert_eq!(self.json()["request_id"], self.header("x-request-id"));
        self
    }

    pub fn access_token(&self) -> String {
        self.json()["access_token"].as_str().expect("an access token").to_owned()
    }

    pub fn refresh_token(&self) -> String {
        self.json()["refresh_token"].as_str().expect("a refresh token").to_owned()
    }
}

impl TestApp {
    pub async fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[]).await
    }

    /// With settings of its own, as environment variables.
    pub async fn start_with(kind: Kind, settings: &[(&str, &str)]) -> Self {
        let clock = standing_clock();
        let database = Arc::new(Database::create(kind).await);
        Self::build(database, clock, settings, fixed_keys()).await.expect("the server starts")
    }

    /// Another node on the same database and clock.
    pub async fn another_node(&self, settings: &[(&str, &str)]) -> Self {
        Self::start_on(Arc::clone(&self.database), self.clock.clone(), settings).await
    }

    pub async fn start_on(database: Arc<Database>, clock: Clock, settings: &[(&str, &str)]) -> Self {
        Self::try_start_on(database, clock, settings).await.expect("the server starts")
    }

    pub async fn try_start_on(
        database: Arc<Database>,
        clock: Clock,
        settings: &[(&str, &str)],
    ) -> Result<Self, String> {
        // Keys of its own: two nodes never make the same.
        Self::build(database, clock, settings, Vec::new()).await
    }

    async fn build(
        database: Arc<Database>,
        clock: Clock,
        settings: &[(&str, &str)],
        ready: Vec<GeneratedKey>,
    ) -> Result<Self, String> {
        let settings = test_settings(&database, settings);
        let key_factory = KeyFactory::with_ready(settings.keys.plan, ready);
        let (started, starting) = tokio::sync::oneshot::channel();
        let stop = CancellationToken::new();
        let (thread_stop, thread_clock) = (stop.clone(), clock.clone());
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                match Server::build(settings, thread_clock, key_factory).await {
                    Ok(server) => {
                        let address = format!("http://{}", server.address().expect("bound"));
                        let _ = started.send(Ok((Arc::clone(server.app()), address)));
                        server.run(thread_stop).await.expect("served");
                    }
                    Err(error) => {
                        let _ = started.send(Err(error.to_string()));
                    }
                }
            });
        });
        let (app, address) = starting.await.expect("the server's thread lives")?;
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let http = http.expect("a client");
        Ok(Self { app, address, clock, database, http, stop, thread: Some(thread) })
    }

    /// Stops the node and waits until it is gone.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let thread = self.thread.take().expect("running");
        tokio::task::spawn_blocking(move || thread.join().expect("ended well")).await.expect("joined");
    }

    /// The node ends and its database stays.
    pub async fn stop_serving(&self) {
        self.stop.cancel();
        for _ in 0..400 {
            if self.http.get(format!("{}/health/live", self.address)).send().await.is_err() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("the node goes on");
    }

    pub fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header"));
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.expect("a body") }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    pub async fn get_as(&self, token: &str, path: &str) -> Answer {
        self.send(Method::GET, path, &[("authorization", &bearer(token))], None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], Some(body.to_string())).await
    }

    pub async fn post_as(&self, token: &str, path: &str, body: Value) -> Answer {
        self.request_as(token, Method::POST, path, body).await
    }

    pub async fn request_as(&self, token: &str, method: Method, path: &str, body: Value) -> Answer {
        let headers = [("content-type", "application/json"), ("authorization", &bearer(token))];
        self.send(method, path, &headers, Some(body.to_string())).await
    }

    pub async fn delete_as(&self, token: &str, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[("authorization", &bearer(token))], None).await
    }

    pub async fn register(&self, email: &str) -> Answer {
        self.post("/auth/register", json!({ "email": email, "password": PASSWORD })).await.expect(201)
    }

    pub async fn try_login(&self, email: &str, password: &str) -> Answer {
        self.post("/auth/login", json!({ "email": email, "password": password })).await
    }

    pub async fn login(&self, email: &str) -> Answer {
        self.try_login(email, PASSWORD).await.expect(200)
    }

    /// Registers somebody and logs them in.
    pub async fn newcomer(&self, email: &str) -> Answer {
        self.register(email).await;
        self.login(email).await
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        self.post("/auth/refresh", json!({ "refresh_token": token })).await
    }

    /// An administrator's access token.
    pub async fn admin(&self) -> String {
        let wanted = CreateUser {
            email: Email::parse("admin@x.test").expect("an address"),
            password: PASSWORD,
            name: None,
            roles: [Role::admin()].into_iter().collect(),
            authority: Authority::Unlimited,
            context: AuditContext::operator(),
        };
        create_user(&self.app, wanted).await.expect("an administrator");
        self.login("admin@x.test").await.access_token()
    }

    /// The waiting key's lead has passed.
    pub fn open_the_gate(&self) {
        self.advance(self.app.settings.key_policy.lead());
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// A clock that stands at about now, where real programs are too.
#[expect(clippy::disallowed_methods, reason = "where the tests' time begins")]
pub fn standing_clock() -> Clock {
    Clock::manual(Utc::now())
}

/// The kids of a JWK Set or a list of keys.
pub fn kids(keys: &Value) -> Vec<String> {
    let keys = keys["keys"].as_array().expect("keys").iter();
    keys.map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
}

/// A part of a JWT, unverified: 0 the header, 1 the claims.
pub fn part(token: &str, at: usize) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(at).expect("a JWT");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn test_settings(database: &Database, own: &[(&str, &str)]) -> Settings {
    let mut variables: HashMap<String, String> = [
        ("CHANCERY_SERVER__LISTEN", "127.0.0.1:0"),
        ("CHANCERY_SERVER__ISSUER", "https://auth.test"),
        ("CHANCERY_SERVER__WORKERS", "1"),
        ("CHANCERY_DATABASE__URL", &database.url()),
        ("CHANCERY_DATABASE__POOL_SIZE", "8"),
        // Many tests share two cores; none of them is about being slow.
        ("CHANCERY_DATABASE__ACQUIRE_TIMEOUT", "30s"),
        ("CHANCERY_SERVER__REQUEST_TIMEOUT", "60s"),
        ("CHANCERY_PASSWORDS__QUEUE_TIMEOUT", "30s"),
        ("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY),
        ("CHANCERY_KEYS__JWKS_CACHE_FILE", ""),
        ("CHANCERY_PASSWORDS__MEMORY_KIB", "64"),
        ("CHANCERY_PASSWORDS__ITERATIONS", "1"),
        ("CHANCERY_PASSWORDS__THREADS", "1"),
        // Tests make many accounts from one address.
        ("CHANCERY_LOGIN__MAX_REGISTRATIONS_PER_NETWORK", "0"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    variables.extend(own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Settings::load(None, variables).expect("good settings")
}

/// Keys made beforehand: primes take longer than the rest of a test.
fn fixed_keys() -> Vec<GeneratedKey> {
    let ready: [&[u8]; 6] = [
        include_bytes!("rsa-1.der"),
        include_bytes!("rsa-2.der"),
        include_bytes!("rsa-3.der"),
        include_bytes!("rsa-4.der"),
        include_bytes!("rsa-5.der"),
        include_bytes!("rsa-6.der"),
    ];
    let key = |der| GeneratedKey::from_pkcs8(SigningAlgorithm::Rs256, der).expect("a key");
    ready.into_iter().map(key).collect()
}

/// Waits for what a background task does.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("not within ten seconds: {what}");
}
