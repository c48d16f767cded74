//! Real processes: killed without warning, stopped politely, and searched for secrets.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Chancery, Database, Kind, MASTER_KEY, PASSWORD};

async fn post(base: &str, path: &str, body: Value) -> (u16, Value) {
    let response = Client::new().post(format!("{base}{path}")).json(&body).send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

fn program(folder: &Path, database: &Database) -> Chancery {
    Chancery::new(folder)
        .with("DATABASE_URL", &database.url())
        .with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY)
        .with("CHANCERY_SERVER__ISSUER", "https://auth.test")
}

#[tokio::test]
async fn what_was_answered_with_200_survives_kill_9() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let database = Database::create(kind).await;
        let folder = tempdir().unwrap();
        let chancery = program(folder.path(), &database);
        let serving = chancery.serve();
        let credentials = json!({ "email": "ada@x.test", "password": PASSWORD });
        assert_eq!(post(&serving.address, "/auth/register", credentials.clone()).await.0, 201);
        let (status, mut tokens) = post(&serving.address, "/auth/login", credentials).await;
        assert_eq!(status, 200);
        serving.kill();
        for _ in 0..8 {
            let serving = chancery.serve();
            let body = json!({ "refresh_token": tokens["refresh_token"] });
            let (status, next) = post(&serving.address, "/auth/refresh", body.clone()).await;
            assert_eq!(status, 200, "{next}");
            serving.kill();
            // The answer may have been lost with the connection: asked again, it is the same.
            let serving = chancery.serve();
            let (status, again) = post(&serving.address, "/auth/refresh", body).await;
            assert_eq!((status, &again["refresh_token"]), (200, &next["refresh_token"]));
            let me = Client::new()
                .get(format!("{}/auth/me", serving.address))
                .bearer_auth(next["access_token"].as_str().unwrap())
                .send()
                .await
                .unwrap();
            assert_eq!(me.status(), 200);
            serving.kill();
            tokens = next;
        }
    }
}

