//! The program as an operator runs it.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::support::{Chancery, Database, Kind, MASTER_KEY, PASSWORD};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code and what was said on standard error.
fn outcome(chancery: &Chancery, arguments: &[&str], stdin: &str) -> (i32, String) {
    let output = chancery.run(arguments, stdin);
    (output.status.code().expect("an exit code"), text(&output.stderr))
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().all(|entry| entry.unwrap().file_name() == "log")
}

#[test]
fn a_first_start_makes_everything_and_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    let chancery = Chancery::new(folder.path());
    let serving = chancery.serve();
    for said in
        ["serves on http://127.0.0.1:", "master key", "signing key", "next key", "users create", "jwks.json"]
    {
        assert!(serving.said.contains(said), "{}", serving.said);
    }
    let key = folder.path().join("keys/master.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(folder.path().join("data/chancery.db").exists());
    let (made, line) = (fs::metadata(&key).unwrap().modified().unwrap(), fs::read(&key).unwrap());

    let (code, _) = outcome(
        &chancery,
        &["users", "create", "--email", "a@x.test", "--admin", "--password-stdin"],
        PASSWORD,
    );
    assert_eq!(code, 0);
    assert_eq!(serving.terminate(), Some(0));

    let again = chancery.serve();
    assert!(!again.said.contains("made just now") && !again.said.contains("users create"), "{}", again.said);
    assert_eq!((fs::metadata(&key).unwrap().modified().unwrap(), fs::read(&key).unwrap()), (made, line));
    assert_eq!(again.terminate(), Some(0));
}

#[test]
fn bad_configuration_is_named_and_nothing_is_written() {
    for (name, value, named) in [
        ("CHANCERY_SERVER__LISTEN", "nowhere", "server.listen"),
        ("CHANCERY_TOKENS__ACCESS_LIFE", "soon", "tokens.access_life"),
        ("CHANCERY_TOKENS__ACESS_LIFE", "5m", "acess_life"),
        ("CHANCERY_DATABASE__URL", "mysql://localhost/x", "database.url"),
        ("CHANCERY_KEYS__RSA_BITS", "512", "keys.rsa_bits"),
        ("CHANCERY_CONFIG", "missing.toml", "missing.toml"),
    ] {
        let folder = tempdir().unwrap();
        let chancery = Chancery::new(folder.path()).with(name, value);
        for command in ["serve", "config"] {
            let arguments = if command == "config" { vec!["config", "check"] } else { vec!["serve"] };
            let (code, said) = outcome(&chancery, &arguments, "");
            assert_eq!(code, 2, "{said}");
            assert!(said.contains(named), "{said}");
        }
        assert!(is_empty(folder.path()), "{name}");
    }
}

/// Everything in the database file, what waits in its log included.
async fn content_of(database: &Path) -> Vec<u8> {
    use sqlx::Connection;
    let url = format!("sqlite://{}", database.display());
    let mut conn = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    fs::read(database).unwrap()
}

#[tokio::test]
async fn a_wrong_or_missing_master_key_stops_the_start_and_changes_nothing() {
    let folder = tempdir().unwrap();
    let chancery = Chancery::new(folder.path());
    let serving = chancery.serve();
    let kid = serving
        .said
        .lines()
        .find(|line| line.trim_start().starts_with("signing key"))
        .unwrap()
        .split_whitespace()
        .nth(2)
        .unwrap()
        .to_owned();
    assert_eq!(serving.terminate(), Some(0));
    let key = folder.path().join("keys/master.key");
    let right = fs::read_to_string(&key).unwrap();
    let database = folder.path().join("data/chancery.db");
    let before = content_of(&database).await;

    let id = right.split(':').next().unwrap();
    let wrong = format!("{id}:{}", MASTER_KEY.split(':').nth(1).unwrap());
    for (content, named) in [
        (Some(wrong), kid.as_str()),
        (Some(MASTER_KEY.to_owned()), "is sealed under master key"),
        (Some("garbage".to_owned()), "id:base64"),
        (None, "is sealed under master key"),
    ] {
        match &content {
            Some(content) => fs::write(&key, content).unwrap(),
            None => fs::remove_file(&key).unwrap(),
        }
        let (code, said) = outcome(&chancery, &["serve"], "");
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(named), "{said}");
        assert_eq!(key.exists(), content.is_some(), "no key is made");
        assert!(content_of(&database).await == before, "the database is as it was");
    }
    fs::write(&key, right).unwrap();
    assert_eq!(chancery.serve().terminate(), Some(0));
}

