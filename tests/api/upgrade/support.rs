//! An installation that changes its release, and its users, clients and operators.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::oauth2::support::{CALLBACK, CHALLENGE, VERIFIER, encode};
use crate::support::{Answer, Chancery, Database, Kind, MASTER_KEY, PASSWORD, Serving, bearer};

/// The interval of both releases at which a node reads the signing keys again.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(2);
pub const ADMIN: &str = "admin@x.test";
pub const ADA: &str = "ada@x.test";
/// An account that the previous release locked.
pub const LOCKED: &str = "locked@x.test";

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A database, a working directory, and the programs of two releases.
pub struct Installation {
    pub database: Database,
    folder: TempDir,
}

impl Installation {
    pub async fn new(kind: Kind) -> Self {
        Self { database: Database::create(kind).await, folder: TempDir::new().unwrap() }
    }

    /// The previous release, with its names of settings.
    pub fn previous(&self) -> Chancery {
        self.with_common(Chancery::previous(self.folder.path()))
            .with("CHANCERY_KEYS__POLL", "2s")
            .with("CHANCERY_LOGIN__FREE_ATTEMPTS", "3")
            .with("CHANCERY_LOGIN__HARD_STOP", "3")
            .with("CHANCERY_OAUTH__PAR_LIFE", "10m")
    }

    /// This release, with the same settings.
    pub fn present(&self) -> Chancery {
        self.with_common(Chancery::new(self.folder.path()))
            .with("CHANCERY_KEYS__REFRESH_INTERVAL", "2s")
            .with("CHANCERY_LOGIN__ATTEMPTS_BEFORE_BACKOFF", "3")
            .with("CHANCERY_LOGIN__LOCKOUT_THRESHOLD", "3")
            .with("CHANCERY_OAUTH__PAR_TTL", "10m")
    }

    fn with_common(&self, chancery: Chancery) -> Chancery {
        chancery
            .with("DATABASE_URL", &self.database.url())
            .with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY)
            .with("CHANCERY_SERVER__ISSUER", "https://auth.test")
            .with("CHANCERY_OAUTH__REGISTRATION", "open")
    }

    /// The rows of every table, as text.
    pub async fn rows(&self) -> BTreeMap<String, String> {
        let mut rows = BTreeMap::new();
        for table in self.database.tables().await {
            let text = self.database.rows(&table).await;
            rows.insert(table, text);
        }
        rows
    }

    /// The tables with other rows than before.
    pub async fn changed(&self, before: &BTreeMap<String, String>) -> Vec<String> {
        let now = self.rows().await;
        assert!(now.keys().eq(before.keys()), "{:?}", now.keys());
        now.into_iter().filter(|(table, rows)| before[table] != *rows).map(|(table, _)| table).collect()
    }
}

/// Runs a command that must succeed.
pub fn run(chancery: &Chancery, arguments: &[&str], stdin: &str) -> Value {
    let output = chancery.run(&[arguments, &["-o", "json"]].concat(), stdin);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// Runs a command that must end by itself. Returns its exit code and its standard error.
pub fn outcome(chancery: &Chancery, arguments: &[&str]) -> (Option<i32>, String) {
    let path = chancery.folder.join("refused");
    let mut command = chancery.command(arguments);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&path).unwrap());
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{arguments:?} goes on");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    (code, std::fs::read_to_string(path).unwrap())
}

/// A running node.
pub struct Node {
    serving: Serving,
    http: reqwest::Client,
}

