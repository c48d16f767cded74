//! Rows of signing keys that are damaged: one is put aside with an alarm, and the rest works.

use chrono::TimeDelta;
use serde_json::json;

use crate::support::{Database, TestApp, eventually, kids, on_both, part};

/// Overwrites sealed bytes as a failing disk would.
async fn damage_private_half(database: &Database, which: &str) {
    let bytes = match database {
        Database::Sqlite(_) => "x'00112233445566778899aabbccddeeff'",
        Database::Postgres { .. } => "'\\x00112233445566778899aabbccddeeff'",
    };
    database.execute(&format!("UPDATE signing_keys SET encrypted_private_key = {bytes} WHERE {which}")).await;
}

const NEXT: &str = "activated_at IS NULL AND demoted_at IS NULL AND revoked_at IS NULL";
const CURRENT: &str = "activated_at IS NOT NULL AND demoted_at IS NULL AND revoked_at IS NULL";
/// The poll of the nodes here is fast.
const FAST: &[(&str, &str)] = &[("CHANCERY_KEYS__REFRESH_INTERVAL", "200ms")];

on_both! {
    async fn a_damaged_next_key_is_replaced_and_rotation_goes_on(app: TestApp) {
        let before = kids(&app.get("/.well-known/jwks.json").await.json());
        damage_private_half(&app.database, NEXT).await;
        let node = app.another_node(FAST).await;
        eventually("another next key", async || {
            let keys = kids(&node.get("/.well-known/jwks.json").await.json());
            keys.len() == 2 && keys[0] == before[0] && keys[1] != before[1]
        })
        .await;
        let told = "SELECT count(*) FROM audit WHERE event = 'key_withdrawn' AND actor = 'chancery:schedule'";
        assert_eq!(app.database.count(told).await, 1);
        node.admin().await;
        node.open_the_gate();
        let admin = node.login("admin@x.test").await.access_token();
        node.post_as(&admin, "/admin/keys/rotate", json!({})).await.expect(200);
    }

    async fn a_damaged_current_key_is_put_aside_and_the_next_takes_over_when_it_may(app: TestApp) {
        let old = app.newcomer("ada@x.test").await;
        let before = kids(&app.get("/.well-known/jwks.json").await.json());
        app.stop_serving().await;
        damage_private_half(&app.database, CURRENT).await;
        let node = app.another_node(FAST).await;
        // Its public half is whole, so what it signed goes on to verify; nothing new is signed.
        assert_eq!(kids(&node.get("/.well-known/jwks.json").await.json()), before);
        node.get_as(&old.access_token(), "/auth/me").await.expect(200);
        node.try_login("ada@x.test", crate::support::PASSWORD).await.expect_problem(503, "keys_unavailable");
        node.get("/health/ready").await.expect_problem(503, "keys_unavailable");
        let metrics = node.get("/metrics").await.text;
        // All nodes of a test binary share their counters, so the number may be another's; that there is one is told by the list.
        assert!(metrics.contains("chancery_signing_keys_quarantined"), "{metrics}");
        node.open_the_gate();
        eventually("the next key signs", async || {
            kids(&node.get("/.well-known/jwks.json").await.json())[0] == before[1]
        })
        .await;
        let fresh = node.login("ada@x.test").await;
        assert_eq!(part(&fresh.access_token(), 0)["kid"], before[1]);
    }

    async fn a_running_node_signs_on_with_a_key_whose_row_was_damaged(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        damage_private_half(&app.database, CURRENT).await;
        app.advance(TimeDelta::seconds(6));
        let fresh = app.refresh(&login.refresh_token()).await.expect(200);
        assert_eq!(part(&fresh.access_token(), 0)["kid"], part(&login.access_token(), 0)["kid"]);
    }

    async fn a_previous_key_that_cannot_be_read_keeps_nobody_from_the_others(app: TestApp) {
        let admin = app.admin().await;
        app.post_as(&admin, "/admin/keys/rotate", json!({ "force": true, "reason": "test" })).await.expect(200);
        let before = kids(&app.get("/.well-known/jwks.json").await.json());
        assert_eq!(before.len(), 3);
        for damage in ["public_jwk = 'x'", "alg = 'RS255'", "public_jwk = '{\"kty\":\"RSA\"}'"] {
            app.database.execute(&format!("UPDATE signing_keys SET {damage} WHERE demoted_at IS NOT NULL")).await;
            let node = app.another_node(&[]).await;
            assert_eq!(kids(&node.get("/.well-known/jwks.json").await.json()), before[..2]);
            let admin = node.login("admin@x.test").await.access_token();
            let list = node.get_as(&admin, "/admin/keys").await.expect(200).json();
            assert!(list["keys"][2]["problem"].as_str().unwrap().contains("cannot be read"), "{list}");
            // A node that knew the key before remembers it.
            app.advance(TimeDelta::seconds(6));
            app.login("admin@x.test").await;
            assert_eq!(kids(&app.get("/.well-known/jwks.json").await.json()), before);
            node.stop().await;
        }
    }

    async fn an_altered_public_half_is_made_anew_from_its_private_half(app: TestApp) {
        let old = app.newcomer("ada@x.test").await;
        let before = app.get("/.well-known/jwks.json").await.json();
        let swapped = "UPDATE signing_keys SET public_jwk = \
                       (SELECT other.public_jwk FROM signing_keys AS other WHERE other.activated_at IS NULL) \
                       WHERE activated_at IS NOT NULL";
        let garbled = "UPDATE signing_keys SET public_jwk = 'x' WHERE demoted_at IS NULL";
        let relabelled = "UPDATE signing_keys SET public_jwk = replace(public_jwk, 'RS256', 'PS256')";
        for alteration in [swapped, garbled, relabelled] {
            app.database.execute(alteration).await;
            // A node that never saw the right one, and one that remembers it.
            let node = app.another_node(FAST).await;
            app.advance(TimeDelta::seconds(6));
            for node in [&node, &app] {
                assert_eq!(node.get("/.well-known/jwks.json").await.json(), before);
                node.get_as(&old.access_token(), "/auth/me").await.expect(200);
                node.login("ada@x.test").await;
            }
            let altered = "SELECT count(*) FROM signing_keys \
                           WHERE public_jwk NOT LIKE '%' || kid || '%' OR public_jwk NOT LIKE '%RS256%'";
            eventually("it is written down", async || app.database.count(altered).await == 0).await;
            node.stop().await;
        }
        let told = "SELECT count(*) FROM audit WHERE event = 'key_repaired'";
        assert_eq!(app.database.count(told).await, 5);
        assert_eq!(app.database.count("SELECT count(*) FROM signing_keys").await, 2, "nothing was rotated");
    }

    async fn a_public_half_without_a_private_one_must_be_its_own(app: TestApp) {
        let admin = app.admin().await;
        app.post_as(&admin, "/admin/keys/rotate", json!({ "force": true, "reason": "test" })).await.expect(200);
        let before = kids(&app.get("/.well-known/jwks.json").await.json());
        let swapped = "UPDATE signing_keys SET public_jwk = \
                       (SELECT other.public_jwk FROM signing_keys AS other WHERE other.activated_at IS NULL) \
                       WHERE demoted_at IS NOT NULL";
        app.database.execute(swapped).await;
        let node = app.another_node(&[]).await;
        assert_eq!(kids(&node.get("/.well-known/jwks.json").await.json()), before[..2], "no kid is there twice");
    }

    async fn cells_damaged_under_running_nodes_stop_neither_signing_nor_rotation(app: TestApp) {
        app.admin().await;
        let node = app.another_node(FAST).await;
        for (which, damage) in [(NEXT, "public_jwk = 'x'"), (CURRENT, "public_jwk = 'x'"), (CURRENT, "longest_life_s = -5"), (NEXT, "longest_life_s = -5")] {
            app.database.execute(&format!("UPDATE signing_keys SET {damage} WHERE {which}")).await;
            tokio::time::sleep(std::time::Duration::from_millis(700)).await;
            app.advance(TimeDelta::seconds(6));
            for node in [&app, &node] {
                node.login("admin@x.test").await;
            }
            // A key that was replaced waits for its lead anew.
            eventually("a rotation", async || {
                app.advance(TimeDelta::minutes(5));
                let admin = node.login("admin@x.test").await.access_token();
                node.post_as(&admin, "/admin/keys/rotate", json!({})).await.status == 200
            })
            .await;
            for node in [&app, &node] {
                node.login("admin@x.test").await;
            }
        }
        let pair = format!("SELECT count(*) FROM signing_keys WHERE ({NEXT}) OR ({CURRENT})");
        assert_eq!(app.database.count(&pair).await, 2);
    }

    async fn a_key_whose_recorded_life_is_damaged_stays_for_the_longest_it_can_have_signed(app: TestApp) {
        let admin = app.admin().await;
        app.database.execute(&format!("UPDATE signing_keys SET longest_life_s = -5 WHERE {CURRENT}")).await;
        let rotated = app.post_as(&admin, "/admin/keys/rotate", json!({ "force": true, "reason": "test" })).await.expect(200).json();
        let time = |member: &str| {
            rotated["previous"][0][member].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap()
        };
        assert_eq!(time("retires_at") - time("demoted_at"), TimeDelta::seconds(5 + 600 + 60));
    }

    async fn a_revocation_holds_also_for_a_key_whose_row_is_damaged(app: TestApp) {
        let old = app.admin().await;
        let kid = part(&old, 0)["kid"].as_str().unwrap().to_owned();
        app.post_as(&old, "/admin/keys/rotate", json!({ "force": true, "reason": "test" })).await.expect(200);
        let admin = app.login("admin@x.test").await.access_token();
        app.get_as(&old, "/auth/me").await.expect(200);
        app.database.execute("UPDATE signing_keys SET public_jwk = 'x' WHERE demoted_at IS NOT NULL").await;
        let path = format!("/admin/keys/{kid}/revoke");
        app.post_as(&admin, &path, json!({ "reason": "test" })).await.expect(200);
        app.get_as(&old, "/auth/me").await.expect_problem(401, "invalid_token");
        assert!(!kids(&app.get("/.well-known/jwks.json").await.json()).contains(&kid));
    }

    async fn a_next_key_damaged_when_the_schedule_is_due_is_replaced_first(app: TestApp) {
        let settings = [("CHANCERY_KEYS__REFRESH_INTERVAL", "200ms"), ("CHANCERY_KEYS__ROTATE_EVERY", "1h")];
        let before = kids(&app.get("/.well-known/jwks.json").await.json());
        app.stop_serving().await;
        damage_private_half(&app.database, NEXT).await;
        app.advance(TimeDelta::hours(2));
        let node = app.another_node(&settings).await;
        eventually("another next key", async || {
            let keys = kids(&node.get("/.well-known/jwks.json").await.json());
            keys[0] == before[0] && keys[1] != before[1]
        })
        .await;
        let next = kids(&node.get("/.well-known/jwks.json").await.json())[1].clone();
        node.open_the_gate();
        eventually("it signs", async || kids(&node.get("/.well-known/jwks.json").await.json())[0] == next).await;
    }
}
