//! Several nodes on one database.

use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Database, Kind, PASSWORD, TestApp, eventually, kids, part, standing_clock};

async fn three_nodes() -> Vec<TestApp> {
    three_nodes_with(&[]).await
}

async fn three_nodes_with(settings: &[(&str, &str)]) -> Vec<TestApp> {
    let database = Arc::new(Database::create(Kind::Postgres).await);
    let clock = standing_clock();
    let starts = (0..3).map(|_| TestApp::start_on(Arc::clone(&database), clock.clone(), settings));
    join_all(starts).await
}

#[tokio::test]
async fn three_nodes_started_at_once_on_an_empty_database_share_one_key_set() {
    let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
    let migrations = std::fs::read_dir(migrations).unwrap().count();
    for _ in 0..3 {
        let nodes = three_nodes().await;
        let sets = join_all(nodes.iter().map(|node| node.get("/.well-known/jwks.json"))).await;
        assert!(
            sets.iter().all(|set| set.text == sets[0].text && set.header("etag") == sets[0].header("etag"))
        );
        assert_eq!(kids(&sets[0].json()).len(), 2);
        let database = &nodes[0].database;
        assert_eq!(database.count("SELECT count(*) FROM signing_keys").await, 2);
        let ran = database.count("SELECT count(*) FROM _sqlx_migrations").await;
        assert_eq!(usize::try_from(ran).unwrap(), migrations);
        assert_eq!(database.count("SELECT count(*) FROM audit WHERE event = 'keys_created'").await, 1);
    }
}

