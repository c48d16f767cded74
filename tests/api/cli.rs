//! The program as an operator runs it.

use std::fs;
use std::path::Path;

use chancery::domain::clients::ClientSetting;
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{Chancery, Database, Kind, MASTER_KEY, PASSWORD};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn program(folder: &Path, database: &Database) -> Chancery {
    Chancery::new(folder).with("DATABASE_URL", &database.url()).with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY)
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

    let (code, _) =
        outcome(&chancery, &["users", "create", "a@x.test", "--admin", "--password-stdin"], PASSWORD);
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
        ("CHANCERY_TOKENS__ACCESS_TOKEN_TTL", "soon", "tokens.access_token_ttl"),
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
    for arguments in [&["keys", "list"][..], &["users", "disable", "a@x.test"]] {
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
        let chancery = program(folder.path(), &database);
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

        let create = ["users", "create", "a@x.test", "--admin", "--password-stdin"];
        assert_eq!(outcome(&chancery, &create, &format!("{PASSWORD}\n")).0, 0);
        assert!(outcome(&chancery, &create, PASSWORD).1.contains("has an account already"));
        let without_terminal = outcome(&chancery, &["users", "create", "b@x.test"], "");
        assert!(without_terminal.0 == 2 && without_terminal.1.contains("--password-stdin"));
        let weak = outcome(&chancery, &["users", "create", "b@x.test", "--password-stdin"], "password1");
        assert!(weak.0 == 1 && weak.1.contains("common"), "{}", weak.1);
        let unknown_role = ["users", "create", "b@x.test", "--role", "emperor", "--password-stdin"];
        assert_eq!(outcome(&chancery, &unknown_role, PASSWORD).0, 2);

        let login = |password: &str| {
            let body = serde_json::json!({ "email": "a@x.test", "password": password });
            let request = reqwest::Client::new().post(format!("{}/auth/login", serving.address)).json(&body);
            async move { request.send().await.unwrap().status().as_u16() }
        };
        assert_eq!(login(PASSWORD).await, 200);
        fs::write(folder.path().join("new"), "an entirely new one\n").unwrap();
        let set = ["users", "set-password", "a@x.test", "--password-file", "new"];
        assert_eq!(outcome(&chancery, &set, "").0, 0);
        assert_eq!((login(PASSWORD).await, login("an entirely new one").await), (401, 200));
        assert_eq!(outcome(&chancery, &["users", "disable", "A@x.test"], "").0, 0);
        assert_eq!(login("an entirely new one").await, 401);
        assert_eq!(outcome(&chancery, &["users", "enable", "a@x.test"], "").0, 0);
        assert_eq!(login("an entirely new one").await, 200);
        let by_id = chancery.run(&["users", "disable", "a@x.test", "-o", "json"], "");
        let id = serde_json::from_slice::<serde_json::Value>(&by_id.stdout).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(outcome(&chancery, &["users", "enable", &id], "").0, 0);
        assert_eq!(login("an entirely new one").await, 200);
        assert_eq!(outcome(&chancery, &["users", "disable", "nobody@x.test"], "").0, 1);
        assert_eq!(
            outcome(&chancery, &["users", "disable", "00000000-0000-4000-8000-000000000000"], "").0,
            1
        );
        assert_eq!(outcome(&chancery, &["users", "disable", "neither"], "").0, 2);
        assert_eq!(serving.terminate(), Some(0));
    }
}

