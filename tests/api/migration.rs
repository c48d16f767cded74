//! Moving over from another server: its keys come in with their own kids, and no token is refused.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Chancery, Database, Kind, MASTER_KEY, PASSWORD, Serving, part};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/keys-fixtures");

fn program(folder: &Path, database: &Database) -> Chancery {
    Chancery::new(folder)
        .with("DATABASE_URL", &database.url())
        .with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY)
        .with("CHANCERY_KEYS__REFRESH_INTERVAL", "200ms")
        .with("CHANCERY_SERVER__ISSUER", "https://auth.test")
}

fn run(program: &Chancery, arguments: &[&str]) -> (Option<i32>, String) {
    let output = program.run(arguments, "");
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn json(program: &Chancery, arguments: &[&str]) -> Value {
    let (code, said) = run(program, &[arguments, &["-o", "json"]].concat());
    assert_eq!(code, Some(0), "{said}");
    serde_json::from_str(&said).unwrap()
}

async fn jwks_with(serving: &Serving, kid: &str) -> JwkSet {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let url = format!("{}/.well-known/jwks.json", serving.address);
        let set: JwkSet = Client::new().get(url).send().await.unwrap().json().await.unwrap();
        if set.find(kid).is_some() {
            return set;
        }
        assert!(Instant::now() < deadline, "{kid} is not published");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A token as the server before us signed it.
fn legacy_token(kid: &str) -> String {
    let pem = fs::read(format!("{FIXTURES}/rsa-pkcs1.pem")).unwrap();
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::RS256) };
    let claims = json!({ "sub": "ada", "exp": 4_000_000_000_i64 });
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_rsa_pem(&pem).unwrap()).unwrap()
}

fn verifies(token: &str, set: &JwkSet) -> bool {
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_aud = false;
    jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok()
}

#[tokio::test]
async fn a_foreign_key_comes_in_as_previous_and_its_tokens_verify() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let database = Database::create(kind).await;
        let folder = tempdir().unwrap();
        let chancery = program(folder.path(), &database);
        let serving = chancery.serve();
        let file = format!("{FIXTURES}/rsa-public.pem");
        let import =
            ["keys", "import", &file, "--as", "previous", "--kid", "legacy:1/a", "--token-ttl", "1h"];
        let foreseen = json(&chancery, &[&import[..], &["--dry-run"]].concat());
        assert_eq!(database.count("SELECT count(*) FROM signing_keys").await, 2);
        let imported = json(&chancery, &import);
        assert_eq!((&imported["kid"], &imported["status"]), (&json!("legacy:1/a"), &json!("previous")));
        assert_eq!(imported["kid"], foreseen["kid"]);
        let time = |member: &str| {
            imported[member].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap()
        };
        // Poll, the token's life, leeway: 0.2 + 3600 + 60 seconds.
        assert_eq!((time("retires_at") - time("demoted_at")).num_milliseconds(), 3_660_200);
        let set = jwks_with(&serving, "legacy:1/a").await;
        assert!(verifies(&legacy_token("legacy:1/a"), &set));
        let (code, said) = run(&chancery, &import);
        assert!(code == Some(1) && said.contains("is here already, as previous"), "{said}");
        let create = ["users", "create", "root@x.test", "--admin", "--password-stdin"];
        assert!(chancery.run(&create, PASSWORD).status.success());
        let login = json!({ "email": "root@x.test", "password": PASSWORD });
        let login =
            Client::new().post(format!("{}/auth/login", serving.address)).json(&login).send().await.unwrap();
        let admin = login.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
        // A kid with a slash can be named in an address.
        let revoke = format!("{}/admin/keys/legacy%3A1%2Fa/revoke", serving.address);
        let revoke = Client::new().post(revoke).bearer_auth(admin).json(&json!({ "reason": "test" }));
        assert_eq!(revoke.send().await.unwrap().status(), 200);
        let (code, said) = run(&chancery, &import);
        assert!(code == Some(1) && said.contains("is here already, as revoked"), "{said}");
        let told = "SELECT count(*) FROM audit WHERE event = 'key_imported' AND subject = 'legacy:1/a'";
        assert_eq!(database.count(told).await, 1);
        assert_eq!(serving.terminate(), Some(0));
    }
}