#[tokio::test]
async fn what_one_node_begins_any_other_goes_on_with() {
    let nodes = three_nodes().await;
    nodes[0].register("ada@x.test").await;
    let login = nodes[1].login("ada@x.test").await;
    nodes[2].get_as(&login.access_token(), "/auth/me").await.expect(200);
    let refreshed = nodes[0].refresh(&login.refresh_token()).await.expect(200);
    let again = nodes[1].refresh(&login.refresh_token()).await.expect(200);
    assert_eq!(refreshed.refresh_token(), again.refresh_token());
    nodes[2].post_as(&again.access_token(), "/auth/logout", json!({})).await.expect(204);
    nodes[0].get_as(&again.access_token(), "/auth/me").await.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn a_used_token_is_used_on_every_node_and_ends_the_session_on_all() {
    let nodes = three_nodes().await;
    let login = nodes[0].newcomer("ada@x.test").await;
    let newest = nodes[0].refresh(&login.refresh_token()).await.expect(200);
    nodes[0].advance(TimeDelta::seconds(11));
    nodes[1].refresh(&login.refresh_token()).await.expect_problem(401, "invalid_grant");
    for node in &nodes {
        node.refresh(&newest.refresh_token()).await.expect_problem(401, "invalid_grant");
        node.get_as(&newest.access_token(), "/auth/me").await.expect_problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn sixteen_refreshes_over_three_nodes_get_one_successor() {
    let nodes = three_nodes().await;
    let mut token = nodes[0].newcomer("ada@x.test").await.refresh_token();
    for _ in 0..20 {
        let answers = join_all((0..16).map(|at| nodes[at % 3].refresh(&token))).await;
        let successors: Vec<String> =
            answers.into_iter().map(|answer| answer.expect(200).refresh_token()).collect();
        assert!(successors.iter().all(|successor| *successor == successors[0]));
        token.clone_from(&successors[0]);
        nodes[0].advance(TimeDelta::minutes(1));
    }
    assert_eq!(nodes[0].database.count("SELECT count(*) FROM sessions WHERE revoked_at IS NULL").await, 1);
}

#[tokio::test]
async fn of_rotations_on_three_nodes_at_once_one_wins_and_all_agree() {
    let nodes = three_nodes().await;
    nodes[0].admin().await;
    for round in 0..10 {
        nodes[0].open_the_gate();
        let admin = nodes[round % 3].login("admin@x.test").await.access_token();
        let answers =
            join_all((0..12).map(|at| nodes[at % 3].post_as(&admin, "/admin/keys/rotate", json!({})))).await;
        let (won, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(won.len(), 1, "round {round}");
        for loser in refused {
            assert_eq!(loser.status, 409, "{}", loser.text);
        }
        // Every node issues with the new key, and every node accepts it, as soon as they are asked to.
        let winner = won[0].json()["current"]["kid"].clone();
        for node in &nodes {
            let list = node.get_as(&admin, "/admin/keys").await.expect(200).json();
            assert_eq!(list["keys"][1]["kid"], winner);
            let token = node.login("admin@x.test").await.access_token();
            assert_eq!(part(&token, 0)["kid"], winner);
            for other in &nodes {
                other.get_as(&token, "/auth/me").await.expect(200);
            }
        }
    }
    let one_each = "SELECT count(*) FROM signing_keys WHERE demoted_at IS NULL";
    assert_eq!(nodes[0].database.count(one_each).await, 2);
}

/// The clock stands still, so no view grows old and only the notification can tell.
#[tokio::test]
async fn a_rotation_is_heard_of_on_the_other_nodes() {
    let nodes = three_nodes().await;
    let admin = nodes[0].admin().await;
    let rotation = json!({ "force": true, "reason": "test" });
    let rotated = nodes[0].post_as(&admin, "/admin/keys/rotate", rotation).await.expect(200).json();
    let expected = rotated["current"]["kid"].as_str().unwrap().to_owned();
    for node in &nodes {
        let mut heard = false;
        for _ in 0..100 {
            heard = kids(&node.get("/.well-known/jwks.json").await.json())[0] == expected;
            if heard {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(heard);
    }
}

/// A node that has not heard yet meets a token of the key it believes to be waiting.
#[tokio::test]
async fn a_token_of_a_rotation_not_heard_of_yet_is_accepted() {
    let app = TestApp::start(Kind::Sqlite).await;
    let other = app.another_node(&[]).await;
    let admin = app.admin().await;
    app.post_as(&admin, "/admin/keys/rotate", json!({ "force": true, "reason": "test" })).await.expect(200);
    let token = app.login("admin@x.test").await.access_token();
    assert_ne!(part(&token, 0)["kid"], part(&admin, 0)["kid"]);
    other.get_as(&token, "/auth/me").await.expect(200);
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let app = TestApp::start(kind).await;
        let (database, clock) = (Arc::clone(&app.database), app.clock.clone());
        let checksum = if kind == Kind::Sqlite { "x'00'" } else { "'\\x00'" };
        let newer = format!(
            "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
             VALUES (9999, 'newer', CURRENT_TIMESTAMP, {}, {checksum}, 1)",
            if kind == Kind::Sqlite { "1" } else { "TRUE" },
        );
        app.stop().await;
        database.execute(&newer).await;
        let refused = TestApp::try_start_on(database, clock, &[]).await.err().expect("refused");
        assert!(refused.contains("newer Chancery"), "{refused}");
    }
}

#[tokio::test]
async fn a_session_survives_a_restart() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let app = TestApp::start(kind).await;
        let login = app.newcomer("ada@x.test").await;
        let used = app.refresh(&login.refresh_token()).await.expect(200);
        let (database, clock) = (Arc::clone(&app.database), app.clock.clone());
        app.stop().await;
        clock.advance(TimeDelta::seconds(30));
        let app = TestApp::start_on(database, clock, &[]).await;
        app.get_as(&used.access_token(), "/auth/me").await.expect(200);
        app.refresh(&used.refresh_token()).await.expect(200);
        app.advance(TimeDelta::seconds(30));
        app.refresh(&login.refresh_token()).await.expect_problem(401, "invalid_grant");
        app.try_login("ada@x.test", PASSWORD).await.expect(200);
    }
}

/// With the real clock, and a commit that a trigger makes take a second and a half.
#[tokio::test]
async fn after_a_slow_commit_the_bounds_count_from_when_it_could_be_seen() {
    let database = Arc::new(Database::create(Kind::Postgres).await);
    let app = TestApp::start_on(database, chancery::clock::Clock::system(), &[]).await;
    let admin = app.admin().await;
    app.database
        .execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END';
             CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON signing_keys
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()",
        )
        .await;
    let rotation = json!({ "force": true, "reason": "test" });
    let rotated = app.post_as(&admin, "/admin/keys/rotate", rotation).await.expect(200).json();
    let moment =
        |value: &serde_json::Value| value.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let stamped = moment(&rotated["current"]["activated_at"]);
    let slow = TimeDelta::milliseconds(1500);
    assert!(moment(&rotated["next"]["published_at"]) - stamped >= slow);
    let previous = &rotated["previous"][0];
    assert!(
        moment(&previous["retires_at"]) - moment(&previous["demoted_at"]) >= TimeDelta::seconds(665) + slow
    );
    let list = app.get_as(&admin, "/admin/keys").await.expect(200).json();
    assert_eq!(list["keys"][0]["published_at"], rotated["next"]["published_at"]);
}

#[tokio::test]
async fn what_consumers_fetch_from_any_node_every_node_knows() {
    let nodes = three_nodes_with(&[("CHANCERY_KEYS__REFRESH_INTERVAL", "200ms")]).await;
    let database = &nodes[0].database;
    let admin = nodes[0].admin().await;
    for (at, node) in nodes.iter().enumerate() {
        for agent in ["shared".to_owned(), format!("service-{at}")] {
            let headers = [("user-agent", agent.as_str())];
            node.send(reqwest::Method::GET, "/.well-known/jwks.json", &headers, None).await.expect(200);
        }
    }
    for node in &nodes {
        eventually("four consumers", async || {
            let list = node.get_as(&admin, "/admin/keys").await.expect(200).json();
            list["keys"][0]["propagation"] == json!({ "known": 4, "fetched": 4 })
        })
        .await;
    }
    for node in &nodes {
        node.login("admin@x.test").await;
    }
    eventually("the tokens of all nodes are counted", async || {
        database.count("SELECT coalesce(sum(tokens), 0)::bigint FROM issued_tokens").await == 4
    })
    .await;
}

#[tokio::test]
async fn a_revocation_on_one_node_holds_on_all_at_once() {
    let database = Arc::new(Database::create(Kind::Postgres).await);
    // The poll alone would take five seconds of a clock that stands.
    let nodes = {
        let clock = standing_clock();
        join_all((0..3).map(|_| TestApp::start_on(Arc::clone(&database), clock.clone(), &[]))).await
    };
    let admin = nodes[0].admin().await;
    let stolen = part(&admin, 0)["kid"].as_str().unwrap().to_owned();
    for node in &nodes {
        node.get_as(&admin, "/auth/me").await.expect(200);
    }
    let path = format!("/admin/keys/{stolen}/revoke");
    nodes[1].post_as(&admin, &path, json!({ "reason": "test" })).await.expect(200);
    for node in &nodes {
        eventually("the notification is heard", async || {
            node.get_as(&admin, "/auth/me").await.status == 401
                && !kids(&node.get("/.well-known/jwks.json").await.json()).contains(&stolen)
        })
        .await;
    }
}

#[tokio::test]
async fn a_key_that_leaves_by_the_clock_is_audited_once() {
    let nodes = three_nodes_with(&[("CHANCERY_KEYS__REFRESH_INTERVAL", "200ms")]).await;
    let database = &nodes[0].database;
    let admin = nodes[0].admin().await;
    nodes[0]
        .post_as(&admin, "/admin/keys/rotate", json!({ "force": true, "reason": "test" }))
        .await
        .expect(200);
    nodes[0].advance(TimeDelta::minutes(12));
    let told = "SELECT count(*) FROM audit WHERE event = 'key_retired'";
    eventually("it is told", async || database.count(told).await == 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(database.count(told).await, 1);
}