#[tokio::test]
async fn clients_are_managed_from_the_command_line_on_both_databases() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let database = Database::create(kind).await;
        let folder = tempdir().unwrap();
        let chancery = program(folder.path(), &database);
        let serving = chancery.serve();
        let said = |arguments: &[&str]| -> String {
            let output = chancery.run(arguments, "");
            assert!(output.status.success(), "{}", text(&output.stderr));
            text(&output.stdout)
        };
        let json = |arguments: &[&str]| -> Value {
            serde_json::from_str(&said(&[arguments, &["-o", "json"]].concat())).unwrap()
        };
        let grafana =
            words("clients create --client-id grafana --name Grafana --redirect-uri https://g.test/cb");
        let made = said(&grafana);
        assert_eq!(word("client_id", &made), "grafana");
        let first = word("client_secret", &made);
        assert!(first.starts_with("ccs_") && made.contains("The secret is not shown again."), "{made}");
        let (code, error) = outcome(&chancery, &grafana, "");
        assert!(code == 1 && error.contains("a client of this id already"), "{error}");

        let app = json(&words(
            "clients create --name App --public --redirect-uri com.example.app:/cb --redirect-uri http://127.0.0.1/cb
             --post-logout-redirect-uri com.example.app:/bye --grant-type authorization_code --scope openid
             --scope orders:read --audience https://api.test --no-consent --require-dpop --access-token-ttl 5m --refresh-grace 0s
             --backchannel-logout-uri https://app.test/out --backchannel-logout-session-required true --exchange-audience stock --exchange-audience pay",
        ));
        let id = app["client_id"].as_str().unwrap();
        assert!(id.starts_with("c-") && app.get("client_secret").is_none(), "{app}");
        let expected = serde_json::json!({
            "client_id": id, "client_name": "App", "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code"], "redirect_uris": ["com.example.app:/cb", "http://127.0.0.1/cb"],
            "post_logout_redirect_uris": ["com.example.app:/bye"], "scope": "openid orders:read",
            "audience": ["https://api.test"], "access_token_ttl": 300, "refresh_grace": 0, "require_pkce": true,
            "require_consent": false, "backchannel_logout_uri": "https://app.test/out",
            "backchannel_logout_session_required": true, "exchange_audiences": ["stock", "pay"],
            "require_pushed_authorization_requests": false, "dpop_bound_access_tokens": true,
            "created_at": app["created_at"],
        });
        assert_eq!(app, expected);
        assert_eq!(json(&words(&format!("clients show {id}"))), expected);
        assert_eq!(json(&words("clients list"))["clients"].as_array().unwrap().len(), 2);
        let list = said(&["clients", "list"]);
        let head: Vec<&str> = list.lines().next().unwrap().split("  ").map(str::trim).collect();
        let head: Vec<&str> = head.into_iter().filter(|noun| !noun.is_empty()).collect();
        assert_eq!(head, ["CLIENT ID", "AUTH METHOD", "GRANT TYPES", "NAME"]);
        assert!(list.contains("grafana") && list.contains(id) && !list.contains("ccs_"), "{list}");
        let changed = json(&words(&format!(
            "clients update {id} --name A --consent --no-require-dpop --no-audience --no-access-token-ttl
             --no-post-logout-redirect-uri --no-backchannel-logout-uri --no-exchange-audience --scope openid"
        )));
        let told = [
            "client_name",
            "require_consent",
            "dpop_bound_access_tokens",
            "audience",
            "access_token_ttl",
            "scope",
            "refresh_grace",
        ]
        .map(|member| changed[member].clone());
        assert_eq!(Value::from(told.to_vec()), serde_json::json!(["A", true, false, [], null, "openid", 0]));
        assert_eq!(changed["post_logout_redirect_uris"], serde_json::json!([]));
        assert_eq!(
            (&changed["backchannel_logout_uri"], &changed["exchange_audiences"]),
            (&Value::Null, &serde_json::json!([]))
        );
        let shown = said(&["clients", "update", id, "--access-token-ttl", "1m"]);
        assert!(shown.contains("60 s") && shown.contains("com.example.app:/cb"), "{shown}");

        let rotated = said(&["clients", "rotate-secret", "grafana", "--overlap", "1h"]);
        let second = word("client_secret", &rotated);
        assert!(second.starts_with("ccs_") && second != first && rotated.contains("good until"), "{rotated}");
        let third = json(&words("clients rotate-secret grafana"));
        assert_eq!((&third["client_id"], third["old_until"].is_string()), (&"grafana".into(), true));
        let (code, error) = outcome(&chancery, &["clients", "rotate-secret", id], "");
        assert!(code == 1 && error.contains("a public client has no secret"), "{error}");

        let dry = said(&["clients", "delete", id, "--dry-run"]);
        assert!(dry.starts_with("Nothing was changed.") && dry.contains("would end: 0"), "{dry}");
        let gone = json(&["clients", "delete", id]);
        assert_eq!(
            (&gone["client_id"], &gone["sessions"], &gone["dry_run"]),
            (&id.into(), &0.into(), &false.into())
        );
        let (code, error) = outcome(&chancery, &["clients", "delete", id], "");
        assert!(code == 1 && error.contains("no such client"), "{error}");
        assert_eq!(serving.terminate(), Some(0));
    }
}