#[test]
fn a_missing_database_is_a_clear_failure() {
    let folder = tempdir().unwrap();
    let unreachable = Chancery::new(folder.path())
        .with("DATABASE_URL", "postgres://nobody:s3cr3t@127.0.0.1:1/none")
        .with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY);
    let (code, said) = outcome(&unreachable, &["serve"], "");
    assert_eq!(code, 1);
    assert!(said.contains("cannot reach the database server") && !said.contains("s3cr3t"), "{said}");
    assert!(is_empty(folder.path()));

    let embedded = Chancery::new(folder.path()).with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY);
    for arguments in [&["keys", "list"][..], &["users", "disable", "--email", "a@x.test"]] {
        let (code, said) = outcome(&embedded, arguments, "");
        assert_eq!(code, 1);
        assert!(said.contains("there is no database at data/chancery.db"), "{said}");
    }
    assert!(is_empty(folder.path()));
}

#[tokio::test]
async fn postgres_needs_a_master_key_that_somebody_made() {
    let database = Database::create(Kind::Postgres).await;
    let folder = tempdir().unwrap();
    let chancery = Chancery::new(folder.path()).with("DATABASE_URL", &database.url());
    let (code, said) = outcome(&chancery, &["serve"], "");
    assert_eq!(code, 1);
    assert!(said.contains("chancery keys new-master --out"), "{said}");
    assert!(is_empty(folder.path()));
    assert_eq!(
        database.count("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'").await,
        0
    );

    let made = outcome(&chancery, &["keys", "new-master", "--out", "keys/master.key"], "");
    assert_eq!(made.0, 0, "{}", made.1);
    let again = outcome(&chancery, &["keys", "new-master", "--out", "keys/master.key"], "");
    assert_eq!(again.0, 1, "never overwritten");
    assert_eq!(chancery.serve().terminate(), Some(0));
}

