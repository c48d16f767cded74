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
        let database = Database::create(kind).await;
        let folder = tempdir().unwrap();
        let chancery = program(folder.path(), &database).with("CHANCERY_LOG__LEVEL", "trace");
        let serving = chancery.serve();
        let base = serving.address.clone();
        let wrong = "an unmistakable wrong password";
        let credentials = json!({ "email": "ada@x.test", "password": PASSWORD });
        post(&base, "/auth/register", credentials.clone()).await;
        let (_, tokens) = post(&base, "/auth/login", credentials).await;
        let mut errors = String::new();
        for (path, body) in [
            ("/auth/login", json!({ "email": "ada@x.test", "password": wrong })),
            ("/auth/login", json!({ "email": wrong, "password": { "x": wrong } })),
            (
                "/auth/refresh",
                json!({ "refresh_token": format!("{}x", tokens["refresh_token"].as_str().unwrap()) }),
            ),
            ("/auth/refresh", json!({ "refresh_token": [tokens["refresh_token"]] })),
        ] {
            errors.push_str(&post(&base, path, body).await.1.to_string());
        }
        let (_, refreshed) =
            post(&base, "/auth/refresh", json!({ "refresh_token": tokens["refresh_token"] })).await;
        let me = format!("{base}/auth/me?access_token={}", tokens["access_token"].as_str().unwrap());
        errors.push_str(&Client::new().get(me).send().await.unwrap().text().await.unwrap());
        let command_line = fs::read(format!("/proc/{}/cmdline", serving.pid())).unwrap();
        assert_eq!(serving.terminate(), Some(0));

        let master = MASTER_KEY.split(':').nth(1).unwrap().to_owned();
        let mut secrets = vec![PASSWORD.to_owned(), wrong.to_owned(), master];
        for answer in [&tokens, &refreshed] {
            for member in ["access_token", "refresh_token"] {
                secrets.push(answer[member].as_str().unwrap().to_owned());
            }
        }
        let raw_master: Vec<u8> = (1..=32).collect();
        let stored = stored_bytes(&database);
        let places: [(&str, Vec<u8>); 4] = [
            ("log", fs::read(folder.path().join("log")).unwrap()),
            ("database", stored),
            ("errors", errors.into_bytes()),
            ("command line", command_line),
        ];
        for (place, bytes) in places {
            assert!(!bytes.is_empty());
            for secret in &secrets {
                assert!(!contains(&bytes, secret.as_bytes()), "{kind:?}: {place} holds {secret}");
            }
            assert!(!contains(&bytes, &raw_master), "{kind:?}: {place} holds the master key");
            assert!(!contains(&bytes, b"PRIVATE KEY"), "{kind:?}: {place}");
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