#[tokio::test]
async fn a_client_secret_is_in_no_log_and_no_database() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let database = Database::create(kind).await;
        let folder = tempdir().unwrap();
        let chancery = program(folder.path(), &database).with("CHANCERY_LOG__LEVEL", "debug");
        let serving = chancery.serve();
        let create =
            words("clients create --client-id grafana --name Grafana --redirect-uri https://g.test/cb");
        let of_command =
            |arguments: &[&str]| word("client_secret", &text(&chancery.run(arguments, "").stdout));
        let (first, second) = (of_command(&create), of_command(&["clients", "rotate-secret", "grafana"]));

        // As an administrator would, so that the server has had the secrets, too.
        let create = words("users create a@x.test --admin --password-stdin");
        assert_eq!(outcome(&chancery, &create, PASSWORD).0, 0);
        let http = reqwest::Client::new();
        let ask = async |path: &str, token: &str, body: Value| -> Value {
            let request = http.post(format!("{}{path}", serving.address)).bearer_auth(token).json(&body);
            request.send().await.unwrap().json().await.unwrap()
        };
        let login =
            ask("/auth/login", "", serde_json::json!({ "email": "a@x.test", "password": PASSWORD })).await;
        let token = login["access_token"].as_str().unwrap();
        let body = serde_json::json!({ "client_name": "S", "grant_types": ["client_credentials"] });
        let service = ask("/admin/clients", token, body).await;
        let path = format!("/admin/clients/{}/secret", service["client_id"].as_str().unwrap());
        let renewed = ask(&path, token, serde_json::json!({})).await;
        let of = |answer: &Value| answer["client_secret"].as_str().unwrap().to_owned();
        let secrets = [first, second, of(&service), of(&renewed)];

        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(log.contains("client_created") && log.contains("client_secret_rotated"), "{log}");
        assert_eq!(serving.terminate(), Some(0));
        let dump = match &database {
            Database::Sqlite(folder) => content_of(&folder.path().join("data/chancery.db")).await,
            Database::Postgres { .. } => dump_of(&database.url()).await.into_bytes(),
        };
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        for secret in secrets {
            let bare = secret.trim_start_matches("ccs_");
            assert!(bare.len() == 43 && !log.contains(bare), "a secret is in the log");
            // As Postgres shows bytes.
            let shown = bare.bytes().fold(String::new(), |shown, byte| shown + &format!("{byte:02x}"));
            for text in [bare, &shown] {
                let found = dump.windows(text.len()).any(|window| window == text.as_bytes());
                assert!(!found, "a secret is in the database");
            }
        }
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// What stands behind a word at the begin of a line.
fn word(line: &str, text: &str) -> String {
    text.lines().find_map(|one| one.strip_prefix(line)).unwrap_or_default().trim().to_owned()
}

/// Every row of every table, as text.
async fn dump_of(url: &str) -> String {
    use sqlx::Connection;
    let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
            .fetch_all(&mut conn)
            .await
            .unwrap();
    assert!(tables.iter().any(|table| table == "client_secrets"));
    let mut dump = String::new();
    for table in tables {
        let sql = sqlx::AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
        let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap();
        dump += &rows.join("\n");
    }
    assert!(dump.contains("grafana"));
    dump
}

const KEY_SET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/keys-fixtures/client-keys.json");

#[test]
fn every_setting_of_a_client_has_its_flags_and_no_others() {
    let folder = tempdir().unwrap();
    let chancery = Chancery::new(folder.path());
    let help = |command| text(&chancery.run(&["clients", command, "--help"], "").stdout);
    let (create, update) = (help("create"), help("update"));
    let has = |help: &str, flag: &str| {
        help.contains(&format!("--{flag} ")) || help.contains(&format!("--{flag}\n"))
    };
    for setting in ClientSetting::of_operators() {
        assert!(has(&update, setting.flag), "--{}: {update}", setting.flag);
        assert!(has(&create, setting.flag) != has(&create, setting.no_flag), "--{}: {create}", setting.flag);
    }
    for no_flag in ["no-consent", "no-require-par", "no-audience", "no-backchannel-logout-uri"] {
        assert!(has(&update, no_flag), "--{no_flag}: {update}");
    }
    let (create, update) = (["clients", "create", "--name", "x"], ["clients", "update", "x"]);
    for (command, flag) in [
        (&create[..], &["--initiate-login-uri", "https://x.test/"][..]),
        (&create, &["--no-require-par"]),
        (&create, &["--pkce"]),
        (&update, &["--no-name"]),
        (&update, &["--no-grant-type"]),
        (&update, &["--no-par"]),
        (&update, &["--no-dpop"]),
        (&update, &["--no-access-token-life"]),
    ] {
        let (code, said) = outcome(&chancery, &[command, flag].concat(), "");
        assert!(code == 2 && said.contains("unexpected argument"), "{flag:?}: {code} {said}");
    }
}

