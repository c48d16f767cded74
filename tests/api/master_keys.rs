//! Changing the master key without losing a key or a login.

use std::path::Path;

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Chancery, Database, Kind, PASSWORD, Serving};

const OLD: &str = "old:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const NEW: &str = "new:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn program(folder: &Path, database: &Database, master_keys: &[&str]) -> Chancery {
    Chancery::new(folder)
        .with("DATABASE_URL", &database.url())
        .with("CHANCERY_KEYS__MASTER_KEYS", &master_keys.join(","))
        .with("CHANCERY_SERVER__ISSUER", "https://auth.test")
}

async fn post(serving: &Serving, path: &str, body: &Value) -> (u16, Value) {
    let response = Client::new().post(format!("{}{path}", serving.address)).json(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
}

fn said(program: &Chancery, arguments: &[&str]) -> (Option<i32>, String) {
    let output = program.run(arguments, "");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

async fn sealed_under(database: &Database, id: &str) -> i64 {
    database.count(&format!("SELECT count(*) FROM signing_keys WHERE master_key_id = '{id}'")).await
}

#[tokio::test]
async fn an_old_master_key_can_be_dropped_without_losing_whoever_has_refreshed_since() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let database = Database::create(kind).await;
        let folder = tempdir().unwrap();
        let credentials = json!({ "email": "ada@x.test", "password": PASSWORD });
        let serving = program(folder.path(), &database, &[OLD]).serve();
        assert_eq!(post(&serving, "/auth/register", &credentials).await.0, 201);
        let idle = post(&serving, "/auth/login", &credentials).await.1;
        let active = post(&serving, "/auth/login", &credentials).await.1;
        assert_eq!(serving.terminate(), Some(0));

        // Both are configured, the new one first. Nobody is logged out, and what is asked again gets the same answer.
        let both = program(folder.path(), &database, &[NEW, OLD]);
        let serving = both.serve();
        let body = json!({ "refresh_token": active["refresh_token"] });
        let (status, refreshed) = post(&serving, "/auth/refresh", &body).await;
        assert_eq!(status, 200, "{refreshed}");
        assert_eq!(
            post(&serving, "/auth/refresh", &body).await.1["refresh_token"],
            refreshed["refresh_token"]
        );
        assert_eq!(sealed_under(&database, "old").await, 2);

        let (code, told) = said(&both, &["keys", "rewrap", "--dry-run"]);
        assert_eq!((code, sealed_under(&database, "old").await), (Some(0), 2), "{told}");
        assert!(
            told.contains("2 private keys and 0 other secrets would be sealed again under master key new"),
            "{told}"
        );
        let (code, told) = said(&both, &["keys", "rewrap"]);
        assert_eq!((code, sealed_under(&database, "new").await), (Some(0), 2), "{told}");
        assert!(told.contains("needed until these sessions have refreshed"), "{told}");
        let view: Value = serde_json::from_str(&said(&both, &["keys", "rewrap", "-o", "json"]).1).unwrap();
        assert_eq!((&view["moved"], &view["sealed_under"]), (&json!([]), &json!("new")));
        let master_keys = |member: &str| {
            view["master_keys"].as_array().unwrap().iter().map(|key| key[member].clone()).collect::<Vec<_>>()
        };
        assert_eq!(master_keys("signing_keys"), [json!(2), json!(0)]);
        assert_eq!(master_keys("other_secrets"), [json!(0), json!(0)]);
        assert_eq!(master_keys("live_sessions"), [json!(1), json!(1)]);
        assert_eq!(serving.terminate(), Some(0));

        // The old one is dropped: who has refreshed since goes on, who has not logs in again.
        let serving = program(folder.path(), &database, &[NEW]).serve();
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(log.contains("sessions_lost"), "{log}");
        let body = json!({ "refresh_token": refreshed["refresh_token"] });
        assert_eq!(post(&serving, "/auth/refresh", &body).await.0, 200);
        let body = json!({ "refresh_token": idle["refresh_token"] });
        assert_eq!(post(&serving, "/auth/refresh", &body).await.0, 401);
        assert_eq!(post(&serving, "/auth/login", &credentials).await.0, 200);
        assert_eq!(serving.terminate(), Some(0));
        let audited = database.count("SELECT count(*) FROM audit WHERE event = 'keys_rewrapped'").await;
        assert_eq!(audited, 2);
    }
}

#[tokio::test]
async fn a_missing_master_key_is_named_with_every_key_it_would_open() {
    let database = Database::create(Kind::Sqlite).await;
    let folder = tempdir().unwrap();
    assert_eq!(program(folder.path(), &database, &[OLD]).serve().terminate(), Some(0));
    let list: Value = {
        let list = said(&program(folder.path(), &database, &[OLD]), &["keys", "list", "-o", "json"]).1;
        serde_json::from_str(&list).unwrap()
    };
    let (code, told) = said(&program(folder.path(), &database, &[NEW]), &["serve"]);
    assert_eq!(code, Some(1));
    for key in list["keys"].as_array().unwrap() {
        assert!(told.contains(key["kid"].as_str().unwrap()), "{told}");
    }
    assert!(
        told.contains("`old`, which is not configured") && told.contains("Nothing was changed"),
        "{told}"
    );
    let (code, told) = said(&program(folder.path(), &database, &[NEW]), &["keys", "rewrap"]);
    assert!(code == Some(1) && told.contains("`old`"), "{told}");
    assert_eq!(sealed_under(&database, "old").await, 2);
}

#[tokio::test]
async fn a_command_with_another_master_key_seals_nothing_and_a_lost_one_is_survived() {
    let database = Database::create(Kind::Sqlite).await;
    let folder = tempdir().unwrap();
    let ours = program(folder.path(), &database, &[OLD]);
    let serving = ours.serve();
    let credentials = json!({ "email": "ada@x.test", "password": PASSWORD });
    assert_eq!(post(&serving, "/auth/register", &credentials).await.0, 201);
    let list: Value = serde_json::from_str(&said(&ours, &["keys", "list", "-o", "json"]).1).unwrap();
    let current = list["keys"][1]["kid"].as_str().unwrap();
    let stranger = program(folder.path(), &database, &[NEW]);
    for arguments in [
        &["keys", "revoke", current, "--reason", "x"][..],
        &["keys", "rotate", "--force", "--reason", "x"],
        &["keys", "list"],
    ] {
        let (code, told) = said(&stranger, arguments);
        assert!(code == Some(1) && told.contains("which is not configured"), "{told}");
    }
    assert_eq!(sealed_under(&database, "old").await, 2);
    assert_eq!(post(&serving, "/auth/login", &credentials).await.0, 200);
    assert_eq!(serving.terminate(), Some(0));

    // The old one is lost for good.
    let (code, told) = said(&stranger, &["keys", "revoke", current, "--reason", "lost", "--master-key-lost"]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(sealed_under(&database, "new").await, 2);
    let serving = stranger.serve();
    assert_eq!(post(&serving, "/auth/login", &credentials).await.0, 200);
    assert_eq!(serving.terminate(), Some(0));
}
