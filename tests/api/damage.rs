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
    database.execute(&format!("UPDATE signing_keys SET sealed_private = {bytes} WHERE {which}")).await;
}

const NEXT: &str = "activated_at IS NULL AND demoted_at IS NULL AND revoked_at IS NULL";
const CURRENT: &str = "activated_at IS NOT NULL AND demoted_at IS NULL AND revoked_at IS NULL";
/// The poll of the nodes here is fast.
const FAST: &[(&str, &str)] = &[("CHANCERY_KEYS__POLL", "200ms")];

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

    async fn a_public_half_that_is_not_the_private_halfs_is_not_published(app: TestApp) {
        let old = app.newcomer("ada@x.test").await;
        let before = kids(&app.get("/.well-known/jwks.json").await.json());
        let altered = "UPDATE signing_keys SET public_jwk = \
                       (SELECT other.public_jwk FROM signing_keys AS other WHERE other.activated_at IS NULL) \
                       WHERE activated_at IS NOT NULL";
        app.database.execute(altered).await;
        let node = app.another_node(&[]).await;
        assert_eq!(kids(&node.get("/.well-known/jwks.json").await.json()), [before[1].clone()]);
        node.try_login("ada@x.test", crate::support::PASSWORD).await.expect_problem(503, "keys_unavailable");
        // The node that knew it before is not fooled.
        app.advance(TimeDelta::seconds(6));
        app.get_as(&old.access_token(), "/auth/me").await.expect(200);
        let jwks = app.get("/.well-known/jwks.json").await.json();
        assert_eq!(kids(&jwks), before);
        assert_ne!(jwks["keys"][0]["n"], jwks["keys"][1]["n"]);
    }
}
