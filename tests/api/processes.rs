//! Real processes: killed without warning, stopped politely, and searched for secrets.

use std::fs;
use std::path::Path;

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
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    let stopped = tokio::task::spawn_blocking(move || serving.terminate());
    for login in logins {
        assert_eq!(login.await.unwrap(), 200);
    }
    assert_eq!(stopped.await.unwrap(), Some(0));
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
    secrets.extend(cookies.into_iter().map(Vec::from));
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
        ("database", stored_bytes(&database)),
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

fn stored_bytes(database: &Database) -> Vec<u8> {
    match database {
        Database::Sqlite(folder) => {
            let files = fs::read_dir(folder.path().join("data")).unwrap();
            files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
        }
        Database::Postgres { .. } => {
            let dump =
                std::process::Command::new("pg_dump").arg(database.url()).output().expect("pg_dump runs");
            assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
            dump.stdout
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