#[tokio::test]
async fn operators_manage_keys_and_accounts() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let database = Database::create(kind).await;
        let folder = tempdir().unwrap();
        let chancery = Chancery::new(folder.path())
            .with("DATABASE_URL", &database.url())
            .with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY);
        if kind == Kind::Postgres {
            let (code, said) = outcome(&chancery, &["keys", "list"], "");
            assert!(code == 1 && said.contains("chancery migrate"), "{said}");
        }
        assert_eq!(outcome(&chancery, &["migrate"], "").0, 0);
        let serving = chancery.serve();

        let json = |arguments: &[&str]| -> Value {
            let output = chancery.run(arguments, "");
            assert!(output.status.success(), "{}", text(&output.stderr));
            serde_json::from_slice(&output.stdout).unwrap()
        };
        let list = json(&["keys", "list", "-o", "json"]);
        assert_eq!(
            (&list["keys"][0]["status"], &list["keys"][1]["status"]),
            (&"next".into(), &"current".into())
        );
        let (code, said) = outcome(&chancery, &["keys", "rotate"], "");
        assert!(code == 1 && said.contains("may not sign before"), "{said}");
        assert_eq!(outcome(&chancery, &["keys", "rotate", "--force"], "").0, 2);
        let rotate =
            ["keys", "rotate", "--force", "--reason", "test", "--idempotency-key", "one", "-o", "json"];
        let foreseen = json(&["keys", "rotate", "--force", "--reason", "test", "--dry-run", "-o", "json"]);
        let rotated = json(&rotate);
        assert_eq!(foreseen["current"]["kid"], rotated["current"]["kid"]);
        assert_eq!(json(&rotate), rotated);
        assert_eq!(database.count("SELECT count(*) FROM audit WHERE actor = 'operator:cli' AND event = 'keys_rotation_forced'").await, 1);
        let table = text(&chancery.run(&["keys", "list"], "").stdout);
        assert!(
            table.contains("verifies until")
                && table.contains("signs since")
                && table.contains("may sign from"),
            "{table}"
        );

        let stolen = list["keys"][1]["kid"].as_str().unwrap();
        assert_eq!(outcome(&chancery, &["keys", "revoke", stolen], "").0, 2, "a reason is needed");
        let (code, said) = outcome(&chancery, &["keys", "revoke", "nobodys", "--reason", "x"], "");
        assert!(code == 1 && said.contains("no signing key of this kid"), "{said}");
        let dry = text(&chancery.run(&["keys", "revoke", stolen, "--reason", "x", "--dry-run"], "").stdout);
        assert!(dry.starts_with("Nothing was changed.") && dry.contains("Live sessions: 0"), "{dry}");
        let revoked = json(&["keys", "revoke", stolen, "--reason", "x", "-o", "json"]);
        assert_eq!(
            (&revoked["revoked"]["status"], &revoked["current"]),
            (&"revoked".into(), &rotated["current"])
        );

        let create = ["users", "create", "--email", "a@x.test", "--admin", "--password-stdin"];
        assert_eq!(outcome(&chancery, &create, &format!("{PASSWORD}\n")).0, 0);
        assert!(outcome(&chancery, &create, PASSWORD).1.contains("has an account already"));
        let without_terminal = outcome(&chancery, &["users", "create", "--email", "b@x.test"], "");
        assert!(without_terminal.0 == 2 && without_terminal.1.contains("--password-stdin"));
        let weak =
            outcome(&chancery, &["users", "create", "--email", "b@x.test", "--password-stdin"], "password1");
        assert!(weak.0 == 1 && weak.1.contains("common"), "{}", weak.1);
        let unknown_role =
            ["users", "create", "--email", "b@x.test", "--role", "emperor", "--password-stdin"];
        assert_eq!(outcome(&chancery, &unknown_role, PASSWORD).0, 2);

        let login = |password: &str| {
            let body = serde_json::json!({ "email": "a@x.test", "password": password });
            let request = reqwest::Client::new().post(format!("{}/auth/login", serving.address)).json(&body);
            async move { request.send().await.unwrap().status().as_u16() }
        };
        assert_eq!(login(PASSWORD).await, 200);
        fs::write(folder.path().join("new"), "an entirely new one\n").unwrap();
        let set = ["users", "set-password", "--email", "a@x.test", "--password-file", "new"];
        assert_eq!(outcome(&chancery, &set, "").0, 0);
        assert_eq!((login(PASSWORD).await, login("an entirely new one").await), (401, 200));
        assert_eq!(outcome(&chancery, &["users", "disable", "--email", "A@x.test"], "").0, 0);
        assert_eq!(login("an entirely new one").await, 401);
        assert_eq!(outcome(&chancery, &["users", "enable", "--email", "a@x.test"], "").0, 0);
        assert_eq!(login("an entirely new one").await, 200);
        assert_eq!(outcome(&chancery, &["users", "disable", "--email", "nobody@x.test"], "").0, 1);
        assert_eq!(serving.terminate(), Some(0));
    }
}

#[test]
fn the_healthcheck_tells_a_serving_node_from_none() {
    let folder = tempdir().unwrap();
    let chancery = Chancery::new(folder.path());
    let serving = chancery.serve();
    let address = serving.address.trim_start_matches("http://").to_owned();
    let asking = Chancery::new(folder.path()).with("CHANCERY_SERVER__LISTEN", &address);
    assert_eq!(outcome(&asking, &["healthcheck"], "").0, 0);
    serving.terminate();
    assert_eq!(outcome(&asking, &["healthcheck"], "").0, 1);
}

#[test]
fn the_rest_of_the_commands_answer() {
    let folder = tempdir().unwrap();
    let chancery = Chancery::new(folder.path()).with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY);
    let shown = text(&chancery.run(&["config", "show"], "").stdout);
    assert!(shown.contains("[tokens]") && shown.contains("master_keys = \"(secret)\""), "{shown}");
    assert!(!shown.contains("AQIDBA"));
    let document: Value = serde_json::from_slice(&chancery.run(&["openapi"], "").stdout).unwrap();
    assert_eq!(document["info"]["title"], "Chancery");
    assert_eq!(outcome(&chancery, &["nonsense"], "").0, 2);
    let line = text(&chancery.run(&["keys", "new-master"], "").stdout);
    assert!(chancery::keys::MasterKeys::parse(line.lines()).is_ok());
    assert!(is_empty(folder.path()));
}