impl Node {
    pub fn start(chancery: &Chancery) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        Self { serving: chancery.serve(), http: http.unwrap() }
    }

    pub fn stop(self) {
        assert_eq!(self.serving.terminate(), Some(0));
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.serving.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body.unwrap_or_default()).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    pub async fn get_as(&self, token: &str, path: &str) -> Answer {
        self.send(Method::GET, path, &[("authorization", &bearer(token))], None).await
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let headers = [headers, &[("content-type", "application/json")]].concat();
        self.send(Method::POST, path, &headers, Some(body.to_string())).await
    }

    /// A request in the name of a token.
    pub async fn ask(&self, token: &str, method: Method, path: &str, body: Value) -> Answer {
        let headers = [("authorization", &*bearer(token)), ("content-type", "application/json")];
        self.send(method, path, &headers, Some(body.to_string())).await
    }

    pub async fn login(&self, email: &str, password: &str) -> Answer {
        self.post("/auth/login", &[], json!({ "email": email, "password": password })).await
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        self.post("/auth/refresh", &[], json!({ "refresh_token": token })).await
    }

    pub async fn refresh_by_cookie(&self, cookie: &str) -> Answer {
        let headers = [("cookie", cookie), ("origin", "https://auth.test")];
        self.send(Method::POST, "/auth/refresh", &headers, None).await
    }

    /// Rotates the signing keys. A second call gets the stored answer of the first.
    pub async fn rotate(&self, admin: &str) -> Answer {
        let headers = [("authorization", &*bearer(admin)), ("idempotency-key", "upgrade")];
        self.post("/admin/keys/rotate", &headers, json!({ "force": true, "reason": "test" })).await
    }

    /// The events of one name, or of all names, newest first.
    pub async fn events(&self, admin: &str, named: Option<&str>) -> Vec<Value> {
        let filter = named.map(|name| format!("&event={name}")).unwrap_or_default();
        let page = self.get_as(admin, &format!("/admin/audit?limit=200{filter}")).await.expect(200).json();
        assert_eq!(page["next_cursor"], Value::Null);
        page["events"].as_array().unwrap().clone()
    }
}

/// A confidential client that uses every grant.
pub struct Application {
    secret: String,
}

impl Application {
    /// Registers the client with the previous release.
    pub fn register(previous: &Chancery) -> Self {
        let create = [
            "clients create --id web --name Web --no-consent --exchange-audience stock --grant authorization_code",
            "--grant refresh_token --grant client_credentials --grant device_code --grant token-exchange",
            "--scope openid --scope email --scope offline_access --scope orders:read --redirect-uri",
            CALLBACK,
        ]
        .join(" ");
        let made = run(previous, &create.split(' ').collect::<Vec<_>>(), "");
        Self { secret: made["client_secret"].as_str().unwrap().to_owned() }
    }

    pub async fn post(&self, node: &Node, path: &str, form: &[(&str, &str)]) -> Answer {
        let basic = format!("Basic {}", STANDARD.encode(format!("web:{}", self.secret)));
        let headers = [("authorization", &*basic), ("content-type", "application/x-www-form-urlencoded")];
        node.send(Method::POST, path, &headers, Some(encode(form))).await
    }

    pub async fn token(&self, node: &Node, grant: &str, own: &[(&str, &str)]) -> Answer {
        self.post(node, "/oauth2/token", &[&[("grant_type", grant)], own].concat()).await
    }

