//! Statements that wait for a lock, connections that nobody answers on, and transactions that say nothing more.

use std::path::Path;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tempfile::tempdir;
use tokio::time::sleep;

use crate::support::{Chancery, Database, Kind, MASTER_KEY, PASSWORD, Wire};

fn program(folder: &Path, database_url: &str) -> Chancery {
    Chancery::new(folder)
        .with("DATABASE_URL", database_url)
        .with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY)
        .with("CHANCERY_SERVER__ISSUER", "https://auth.test")
}

async fn post(address: &str, path: &str, body: &Value) -> (u16, Value) {
    let answer = Client::new().post(format!("{address}{path}")).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// Registers somebody: their credentials.
async fn somebody(address: &str) -> Value {
    let credentials = json!({ "email": "ada@x.test", "password": PASSWORD });
    assert_eq!(post(address, "/auth/register", &credentials).await.0, 201);
    credentials
}

/// Somebody else in the database, who holds all rows of a table until the transaction ends.
async fn lock(database: &Database, table: &str) -> PgConnection {
    let mut stranger = PgConnection::connect(&database.url()).await.unwrap();
    stranger.execute("BEGIN").await.unwrap();
    let lock = format!("SELECT id FROM {table} FOR UPDATE");
    stranger.execute(sqlx::AssertSqlSafe(lock)).await.unwrap();
    stranger
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_waited_for_a_lock_too_long_is_not_carried_out_afterwards() {
    let (database, folder) = (Database::create(Kind::Postgres).await, tempdir().unwrap());
    let serving = program(folder.path(), &database.url())
        .with("CHANCERY_SERVER__REQUEST_TIMEOUT", "1s")
        .with("CHANCERY_SESSIONS__REFRESH_GRACE", "1s")
        .serve();
    let credentials = somebody(&serving.address).await;
    let (_, tokens) = post(&serving.address, "/auth/login", &credentials).await;
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });

    let mut stranger = lock(&database, "sessions").await;
    assert_eq!(post(&serving.address, "/auth/refresh", &refresh).await.0, 503);
    sleep(Duration::from_millis(1500)).await;
    stranger.execute("ROLLBACK").await.unwrap();
    // The first try has the lock now. Had it moved the session on, the second would be past its grace, and theft.
    sleep(Duration::from_millis(300)).await;
    let (status, again) = post(&serving.address, "/auth/refresh", &refresh).await;
    assert_eq!(status, 200, "{again}");
    assert_eq!(database.count("SELECT generation FROM sessions").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_stops_although_the_database_does_not_answer_its_poll() {
    let (database, folder) = (Database::create(Kind::Postgres).await, tempdir().unwrap());
    let serving =
        program(folder.path(), &database.url()).with("CHANCERY_KEYS__REFRESH_INTERVAL", "500ms").serve();
    let mut stranger = PgConnection::connect(&database.url()).await.unwrap();
    stranger.execute("BEGIN").await.unwrap();
    stranger.execute("LOCK TABLE signing_keys IN ACCESS EXCLUSIVE MODE").await.unwrap();
    sleep(Duration::from_millis(1500)).await;
    // Its helper waits for 20 s; the stranger never lets go.
    assert_eq!(serving.terminate(), Some(0));
    drop(stranger);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_that_nobody_answers_on_cost_no_request() {
    let (database, folder) = (Database::create(Kind::Postgres).await, tempdir().unwrap());
    let wire = Wire::to(&database.url()).await;
    let serving = program(folder.path(), &wire.url(&database.url()))
        // Long, for a machine that has much else to do; it is not about how fast that goes.
        .with("CHANCERY_DATABASE__ACQUIRE_TIMEOUT", "20s")
        .with("CHANCERY_SERVER__REQUEST_TIMEOUT", "30s")
        .with("CHANCERY_DATABASE__POOL_SIZE", "4")
        .serve();
    let credentials = somebody(&serving.address).await;
    let all =
        futures_util::future::join_all((0..4).map(|_| post(&serving.address, "/auth/login", &credentials)));
    assert!(all.await.iter().all(|(status, _)| *status == 200));

    sleep(Duration::from_millis(300)).await;
    wire.forget();
    for attempt in 0..4 {
        assert_eq!(post(&serving.address, "/auth/login", &credentials).await.0, 200, "attempt {attempt}");
    }
}

#[tokio::test]
async fn a_transaction_that_says_nothing_more_is_ended() {
    use chancery::store::{DatabaseOptions, Db};

    let database = Database::create(Kind::Postgres).await;
    let (url, acquire_timeout) = (database.url(), Duration::from_secs(30));
    let db = Db::connect(&DatabaseOptions {
        url: &url,
        pool_size: 2,
        acquire_timeout,
        transaction_pooling: false,
        create: false,
    })
    .await
    .unwrap();
    database.execute("CREATE TABLE rows (id BIGINT); INSERT INTO rows VALUES (1)").await;
    let vanished = db.begin().await.unwrap();
    sleep(Duration::from_secs(7)).await;
    assert!(vanished.commit().await.is_err(), "a host that vanished would hold its locks for hours");
    assert!(db.begin().await.unwrap().commit().await.is_ok());
}