#[tokio::test]
async fn logins_in_flight_finish_before_the_process_ends() {
    let folder = tempdir().unwrap();
    let database = Database::create(Kind::Sqlite).await;
    // A hash that takes long enough to be stopped in the middle of.
    let chancery = program(folder.path(), &database)
        .with("CHANCERY_PASSWORDS__MEMORY_KIB", "65536")
        .with("CHANCERY_PASSWORDS__ITERATIONS", "3");
    let serving = chancery.serve();
    let credentials = json!({ "email": "ada@x.test", "password": PASSWORD });
    assert_eq!(post(&serving.address, "/auth/register", credentials.clone()).await.0, 201);
    let address = serving.address.clone();
    let logins: Vec<_> = (0..4)
        .map(|_| {
            let (address, credentials) = (address.clone(), credentials.clone());
            tokio::spawn(async move { post(&address, "/auth/login", credentials).await.0 })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(30)).await;
    let stopped = tokio::task::spawn_blocking(move || serving.terminate());
    for login in logins {
        assert_eq!(login.await.unwrap(), 200);
    }
    assert_eq!(stopped.await.unwrap(), Some(0));
}

/// So that a balancer hears of it before anybody is turned away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_stop_is_first_not_ready_and_still_answers() {
    let folder = tempdir().unwrap();
    let database = Database::create(Kind::Sqlite).await;
    let serving = program(folder.path(), &database).serve();
    let address = serving.address.clone();
    // A connection for each question, as from somebody who has just come.
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let ask = async |path: &str| {
        let answer = client.get(format!("{address}{path}")).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    };
    assert_eq!(ask("/health/ready").await, Some(200));
    let told = Instant::now();
    let stopped = tokio::task::spawn_blocking(move || serving.terminate());
    let mut not_ready = Vec::new();
    while let Some(status) = ask("/health/ready").await {
        if status == 503 {
            not_ready.push(told.elapsed());
            let others = (ask("/health/live").await, ask("/.well-known/jwks.json").await);
            assert!(matches!(others, (None | Some(200), None | Some(200))), "{others:?}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let heard_for = not_ready.first().zip(not_ready.last()).map(|(first, last)| last.saturating_sub(*first));
    assert!(heard_for > Some(Duration::from_millis(200)), "{not_ready:?}");
    assert_eq!(stopped.await.unwrap(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(10));
}

/// Beside its row, for whoever watches the log: what, when in UTC, who, from where, in which request, about whom.
#[tokio::test]
async fn every_security_event_is_one_line_of_the_log() {
    let folder = tempdir().unwrap();
    let database = Database::create(Kind::Sqlite).await;
    let chancery = program(folder.path(), &database)
        .with("CHANCERY_SESSIONS__REFRESH_GRACE", "0s")
        .with("CHANCERY_LOGIN__ATTEMPTS_BEFORE_BACKOFF", "2")
        .with("CHANCERY_LOGIN__LOCKOUT_THRESHOLD", "2");
    let create = ["users", "create", "admin@x.test", "--admin", "--password-stdin"];
    let serving = chancery.serve();
    assert!(chancery.run(&create, PASSWORD).status.success());
    let base = serving.address.clone();
    let login = async |email: &str, password: &str| {
        post(&base, "/auth/login", json!({ "email": email, "password": password })).await
    };
    let (_, admin) = login("admin@x.test", PASSWORD).await;
    let token = admin["access_token"].as_str().unwrap();
    let order = async |method: reqwest::Method, path: String, body: Value| {
        let request = Client::new().request(method, format!("{base}{path}")).bearer_auth(token).json(&body);
        let answer = request.send().await.unwrap();
        let (status, id) = (answer.status(), answer.headers()["x-request-id"].to_str().unwrap().to_owned());
        assert!(status.is_success(), "{path}: {status}");
        (id, answer.json::<Value>().await.unwrap())
    };
    let ada = json!({ "email": "ada@x.test", "password": PASSWORD, "roles": [] });
    let (_, ada) = order(reqwest::Method::POST, "/admin/users".to_owned(), ada).await;
    let path = format!("/admin/users/{}", ada["id"].as_str().unwrap());
    order(reqwest::Method::PATCH, path, json!({ "name": "Ada" })).await;
    for _ in 0..2 {
        assert_eq!(login("ada@x.test", "not the password").await.0, 401);
    }
    for _ in 0..2 {
        post(&base, "/auth/refresh", json!({ "refresh_token": admin["refresh_token"] })).await;
    }
    // The administrator's session has ended with that.
    let (_, admin) = login("admin@x.test", PASSWORD).await;
    let token = admin["access_token"].as_str().unwrap();
    let order = async |path: String, body: Value| {
        let answer =
            Client::new().post(format!("{base}{path}")).bearer_auth(token).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        (id, answer.json::<Value>().await.unwrap())
    };
    let forced = json!({ "force": true, "reason": "a test of the log" });
    let (rotation, rotated) = order("/admin/keys/rotate".to_owned(), forced).await;
    let previous = rotated["previous"][0]["kid"].as_str().unwrap().to_owned();
    order(
        format!("/admin/keys/{}/revoke", rotated["next"]["kid"].as_str().unwrap()),
        json!({ "reason": "x" }),
    )
    .await;
    assert_eq!(serving.terminate(), Some(0));

    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&Value> = lines.iter().filter(|line| line["target"] == "chancery::audit").collect();
    for event in [
        "login_succeeded",
        "login_failed",
        "account_locked",
        "refresh_reuse",
        "keys_rotation_forced",
        "key_revoked",
        "user_created",
        "user_updated",
    ] {
        let told: Vec<&&Value> = events.iter().filter(|line| line["event"] == event).collect();
        let rows = database.count(&format!("SELECT count(*) FROM audit WHERE event = '{event}'")).await;
        // The command that made the administrator has a log of its own.
        let elsewhere = i64::from(event == "user_created");
        assert_eq!(i64::try_from(told.len()).unwrap(), rows - elsewhere, "{event}");
        assert!(!told.is_empty(), "{event}");
        for line in told {
            let at = line["timestamp"].as_str().unwrap();
            assert!(at.ends_with('Z') && at.parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{line}");
            assert_eq!(line["ip"], "127.0.0.1", "{line}");
            let actor = line["actor"].as_str().unwrap();
            assert!(actor == "anonymous" || actor.starts_with("user:"), "{line}");
            assert!(line["subject"].as_str().is_some_and(|subject| !subject.is_empty()), "{line}");
            assert_eq!(line["span"]["request_id"].as_str().map(str::len), Some(36), "{line}");
        }
    }
    let rotated_line = events.iter().find(|line| line["event"] == "keys_rotation_forced").unwrap();
    assert_eq!(rotated_line["span"]["request_id"], rotation.as_str());
    assert_eq!(rotated_line["subject"], rotated["current"]["kid"]);
    assert_ne!(rotated_line["subject"], previous.as_str());
}

#[tokio::test]
async fn no_secret_is_in_a_log_a_database_an_error_or_a_command_line() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        for format in ["json", "text"] {
            search_for_secrets(kind, format).await;
        }
    }
}

/// Uses every kind of secret once, rightly and wrongly, and looks for each of them wherever something is written or told.
async fn search_for_secrets(kind: Kind, format: &str) {
    let database = Database::create(kind).await;
    let folder = tempdir().unwrap();
    let chancery = program(folder.path(), &database)
        .with("CHANCERY_LOG__LEVEL", "trace")
        .with("CHANCERY_LOG__FORMAT", format);
    let serving = chancery.serve();
    let base = serving.address.clone();
    let password = "a right password found nowhere else";
    let (wrong, as_name) = ("an unmistakable wrong password", "a password typed as a name");
    let new_password = "a wholly new password";
    let credentials = json!({ "email": "ada@x.test", "password": password });
    let mut told = String::new();
    let register = post(&base, "/auth/register", credentials.clone()).await;
    told.push_str(&register.1.to_string());
    let (_, tokens) = post(&base, "/auth/login", credentials).await;
    let refresh_token = tokens["refresh_token"].as_str().unwrap().to_owned();
    for (path, body) in [
        ("/auth/login", json!({ "email": "ada@x.test", "password": wrong })),
        ("/auth/login", json!({ "email": as_name, "password": wrong })),
        ("/auth/login", json!({ "email": wrong, "password": { "x": wrong } })),
        ("/auth/refresh", json!({ "refresh_token": format!("{refresh_token}x") })),
        ("/auth/refresh", json!({ "refresh_token": [refresh_token] })),
        ("/auth/register", json!({ "email": as_name, "password": new_password })),
    ] {
        told.push_str(&post(&base, path, body).await.1.to_string());
    }
    let (_, refreshed) = post(&base, "/auth/refresh", json!({ "refresh_token": refresh_token })).await;
    let access_token = refreshed["access_token"].as_str().unwrap();
    let me = format!("{base}/auth/me?access_token={access_token}");
    told.push_str(&Client::new().get(me).send().await.unwrap().text().await.unwrap());
    let change = json!({ "current_password": password, "new_password": new_password });
    let changed = Client::new().post(format!("{base}/auth/password")).bearer_auth(access_token).json(&change);
    assert_eq!(changed.send().await.unwrap().status(), 204);
    let in_cookie = json!({ "email": "ada@x.test", "password": new_password, "cookie": true });
    let in_cookie = Client::new().post(format!("{base}/auth/login")).json(&in_cookie).send().await.unwrap();
    let cookies: Vec<String> = in_cookie
        .headers()
        .get_all("set-cookie")
        .iter()
        .map(|cookie| cookie.to_str().unwrap().split(['=', ';']).nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(cookies.len(), 2, "the refresh token and the device");
    let by_oauth = secrets_of_oauth(&chancery, &base, new_password).await;
    let private_key = include_str!("keys-fixtures/rsa-pkcs8.pem");
    fs::write(folder.path().join("key.pem"), private_key).unwrap();
    let import = chancery.run(&["keys", "import", "key.pem", "--as", "next"], "");
    assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));
    for path in ["/metrics", "/openapi.json", "/.well-known/jwks.json", "/health/ready"] {
        told.push_str(
            &Client::new().get(format!("{base}{path}")).send().await.unwrap().text().await.unwrap(),
        );
    }
    let command_line = fs::read(format!("/proc/{}/cmdline", serving.pid())).unwrap();
    let shown = chancery.run(&["config", "show"], "").stdout;
    assert_eq!(serving.terminate(), Some(0));
    fs::remove_file(folder.path().join("key.pem")).unwrap();

    let master = MASTER_KEY.split(':').nth(1).unwrap().to_owned();
    let mut secrets: Vec<Vec<u8>> = [password, wrong, as_name, new_password, &master].map(Vec::from).to_vec();
    for answer in [&tokens, &refreshed] {
        for member in ["access_token", "refresh_token"] {
            secrets.push(answer[member].as_str().unwrap().into());
        }
    }
    secrets.extend(cookies.into_iter().chain(by_oauth).map(Vec::from));
    // The master key, and the primes of the private key, in the forms bytes are written in.
    let raw_master: Vec<u8> = (1..=32).collect();
    let private = pem_bytes(private_key);
    for raw in [raw_master, private[private.len() - 600..private.len() - 500].to_vec()] {
        secrets.push(raw.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
        secrets.push(format!("{raw:?}").trim_matches(['[', ']']).into());
        secrets.push(raw);
    }
    secrets.extend(private_key.lines().filter(|line| !line.starts_with('-')).map(Vec::from));
    let places: [(&str, Vec<u8>); 5] = [
        ("log", fs::read(folder.path().join("log")).unwrap()),
        ("database", database.stored_bytes()),
        ("answers", told.into_bytes()),
        ("command line", command_line),
        ("shown settings", shown),
    ];
    for (place, bytes) in places {
        assert!(!bytes.is_empty(), "{place}");
        for secret in &secrets {
            let found = contains(&bytes, secret);
            assert!(!found, "{kind:?} {format}: {place} holds {}", String::from_utf8_lossy(secret));
        }
        assert!(!contains(&bytes, b"PRIVATE KEY"), "{kind:?} {format}: {place}");
    }
}

/// Signs in at the hosted pages for a client, and gives every secret that travelled on the way.
async fn secrets_of_oauth(chancery: &Chancery, base: &str, password: &str) -> Vec<String> {
    use crate::oauth2::support::{CALLBACK, CHALLENGE, VERIFIER, encode};

    let form = |pairs: &[(&str, &str)], request: reqwest::RequestBuilder| {
        request.header("content-type", "application/x-www-form-urlencoded").body(encode(pairs)).send()
    };
    let create = [
        "clients",
        "create",
        "--client-id",
        "web",
        "--name",
        "Web",
        "--redirect-uri",
        CALLBACK,
        "--no-consent",
        "-o",
        "json",
    ];
    let made = chancery.run(&create, "");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let secret = made["client_secret"].as_str().unwrap().to_owned();
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let asked = [
        ("client_id", "web"),
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid email offline_access"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let page = client.get(format!("{base}/oauth2/authorize?{}", encode(&asked))).send().await.unwrap();
    let value = |answer: &reqwest::Response, name: &str| {
        let all = answer.headers().get_all("set-cookie").iter().map(|set| set.to_str().unwrap().to_owned());
        let one = all.into_iter().find(|set| set.starts_with(name)).unwrap();
        one.split(['=', ';']).nth(1).unwrap().to_owned()
    };
    let device = value(&page, "__Host-chancery_flow");
    let page = page.text().await.unwrap();
    let flow = page.split("name=\"flow\"").nth(1).unwrap().split('"').nth(1).unwrap().to_owned();
    let mut back = None;
    for typed in ["a wrong password on the page", password] {
        let typed = [("flow", flow.as_str()), ("email", "ada@x.test"), ("password", typed)];
        let cookie = format!("__Host-chancery_flow={device}");
        let posted = client.post(format!("{base}/sign-in")).header("cookie", cookie);
        back = Some(form(&typed, posted).await.unwrap());
    }
    let back = back.unwrap();
    assert_eq!(back.status(), 303);
    let session = value(&back, "__Host-chancery_session");
    let location = reqwest::Url::parse(back.headers()["location"].to_str().unwrap()).unwrap();
    let code = location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let token = |secret: &str| {
        let exchange = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        form(&exchange, client.post(format!("{base}/oauth2/token")).basic_auth("web", Some(secret)))
    };
    let wrong = "ccs_a-wrong-secret-of-a-client";
    assert_eq!(token(wrong).await.unwrap().status(), 401);
    let tokens: Value = token(&secret).await.unwrap().json().await.unwrap();
    let of = |name: &str| tokens[name].as_str().unwrap().to_owned();
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        let asked = client.post(format!("{base}{path}")).basic_auth("web", Some(&secret));
        assert_eq!(form(&[("token", &of("refresh_token"))], asked).await.unwrap().status(), 200);
    }
    assert_eq!(token(&secret).await.unwrap().status(), 400);
    vec![
        secret,
        wrong.to_owned(),
        device,
        session,
        code,
        VERIFIER.to_owned(),
        of("access_token"),
        of("refresh_token"),
        of("id_token"),
        "a wrong password on the page".to_owned(),
    ]
}

fn pem_bytes(pem: &str) -> Vec<u8> {
    use base64::Engine;
    let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(lines).unwrap()
}

/// Whoever writes into a log with what they send could tell a story that did not happen.
#[tokio::test]
async fn nothing_that_is_sent_begins_a_line_or_colours_one() {
    for format in ["json", "text"] {
        let folder = tempdir().unwrap();
        let database = Database::create(Kind::Sqlite).await;
        let chancery = program(folder.path(), &database).with("CHANCERY_LOG__FORMAT", format);
        let serving = chancery.serve();
        let base = serving.address.clone();
        let forged = "x@x.test\r\n2026-01-01T00:00:00Z INFO FORGED\u{1b}[31m\u{2028}FORGED\u{85}FORGED";
        for (path, body) in [
            ("/auth/login", json!({ "email": forged, "password": forged })),
            ("/auth/register", json!({ "email": forged, "password": forged, "name": forged })),
            ("/auth/refresh", json!({ "refresh_token": forged })),
            ("/auth/login", json!({ forged: forged })),
        ] {
            let header = "agent\tFORGED \u{1b}[31m";
            let sent = Client::new()
                .post(format!("{base}{path}"))
                .header("user-agent", header.replace('\u{1b}', "\\e"));
            sent.header("x-forwarded-for", "FORGED").json(&body).send().await.unwrap();
        }
        Client::new().get(format!("{base}/FORGED%0d%0aFORGED?q=FORGED%0aFORGED")).send().await.unwrap();
        assert_eq!(serving.terminate(), Some(0));
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(log.lines().count() > 5);
        for line in log.lines() {
            assert!(!line.contains("FORGED"), "{format}: {line}");
            assert!(!line.chars().any(|c| c.is_control() && c != '\t'), "{format}: {line:?}");
            if format == "json" {
                serde_json::from_str::<serde_json::Value>(line)
                    .unwrap_or_else(|error| panic!("{error}: {line}"));
            }
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