#[tokio::test]
async fn a_foreign_key_comes_in_as_next_and_signs_from_the_next_rotation_on() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let database = Database::create(kind).await;
        let folder = tempdir().unwrap();
        let chancery = program(folder.path(), &database);
        let serving = chancery.serve();
        let waiting = json(&chancery, &["keys", "list"])["keys"][0]["kid"].as_str().unwrap().to_owned();

        let public = format!("{FIXTURES}/rsa-public.pem");
        let (code, said) = run(&chancery, &["keys", "import", &public, "--as", "next"]);
        assert!(code == Some(1) && said.contains("needs its private half"), "{said}");
        let file = format!("{FIXTURES}/rsa-pkcs1.pem");
        assert_eq!(run(&chancery, &["keys", "import", &file, "--as", "previous"]).0, Some(2), "whose life?");
        let imported = json(
            &chancery,
            &["keys", "import", &file, "--as", "next", "--kid", "legacy-1", "--token-ttl", "2h"],
        );
        assert_eq!(imported["status"], "next");
        let set = jwks_with(&serving, "legacy-1").await;
        assert!(set.find(&waiting).is_none(), "what waited is taken back");
        assert!(verifies(&legacy_token("legacy-1"), &set));
        assert_eq!(run(&chancery, &["keys", "rotate"]).0, Some(1), "its lead has begun");
        json(&chancery, &["keys", "rotate", "--force", "--reason", "moving"]);
        let life = "SELECT longest_life_s FROM signing_keys WHERE kid = 'legacy-1'";
        assert_eq!(
            database.count(life).await,
            7200,
            "it may have signed longer tokens elsewhere than it does here"
        );

        let credentials = json!({ "email": "ada@x.test", "password": PASSWORD });
        let post = async |path: &str| {
            let request = Client::new().post(format!("{}{path}", serving.address)).json(&credentials);
            request.send().await.unwrap().json::<Value>().await.unwrap()
        };
        post("/auth/register").await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let token = post("/auth/login").await["access_token"].as_str().unwrap().to_owned();
        assert_eq!(part(&token, 0)["kid"], "legacy-1");
        assert!(verifies(&token, &jwks_with(&serving, "legacy-1").await));
        let told = "SELECT count(*) FROM audit WHERE event = 'key_withdrawn'";
        assert_eq!(database.count(told).await, 1);
        assert_eq!(serving.terminate(), Some(0));
    }
}

#[tokio::test]
async fn an_imported_next_key_that_is_taken_back_is_published_until_its_tokens_are_dead() {
    let database = Database::create(Kind::Sqlite).await;
    let folder = tempdir().unwrap();
    let chancery = program(folder.path(), &database);
    let serving = chancery.serve();
    for (file, kid) in [("rsa-pkcs1.pem", "one"), ("p256-sec1.pem", "two")] {
        let file = format!("{FIXTURES}/{file}");
        json(&chancery, &["keys", "import", &file, "--as", "next", "--kid", kid, "--token-ttl", "1h"]);
    }
    let set = jwks_with(&serving, "two").await;
    assert!(verifies(&legacy_token("one"), &set), "it may have signed elsewhere");
    assert_eq!(serving.terminate(), Some(0));
}

#[tokio::test]
async fn the_key_set_can_be_carried_to_where_the_server_is_not() {
    let database = Database::create(Kind::Sqlite).await;
    let folder = tempdir().unwrap();
    let chancery = program(folder.path(), &database);
    let serving = chancery.serve();
    let served =
        Client::new().get(format!("{}/.well-known/jwks.json", serving.address)).send().await.unwrap();
    let served = served.text().await.unwrap();
    assert_eq!(run(&chancery, &["keys", "export"]), (Some(0), format!("{served}\n")));
    assert_eq!(run(&chancery, &["keys", "export", "--out", "jwks.json"]).0, Some(0));
    assert_eq!(fs::read_to_string(folder.path().join("jwks.json")).unwrap(), format!("{served}\n"));
    assert!(!served.contains("\"d\""));
    assert_eq!(serving.terminate(), Some(0));
}
