//! The database goes away, also across a restart.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::json;
use tempfile::tempdir;

use crate::support::{Chancery, Database, Kind, MASTER_KEY, PASSWORD, Wire};

const KEPT: &str = "data/last-good-keys.json";

fn program(folder: &Path, database_url: &str) -> Chancery {
    Chancery::new(folder)
        .with("DATABASE_URL", database_url)
        .with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY)
        .with("CHANCERY_DATABASE__ACQUIRE_TIMEOUT", "500ms")
        .with("CHANCERY_SERVER__ISSUER", "https://auth.test")
}

async fn wait_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} was not written", path.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_restarts_while_the_database_is_away_serves_its_last_good_keys() {
    let database = Database::create(Kind::Postgres).await;
    let mut wire = Wire::to(&database.url()).await;
    let folder = tempdir().unwrap();
    let chancery = program(folder.path(), &wire.url(&database.url()));
    let kept = folder.path().join(KEPT);
    let get =
        async |address: &str, path: &str| Client::new().get(format!("{address}{path}")).send().await.unwrap();

    let serving = chancery.serve();
    let credentials = json!({ "email": "ada@x.test", "password": PASSWORD });
    let register = Client::new().post(format!("{}/auth/register", serving.address)).json(&credentials);
    assert_eq!(register.send().await.unwrap().status(), 201);
    let jwks = get(&serving.address, "/.well-known/jwks.json").await.text().await.unwrap();
    wait_for(&kept).await;
    serving.kill();

    wire.cut().await;
    let serving = chancery.serve();
    let served = get(&serving.address, "/.well-known/jwks.json").await;
    assert_eq!(served.status(), 200);
    assert!(served.headers()["cache-control"].to_str().unwrap().starts_with("public, max-age="));
    assert_eq!(served.text().await.unwrap(), jwks);
    assert_eq!(get(&serving.address, "/.well-known/openid-configuration").await.status(), 200);
    assert_eq!(get(&serving.address, "/health/live").await.status(), 200);
    assert_eq!(get(&serving.address, "/health/ready").await.status(), 503);
    let login = || Client::new().post(format!("{}/auth/login", serving.address)).json(&credentials).send();
    let refused = login().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "2"));

    wire.mend().await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while get(&serving.address, "/health/ready").await.status() != 200 {
        assert!(Instant::now() < deadline, "the node did not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(login().await.unwrap().status(), 200);
    assert_eq!(serving.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_keys_of_its_own_a_node_does_not_start_while_the_database_is_away() {
    let database = Database::create(Kind::Postgres).await;
    let mut wire = Wire::to(&database.url()).await;
    let folder = tempdir().unwrap();
    let chancery = program(folder.path(), &wire.url(&database.url()));
    let kept = folder.path().join(KEPT);
    let serving = chancery.serve();
    wait_for(&kept).await;
    assert_eq!(serving.terminate(), Some(0));

    wire.cut().await;
    let good = fs::read_to_string(&kept).unwrap();
    // Somebody slipped a key in.
    for forged in [good.replacen("RSA", "EC", 1), String::new()] {
        fs::write(&kept, forged).unwrap();
        let output = chancery.run(&["serve"], "");
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("cannot reach the database server"));
    }
    fs::write(&kept, good).unwrap();
    assert_eq!(chancery.serve().terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_started_alone_stops_when_the_database_is_not_its_own() {
    let (ours, theirs) = (Database::create(Kind::Postgres).await, Database::create(Kind::Postgres).await);
    let mut wire = Wire::to(&ours.url()).await;
    let folder = tempdir().unwrap();
    let serving = program(folder.path(), &wire.url(&ours.url())).serve();
    wait_for(&folder.path().join(KEPT)).await;
    assert_eq!(serving.terminate(), Some(0));
    // Another installation's database, sealed by another master key.
    let elsewhere = tempdir().unwrap();
    let other = "other:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    let stranger = program(elsewhere.path(), &theirs.url()).with("CHANCERY_KEYS__MASTER_KEYS", other);
    assert_eq!(stranger.serve().terminate(), Some(0));

    wire.cut().await;
    let mut serving = program(folder.path(), &wire.url(&theirs.url())).serve();
    wire.mend().await;
    assert_eq!(serving.wait(Duration::from_secs(15)), Some(1));
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("is sealed under master key `other`, which is not configured"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_started_alone_makes_no_keys_in_an_empty_database() {
    let (ours, empty) = (Database::create(Kind::Postgres).await, Database::create(Kind::Postgres).await);
    let mut wire = Wire::to(&ours.url()).await;
    let folder = tempdir().unwrap();
    let serving = program(folder.path(), &wire.url(&ours.url())).serve();
    wait_for(&folder.path().join(KEPT)).await;
    assert_eq!(serving.terminate(), Some(0));
    wire.cut().await;
    let mut serving = program(folder.path(), &wire.url(&empty.url())).serve();
    let cached =
        Client::new().get(format!("{}/.well-known/jwks.json", serving.address)).send().await.unwrap();
    let cached = cached.headers()["cache-control"].to_str().unwrap().to_owned();
    assert!(
        cached.starts_with("public, max-age=5,"),
        "what it cannot vouch for is not kept for long: {cached}"
    );
    wire.mend().await;
    assert_eq!(serving.wait(Duration::from_secs(15)), Some(1));
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(empty.count(tables).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_could_not_be_kept_are_kept_when_they_can() {
    let database = Database::create(Kind::Postgres).await;
    let folder = tempdir().unwrap();
    // A file stands where the folder should be.
    fs::write(folder.path().join("data"), "").unwrap();
    let chancery = program(folder.path(), &database.url()).with("CHANCERY_KEYS__REFRESH_INTERVAL", "200ms");
    let serving = chancery.serve();
    tokio::time::sleep(Duration::from_millis(500)).await;
    fs::remove_file(folder.path().join("data")).unwrap();
    wait_for(&folder.path().join(KEPT)).await;
    assert_eq!(serving.terminate(), Some(0));
}