    pub async fn exchange_code(&self, node: &Node, code: &str) -> Answer {
        let own = [("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
        self.token(node, "authorization_code", &own).await
    }

    pub async fn refresh(&self, node: &Node, token: &str) -> Answer {
        self.token(node, "refresh_token", &[("refresh_token", token)]).await
    }

    pub async fn credentials(&self, node: &Node) -> Answer {
        self.token(node, "client_credentials", &[]).await
    }

    pub async fn poll_device(&self, node: &Node, code: &str) -> Answer {
        self.token(node, DEVICE_CODE, &[("device_code", code)]).await
    }

    pub async fn exchange_token(&self, node: &Node, token: &str) -> Answer {
        let own = [("subject_token", token), ("subject_token_type", ACCESS_TOKEN), ("audience", "stock")];
        self.token(node, EXCHANGE, &own).await
    }

    /// An authorization request, as a form.
    pub fn request<'a>(own: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let usual = [
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("scope", "openid email offline_access"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        [&usual[..], own].concat()
    }
}

/// Keeps cookies and follows nothing.
#[derive(Default)]
pub struct Browser {
    cookies: RefCell<BTreeMap<String, String>>,
}

impl Browser {
    pub async fn get(&self, node: &Node, path: &str) -> Answer {
        self.send(node, Method::GET, path, None).await
    }

    /// Fills in the form of a page and sends it.
    pub async fn submit(&self, node: &Node, page: &Answer, path: &str, typed: &[(&str, &str)]) -> Answer {
        let hidden = page.text.split("type=\"hidden\" name=\"").nth(1).expect("a form");
        let parts: Vec<&str> = hidden.split('"').collect();
        let form = encode(&[&[(parts[0], parts[2])], typed].concat());
        self.send(node, Method::POST, path, Some(form)).await
    }

    async fn send(&self, node: &Node, method: Method, path: &str, form: Option<String>) -> Answer {
        let cookies =
            self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        let (cookies, form_type) = (cookies.join("; "), "application/x-www-form-urlencoded");
        let answer =
            node.send(method, path, &[("cookie", &*cookies), ("content-type", form_type)], form).await;
        for (name, value) in set_cookies(&answer) {
            self.cookies.borrow_mut().insert(name, value);
        }
        answer
    }

    /// Asks for a code of the client. A page means that the user must sign in or agree.
    pub async fn authorize(&self, node: &Node, own: &[(&str, &str)]) -> Answer {
        let query = encode(&[&Application::request(own)[..], &[("client_id", "web")]].concat());
        self.get(node, &format!("/oauth2/authorize?{query}")).await
    }

    /// Lets a device in. The user is signed in.
    pub async fn allow_device(&self, node: &Node, user_code: &str) {
        let page = self.get(node, "/device").await.expect(200);
        let page = self.submit(node, &page, "/device", &[("user_code", user_code)]).await.expect(200);
        self.submit(node, &page, "/device", &[("decision", "allow")]).await.expect(200);
    }
}

fn set_cookies(answer: &Answer) -> Vec<(String, String)> {
    let all = answer.headers.get_all("set-cookie").iter().map(|set| set.to_str().unwrap());
    all.map(|set| {
        let (name, rest) = set.split_once('=').unwrap();
        (name.to_owned(), rest.split(';').next().unwrap().to_owned())
    })
    .collect()
}

/// A cookie of an answer, as a request sends it.
pub fn cookie(answer: &Answer, name: &str) -> String {
    let (name, value) = set_cookies(answer).into_iter().find(|(set, _)| set == name).expect("the cookie");
    format!("{name}={value}")
}

fn text(answer: &Answer, member: &str) -> String {
    answer.json()[member].as_str().unwrap_or_else(|| panic!("no {member}: {}", answer.text)).to_owned()
}

/// Everything that users, clients and operators hold when the upgrade comes.
pub struct Held {
    pub admin: String,
    pub access: String,
    pub refresh: String,
    pub refresh_cookie: String,
    pub device_cookie: String,
    pub browser: Browser,
    pub web: Application,
    pub client_access: String,
    pub client_refresh: String,
    pub id_token: String,
    pub code: String,
    pub waiting_device: Device,
    pub allowed_device: Device,
    pub pushed: String,
    pub rotation: String,
}

pub struct Device {
    pub code: String,
    pub user_code: String,
}

impl Held {
    /// Fills the database by way of the previous release.
    pub async fn make(node: &Node, previous: &Chancery) -> Self {
        let create = ["users", "create", "--email", ADMIN, "--admin", "--password-stdin"];
        run(previous, &create, PASSWORD);
        for email in [ADA, LOCKED] {
            let account = json!({ "email": email, "password": PASSWORD });
            node.post("/auth/register", &[], account).await.expect(201);
        }
        let web = Application::register(previous);
        let admin = node.login(ADMIN, PASSWORD).await.expect(200).access_token();
        let rotation = node.rotate(&admin).await.expect(200).text;

        let in_cookie = json!({ "email": ADA, "password": PASSWORD, "cookie": true });
        let in_cookie = node.post("/auth/login", &[], in_cookie).await.expect(200);
        let login = node.login(ADA, PASSWORD).await.expect(200);

        let browser = Browser::default();
        let page = browser.authorize(node, &[]).await.expect(200);
        let typed = [("email", ADA), ("password", PASSWORD)];
        let code = browser.submit(node, &page, "/sign-in", &typed).await.returned_code();
        let tokens = web.exchange_code(node, &code).await.expect(200);
        let code = browser.authorize(node, &[]).await.returned_code();
        let allowed_device = Device::begin(node, &web).await;
        browser.allow_device(node, &allowed_device.user_code).await;
        let pushed = web.post(node, "/oauth2/par", &Application::request(&[])).await.expect(201);
        Self {
            admin,
            access: login.access_token(),
            refresh: login.refresh_token(),
            refresh_cookie: cookie(&in_cookie, "__Host-chancery_refresh"),
            device_cookie: cookie(&in_cookie, "__Host-chancery_device"),
            client_access: tokens.access_token(),
            client_refresh: tokens.refresh_token(),
            id_token: text(&tokens, "id_token"),
            code,
            waiting_device: Device::begin(node, &web).await,
            allowed_device,
            pushed: text(&pushed, "request_uri"),
            rotation,
            browser,
            web,
        }
    }
}

impl Device {
    pub async fn begin(node: &Node, web: &Application) -> Self {
        let begun = web.post(node, "/oauth2/device_authorization", &[("scope", "openid")]).await.expect(200);
        Self { code: text(&begun, "device_code"), user_code: text(&begun, "user_code") }
    }
}