#[test]
fn a_client_that_is_asked_for_wrongly_is_wrong_usage() {
    let folder = tempdir().unwrap();
    let chancery = Chancery::new(folder.path()).with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY);
    let least = ["clients", "create", "--name", "x"];
    let good = [&least[..], &["--redirect-uri", "https://g.test/cb"]].concat();
    // Whether the arguments can be read at all is told before a database is looked for.
    for (more, named, reason) in [
        (
            &["--redirect-uri", "http://g.test/cb"][..],
            "--redirect-uri",
            "http is for loopback addresses only",
        ),
        (&["--redirect-uri", "https://g.test/#x"], "--redirect-uri", "it has a fragment"),
        (&["--post-logout-redirect-uri", "x"], "--post-logout-redirect-uri", "no absolute URI"),
        (&["--client-id", "chancery"], "--client-id", "neither `chancery` nor a UUID"),
        (&["--auth-method", "tls_client_auth"], "--auth-method", "client_secret_post"),
        (&["--public", "--auth-method", "none"], "--auth-method", "cannot be used with"),
        (&["--grant-type", "password"], "--grant-type", "client_credentials"),
        (&["--scope", "a b"], "--scope", "no scope token"),
        (&["--access-token-ttl", "1500ms"], "--access-token-ttl", "whole seconds"),
        (&["--refresh-grace", "soon"], "--refresh-grace", "a duration"),
        (&["--jwks", "no-such-file"], "--jwks", "No such file"),
        (
            &["--backchannel-logout-session-required", "yes"],
            "--backchannel-logout-session-required",
            "true or false",
        ),
    ] {
        let (code, said) = outcome(&chancery, &[&least[..], more].concat(), "");
        assert!(code == 2 && said.contains(named) && said.contains(reason), "{code} {said}");
    }
    for update in [
        &["--pkce", "--no-pkce"][..],
        &["--consent", "--no-consent"],
        &["--audience", "a", "--no-audience"],
        &["--name", "\n"],
    ] {
        assert_eq!(outcome(&chancery, &[&["clients", "update", "x"], update].concat(), "").0, 2);
    }
    assert_eq!(outcome(&chancery, &good, "").0, 1, "there is no database");
    assert!(is_empty(folder.path()));
    assert_eq!(chancery.serve().terminate(), Some(0));
    // What needs the server's settings, or does not go together.
    for (arguments, named) in [
        (&least[..], "--redirect-uri: "),
        (&[&good[..], &["--access-token-ttl", "1h"]].concat(), "--access-token-ttl: "),
        (&[&good[..], &["--refresh-grace", "2m"]].concat(), "--refresh-grace: "),
        (&[&good[..], &["--public", "--no-pkce"]].concat(), "--no-pkce: "),
        (&[&good[..], &["--audience", "a b"]].concat(), "--audience: "),
        (&[&good[..], &["--auth-method", "private_key_jwt"]].concat(), "--jwks: "),
        (&[&good[..], &["--jwks", KEY_SET]].concat(), "--jwks: "),
        (&[&least[..], &["--grant-type", "refresh_token"]].concat(), "--grant-type: "),
        (&[&least[..], &["--grant-type", "client_credentials", "--public"]].concat(), "--auth-method: "),
    ] {
        let (code, said) = outcome(&chancery, arguments, "");
        assert!(code == 2 && said.contains(named), "{code} {said}");
    }
    assert_eq!(outcome(&chancery, &good, "").0, 0);
    let signing = ["--client-id", "robot", "--auth-method", "private_key_jwt", "--jwks", KEY_SET];
    let said = |arguments: &[&str]| text(&chancery.run(arguments, "").stdout);
    let made = said(&[&good[..], &signing].concat());
    assert!(made.contains("with its own keys and has no secret"), "{made}");
    let changed = said(&["clients", "update", "robot", "--jwks", KEY_SET]);
    assert!(changed.contains("private_key_jwt") && changed.contains("(unnamed)"), "{changed}");
    for arguments in [&["show", "nobody"][..], &["update", "nobody"], &["rotate-secret", "nobody"]] {
        let (code, said) = outcome(&chancery, &[&["clients"], arguments].concat(), "");
        assert!(code == 1 && said.contains("there is no such client"), "{code} {said}");
    }
    let too_long = ["clients", "rotate-secret", "nobody", "--overlap", "31d"];
    assert!(outcome(&chancery, &too_long, "").0 == 2);
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
