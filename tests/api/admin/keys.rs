use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Kind, TestApp, bearer, kids, on_both, part};

on_both! {
    async fn the_list_shows_one_current_and_one_next_key(app: TestApp) {
        let admin = app.admin().await;
        let list = app.get_as(&admin, "/admin/keys").await.expect(200).json();
        let keys = list["keys"].as_array().unwrap();
        assert_eq!(statuses(&list), ["next", "current"]);
        let members: Vec<&String> = keys[0].as_object().unwrap().keys().collect();
        assert_eq!(
            members,
            ["activated_at", "alg", "created_at", "demoted_at", "eligible_at", "kid", "propagation", "published_at", "retires_at", "revoked_at", "status"]
        );
        assert_eq!(part(&admin, 0)["kid"], keys[1]["kid"]);
        let published = kids(&app.get("/.well-known/jwks.json").await.json());
        assert_eq!(published, [keys[1]["kid"].as_str().unwrap(), keys[0]["kid"].as_str().unwrap()]);
    }

    async fn before_the_lead_has_passed_a_rotation_is_refused(app: TestApp) {
        let admin = app.admin().await;
        let refused = app.post_as(&admin, "/admin/keys/rotate", json!({})).await.expect_problem(409, "key_not_eligible");
        let next = app.get_as(&admin, "/admin/keys").await.json()["keys"][0].clone();
        assert_eq!(refused.json()["eligible_at"], next["eligible_at"]);
        let wait: i64 = refused.header("retry-after").parse().unwrap();
        assert!((1204..=1206).contains(&wait), "{wait}");
        assert_eq!(statuses(&app.get_as(&admin, "/admin/keys").await.json()), ["next", "current"]);
    }

    async fn a_rotation_lets_the_published_key_sign_and_breaks_no_token(app: TestApp) {
        let old = app.admin().await;
        let before = kids(&app.get("/.well-known/jwks.json").await.json());
        app.open_the_gate();
        let admin = app.login("admin@x.test").await.access_token();
        let rotated = app.post_as(&admin, "/admin/keys/rotate", json!({})).await.expect(200).json();
        assert_eq!(rotated["current"]["kid"], before[1], "what signs now was published before");
        assert_eq!(rotated["previous"][0]["kid"], before[0]);
        assert_eq!(rotated["previous"].as_array().unwrap().len(), 1);
        let fresh = app.login("admin@x.test").await.access_token();
        assert_eq!(part(&fresh, 0)["kid"], before[1]);
        let after = kids(&app.get("/.well-known/jwks.json").await.json());
        assert_eq!(after.len(), 3);
        assert!(after.contains(&before[0]) && after.contains(&rotated["next"]["kid"].as_str().unwrap().to_owned()));
        app.get_as(&admin, "/auth/me").await.expect(200);
        app.get_as(&old, "/auth/me").await.expect(401);
        app.get_as(&fresh, "/auth/me").await.expect(200);
    }

    async fn a_previous_key_stays_until_its_last_token_is_dead(app: TestApp) {
        let admin = app.admin().await;
        app.post_as(&admin, "/admin/keys/rotate", json!({ "force": true, "reason": "test" })).await.expect(200);
        let old = part(&admin, 0)["kid"].as_str().unwrap().to_owned();
        // Staleness, the longest life and the leeway: 5 + 600 + 60 seconds.
        app.advance(TimeDelta::seconds(664));
        let list = app.get_as(&app.login("admin@x.test").await.access_token(), "/admin/keys").await.expect(200).json();
        assert_eq!(statuses(&list), ["next", "current", "previous"]);
        assert!(kids(&app.get("/.well-known/jwks.json").await.json()).contains(&old));
        app.advance(TimeDelta::seconds(2));
        let list = app.get_as(&app.login("admin@x.test").await.access_token(), "/admin/keys").await.expect(200).json();
        assert_eq!(statuses(&list), ["next", "current", "retired"]);
        assert!(!kids(&app.get("/.well-known/jwks.json").await.json()).contains(&old));
    }

    async fn lowering_the_token_life_does_not_shorten_retirement(app: TestApp) {
        let long = app.another_node(&[("CHANCERY_TOKENS__ACCESS_TOKEN_TTL", "2h")]).await;
        let admin = app.admin().await;
        let patient = long.login("admin@x.test").await.access_token();
        let rotation = json!({ "force": true, "reason": "test" });
        let rotated = app.post_as(&admin, "/admin/keys/rotate", rotation).await.expect(200).json();
        let moment = |member: &Value| member.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        let previous = &rotated["previous"][0];
        let stays = moment(&previous["retires_at"]) - moment(&previous["demoted_at"]);
        assert_eq!(stays, TimeDelta::seconds(5 + 7200 + 60));
        app.advance(TimeDelta::hours(2));
        app.get_as(&patient, "/auth/me").await.expect(200);
    }

    async fn the_private_half_is_erased_at_demotion_and_in_no_answer(app: TestApp) {
        let admin = app.admin().await;
        app.post_as(&admin, "/admin/keys/rotate", json!({ "force": true, "reason": "test" })).await.expect(200);
        let sealed = "SELECT count(*) FROM signing_keys WHERE encrypted_private_key IS NOT NULL AND demoted_at IS NULL";
        let erased = "SELECT count(*) FROM signing_keys WHERE encrypted_private_key IS NULL AND demoted_at IS NOT NULL";
        assert_eq!((app.database.count(sealed).await, app.database.count(erased).await), (2, 1));
        for answer in [app.get_as(&admin, "/admin/keys").await, app.get("/.well-known/jwks.json").await] {
            for member in ["\"d\"", "\"p\"", "\"q\"", "\"dp\"", "\"dq\"", "\"qi\"", "\"oth\"", "\"k\"", "sealed", "PRIVATE"] {
                assert!(!answer.text.contains(member), "{member}");
            }
        }
    }

    async fn an_algorithm_changes_through_next_like_any_rotation(app: TestApp) {
        let node = app.another_node(&[("CHANCERY_KEYS__ALGORITHM", "ES256")]).await;
        let admin = app.admin().await;
        let supported = async || {
            let document = node.get("/.well-known/openid-configuration").await.expect(200).json();
            document["id_token_signing_alg_values_supported"].clone()
        };
        let rotate = async || {
            let wish = json!({ "force": true, "reason": "another algorithm" });
            node.post_as(&admin, "/admin/keys/rotate", wish).await.expect(200).json()
        };
        assert_eq!(part(&admin, 0)["alg"], "RS256");
        assert_eq!(supported().await, json!(["RS256"]));

        // What was waiting signs first, and it is of the old kind.
        let first = rotate().await;
        assert_eq!((&first["current"]["alg"], &first["next"]["alg"]), (&json!("RS256"), &json!("ES256")));
        assert_eq!(supported().await, json!(["RS256", "ES256"]));
        let between = node.login("admin@x.test").await.access_token();
        assert_eq!((&part(&between, 0)["alg"], &part(&between, 0)["kid"]), (&json!("RS256"), &first["current"]["kid"]));

        let second = rotate().await;
        assert_eq!(second["current"]["kid"], first["next"]["kid"]);
        assert_eq!((&second["current"]["alg"], &second["next"]["alg"]), (&json!("ES256"), &json!("ES256")));
        let after = node.login("admin@x.test").await.access_token();
        assert_eq!((&part(&after, 0)["alg"], &part(&after, 0)["kid"]), (&json!("ES256"), &first["next"]["kid"]));
        for token in [&admin, &between, &after] {
            node.get_as(token, "/auth/me").await.expect(200);
        }
        // The other node still makes RSA keys; what it reads is for the rows to say.
        app.app.keyring.store(None);
        for token in [&admin, &between, &after] {
            app.get_as(token, "/auth/me").await.expect(200);
        }
        assert_eq!(part(&app.login("admin@x.test").await.access_token(), 0)["alg"], "ES256");

        let set = node.get("/.well-known/jwks.json").await.expect(200).json();
        let keys = set["keys"].as_array().unwrap();
        let mut algs: Vec<&str> = keys.iter().map(|key| key["alg"].as_str().unwrap()).collect();
        assert_eq!(algs[0], "ES256", "the signing key comes first");
        algs.sort_unstable();
        assert_eq!(algs, ["ES256", "ES256", "RS256", "RS256"]);
        for key in keys {
            let members: Vec<&String> = key.as_object().unwrap().keys().collect();
            match key["alg"].as_str().unwrap() {
                "ES256" => {
                    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
                    assert_eq!((&key["kty"], &key["crv"], &key["use"]), (&json!("EC"), &json!("P-256"), &json!("sig")));
                }
                _ => assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]),
            }
            let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).unwrap();
            assert_eq!(jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap(), key["kid"].as_str().unwrap());
        }
    }

    async fn a_dry_run_tells_and_changes_nothing(app: TestApp) {
        let admin = app.admin().await;
        let wish = json!({ "dry_run": true });
        app.post_as(&admin, "/admin/keys/rotate", wish.clone()).await.expect_problem(409, "key_not_eligible");
        app.open_the_gate();
        let admin = app.login("admin@x.test").await.access_token();
        let before = app.get_as(&admin, "/admin/keys").await.json();
        let foreseen = app.post_as(&admin, "/admin/keys/rotate", wish).await.expect(200).json();
        assert_eq!(foreseen["dry_run"], true);
        assert_eq!(foreseen["current"]["kid"], before["keys"][0]["kid"]);
        assert_eq!(foreseen["next"], Value::Null);
        assert_eq!(foreseen["previous"][0]["kid"], before["keys"][1]["kid"]);
        assert_eq!(app.get_as(&admin, "/admin/keys").await.json(), before);
    }

    async fn forcing_needs_a_reason_and_is_audited(app: TestApp) {
        let admin = app.admin().await;
        for reasonless in [json!({ "force": true }), json!({ "force": true, "reason": "  " })] {
            app.post_as(&admin, "/admin/keys/rotate", reasonless).await.expect_problem(422, "reason_required");
        }
        let forced = json!({ "force": true, "reason": "lost a laptop" });
        app.post_as(&admin, "/admin/keys/rotate", forced).await.expect(200);
        let row = "SELECT count(*) FROM audit WHERE event = 'keys_rotation_forced' AND actor LIKE 'user:%' \
                   AND source = '127.0.0.1' AND request_id IS NOT NULL AND detail LIKE '%lost a laptop%'";
        assert_eq!(app.database.count(row).await, 1);
    }

    async fn the_same_idempotency_key_gets_the_same_answer(app: TestApp) {
        let admin = app.admin().await;
        let rotate = async |key: &str, reason: &str| {
            let auth = bearer(&admin);
            let headers = [("content-type", "application/json"), ("authorization", auth.as_str()), ("idempotency-key", key)];
            let body = json!({ "force": true, "reason": reason }).to_string();
            app.send(Method::POST, "/admin/keys/rotate", &headers, Some(body)).await
        };
        let first = rotate("a", "test").await.expect(200);
        assert_eq!(rotate("a", "test").await.expect(200).json(), first.json());
        rotate("a", "another reason").await.expect_problem(422, "idempotency_key_reused");
        rotate("", "test").await.expect_problem(400, "invalid_parameter");
        rotate(&"k".repeat(256), "test").await.expect_problem(400, "invalid_parameter");
        assert_eq!(app.database.count("SELECT count(*) FROM signing_keys").await, 3);
        // Sixteen repeats of one new request, all at once: one rotation, one answer.
        let answers = join_all((0..16).map(|_| rotate("b", "test"))).await;
        let mut bodies: Vec<String> = answers.into_iter().map(|answer| answer.expect(200).text).collect();
        bodies.dedup();
        assert_eq!(bodies.len(), 1);
        assert_eq!(app.database.count("SELECT count(*) FROM signing_keys").await, 4);
    }

    async fn sixteen_rotations_at_once_are_one(app: TestApp) {
        let admin = app.admin().await;
        for forced in [false, true] {
            app.open_the_gate();
            let admin = app.login("admin@x.test").await.access_token();
            let body = if forced { json!({ "force": true, "reason": "test" }) } else { json!({}) };
            let answers = join_all((0..16).map(|_| app.post_as(&admin, "/admin/keys/rotate", body.clone()))).await;
            let wins = answers.iter().filter(|answer| answer.status == 200).count();
            if forced {
                // Forced ones that began after the winner had finished rotate again; together they never lose count.
                assert!(wins >= 1);
            } else {
                assert_eq!(wins, 1);
            }
            assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 409));
        }
        let ones = "SELECT count(*) FROM signing_keys WHERE activated_at IS NULL";
        assert_eq!(app.database.count(ones).await, 1);
        let current = "SELECT count(*) FROM signing_keys WHERE activated_at IS NOT NULL AND demoted_at IS NULL";
        assert_eq!(app.database.count(current).await, 1);
        drop(admin);
    }

    async fn the_database_itself_refuses_a_second_current_or_next_key(app: TestApp) {
        use chancery::store::Conn;
        use chancery::store::keys::signing_keys;
        let mut tx = app.app.db.begin().await.unwrap();
        let conn: &mut Conn = &mut tx;
        let mut key = signing_keys::all(conn).await.unwrap().remove(0);
        let sealed = key.sealed.take().unwrap();
        key.key.kid = chancery::domain::keys::Kid::new("another".to_owned());
        let refused = signing_keys::insert(&mut tx, &key.key, Some(&sealed)).await;
        assert!(matches!(refused, Err(chancery::store::StoreError::Duplicate)), "{refused:?}");
    }

    async fn a_revoked_key_is_gone_at_once_and_one_never_published_signs_on(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        let stolen_token = app.admin().await;
        let before = kids(&app.get("/.well-known/jwks.json").await.json());
        let path = format!("/admin/keys/{}/revoke", before[0]);
        let revoked = app.post_as(&stolen_token, &path, json!({ "reason": "a laptop is gone" })).await.expect(200).json();
        assert_eq!((revoked["revoked"]["kid"].as_str(), revoked["revoked"]["status"].as_str()), (Some(&*before[0]), Some("revoked")));
        assert_eq!(revoked["dropped"]["kid"], before[1], "the waiting key lay in the same place");
        let jwks = app.get("/.well-known/jwks.json").await;
        let after = kids(&jwks.json());
        assert_eq!(after.len(), 2);
        assert!(after.iter().all(|kid| !before.contains(kid)), "both were never published before");
        assert_eq!((revoked["current"]["kid"].as_str(), revoked["next"]["kid"].as_str()), (Some(&*after[0]), Some(&*after[1])));
        assert_eq!(jwks.header("cache-control"), "no-cache");
        // Our own endpoints refuse its tokens, and the sessions live on.
        app.get_as(&stolen_token, "/auth/me").await.expect_problem(401, "invalid_token");
        app.get_as(&login.access_token(), "/auth/me").await.expect_problem(401, "invalid_token");
        let fresh = app.refresh(&login.refresh_token()).await.expect(200);
        assert_eq!(part(&fresh.access_token(), 0)["kid"], after[0]);
        app.get_as(&fresh.access_token(), "/auth/me").await.expect(200);
        app.advance(TimeDelta::minutes(59));
        assert_eq!(app.get("/.well-known/jwks.json").await.header("cache-control"), "no-cache");
        app.advance(TimeDelta::minutes(2));
        assert!(app.get("/.well-known/jwks.json").await.header("cache-control").starts_with("public, max-age="));
        let erased = "SELECT count(*) FROM signing_keys WHERE revoked_at IS NOT NULL AND encrypted_private_key IS NULL";
        assert_eq!(app.database.count(erased).await, 2);
        let told = "SELECT count(*) FROM audit WHERE event = 'key_revoked' AND actor LIKE 'user:%' AND detail LIKE '%a laptop is gone%'";
        assert_eq!(app.database.count(told).await, 2);
    }

    async fn revoking_the_waiting_key_leaves_the_signing_one_alone(app: TestApp) {
        let admin = app.admin().await;
        let before = kids(&app.get("/.well-known/jwks.json").await.json());
        let path = format!("/admin/keys/{}/revoke", before[1]);
        let revoked = app.post_as(&admin, &path, json!({ "reason": "test" })).await.expect(200).json();
        assert_eq!((revoked["current"]["kid"].as_str(), &revoked["dropped"]), (Some(&*before[0]), &Value::Null));
        let after = kids(&app.get("/.well-known/jwks.json").await.json());
        assert_eq!((after.len(), &after[0]), (2, &before[0]));
        assert_ne!(after[1], before[1]);
        app.get_as(&admin, "/auth/me").await.expect(200);
        // Its successor's lead begins anew.
        app.advance(TimeDelta::seconds(1));
        app.post_as(&admin, "/admin/keys/rotate", json!({})).await.expect_problem(409, "key_not_eligible");
    }

    async fn revoking_a_previous_key_takes_only_that_one(app: TestApp) {
        let old = app.admin().await;
        app.post_as(&old, "/admin/keys/rotate", json!({ "force": true, "reason": "test" })).await.expect(200);
        let admin = app.login("admin@x.test").await.access_token();
        let before = kids(&app.get("/.well-known/jwks.json").await.json());
        let path = format!("/admin/keys/{}/revoke", part(&old, 0)["kid"].as_str().unwrap());
        app.post_as(&admin, &path, json!({ "reason": "test" })).await.expect(200);
        assert_eq!(kids(&app.get("/.well-known/jwks.json").await.json()), before[..2]);
        app.get_as(&old, "/auth/me").await.expect_problem(401, "invalid_token");
        app.get_as(&admin, "/auth/me").await.expect(200);
        let list = app.get_as(&admin, "/admin/keys").await.json();
        assert_eq!(statuses(&list), ["next", "current", "revoked"]);
    }

    async fn revoking_needs_a_reason_and_a_key_and_is_done_once(app: TestApp) {
        let admin = app.admin().await;
        let kid = part(&admin, 0)["kid"].as_str().unwrap().to_owned();
        let path = format!("/admin/keys/{kid}/revoke");
        for reasonless in [json!({}), json!({ "reason": " " })] {
            app.post_as(&admin, &path, reasonless).await.expect_problem(422, "reason_required");
        }
        app.post_as(&admin, "/admin/keys/nobodys/revoke", json!({ "reason": "x" })).await.expect_problem(404, "not_found");
        app.send(Method::GET, &path, &[], None).await.expect_problem(405, "method_not_allowed");
        app.post_as(&admin, &path, json!({ "reason": "x" })).await.expect(200);
        let keys = app.database.count("SELECT count(*) FROM signing_keys").await;
        let admin = app.login("admin@x.test").await.access_token();
        let again = app.post_as(&admin, &path, json!({ "reason": "twice" })).await.expect(200).json();
        assert_eq!(again["revoked"]["kid"], kid);
        assert_eq!(app.database.count("SELECT count(*) FROM signing_keys").await, keys);
    }

    async fn sixteen_revocations_at_once_are_one(app: TestApp) {
        let admin = app.admin().await;
        let path = format!("/admin/keys/{}/revoke", part(&admin, 0)["kid"].as_str().unwrap());
        let body = json!({ "reason": "test" });
        let answers = join_all((0..16).map(|_| app.post_as(&admin, &path, body.clone()))).await;
        // Those that come after it are asked by a dead token.
        assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 401));
        assert!(answers.iter().any(|answer| answer.status == 200));
        assert_eq!(app.database.count("SELECT count(*) FROM signing_keys").await, 4);
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event = 'key_revoked'").await, 2);
    }

    async fn a_dry_revocation_tells_the_cost_and_changes_nothing(app: TestApp) {
        let admin = app.admin().await;
        for name in ["a@x.test", "b@x.test", "c@x.test"] {
            app.newcomer(name).await;
        }
        app.advance(TimeDelta::minutes(3));
        let last = app.login("a@x.test").await;
        let path = format!("/admin/keys/{}/revoke", part(&admin, 0)["kid"].as_str().unwrap());
        let before = app.get("/.well-known/jwks.json").await.text;
        let told = app.post_as(&admin, &path, json!({ "reason": "test", "dry_run": true })).await.expect(200).json();
        assert_eq!(told["dry_run"], true);
        assert_eq!((told["current"].clone(), told["next"].clone()), (Value::Null, Value::Null));
        assert_eq!(told["impact"]["live_sessions"], 5);
        assert_eq!(told["impact"]["valid_tokens"], 5);
        let expires_at = part(&last.access_token(), 1)["exp"].as_i64().unwrap();
        let told_at = told["impact"]["last_expires_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        assert_eq!(told_at.timestamp(), expires_at);
        assert_eq!(told["impact"]["seconds_until_last_expires"], 600);
        assert_eq!(app.get("/.well-known/jwks.json").await.text, before);
        app.advance(TimeDelta::minutes(8));
        let told = app.post_as(&last.access_token(), &path, json!({ "reason": "test", "dry_run": true })).await;
        told.expect_problem(403, "insufficient_scope");
        let admin = app.login("admin@x.test").await.access_token();
        let told = app.post_as(&admin, &path, json!({ "reason": "test", "dry_run": true })).await.expect(200).json();
        assert_eq!(told["impact"]["valid_tokens"], 2, "five have expired but one, and one is new");
    }

    async fn the_same_idempotency_key_revokes_once(app: TestApp) {
        let admin = app.admin().await;
        app.post_as(&admin, "/admin/keys/rotate", json!({ "force": true, "reason": "test" })).await.expect(200);
        let path = format!("/admin/keys/{}/revoke", part(&admin, 0)["kid"].as_str().unwrap());
        let admin = app.login("admin@x.test").await.access_token();
        let revoke = async |reason: &str| {
            let auth = bearer(&admin);
            let headers = [("content-type", "application/json"), ("authorization", auth.as_str()), ("idempotency-key", "a")];
            app.send(Method::POST, &path, &headers, Some(json!({ "reason": reason }).to_string())).await
        };
        let first = revoke("test").await.expect(200);
        assert_eq!(revoke("test").await.expect(200).text, first.text);
        revoke("another").await.expect_problem(422, "idempotency_key_reused");
    }

    async fn it_is_known_which_services_have_a_key(app: TestApp) {
        let admin = app.admin().await;
        let fetch = async |agent: &str| {
            app.send(Method::GET, "/.well-known/jwks.json", &[("user-agent", agent)], None).await.expect(200)
        };
        fetch("orders/1.0").await;
        fetch("billing/2.0").await;
        app.advance(TimeDelta::minutes(1));
        app.post_as(&admin, "/admin/keys/rotate", json!({ "force": true, "reason": "test" })).await.expect(200);
        app.advance(TimeDelta::minutes(1));
        let etag = fetch("orders/1.0").await.header("etag").to_owned();
        app.send(Method::GET, "/.well-known/jwks.json", &[("user-agent", "cached"), ("if-none-match", &etag)], None).await.expect(304);
        app.send(Method::HEAD, "/.well-known/jwks.json", &[("user-agent", "a probe")], None).await.expect(200);
        let list = app.get_as(&admin, "/admin/keys").await.expect(200).json();
        assert_eq!(list["keys"][0]["propagation"], json!({ "known": 3, "fetched": 2 }));
        assert_eq!(list["keys"][1]["propagation"], json!({ "known": 3, "fetched": 3 }));
        let next = list["keys"][0]["kid"].as_str().unwrap();
        let told = app.get_as(&admin, &format!("/admin/keys/{next}/propagation")).await.expect(200).json();
        let consumers = told["consumers"].as_array().unwrap();
        assert_eq!((consumers[0]["user_agent"].as_str(), consumers[0]["fetched"].as_bool()), (Some("billing/2.0"), Some(false)));
        assert!(consumers.iter().all(|consumer| consumer["network"] == "127.0.0.0/24"));
        assert!(told["summary"].as_str().unwrap().starts_with("1 of 3 known consumers have not fetched this key, last seen "));
        app.get_as(&admin, "/admin/keys/nobodys/propagation").await.expect_problem(404, "not_found");
        app.open_the_gate();
        let admin = app.login("admin@x.test").await.access_token();
        let dry = app.post_as(&admin, "/admin/keys/rotate", json!({ "dry_run": true })).await.expect(200).json();
        assert_eq!((dry["propagation"]["known"].as_i64(), dry["propagation"]["fetched"].as_i64()), (Some(3), Some(2)));
        assert_eq!(dry["propagation"]["consumers"].as_array().unwrap().len(), 1);
    }
}

fn statuses(list: &Value) -> Vec<&str> {
    list["keys"].as_array().unwrap().iter().map(|key| key["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_schedule_rotates_by_itself() {
    let settings = [
        ("CHANCERY_KEYS__ROTATE_EVERY", "1h"),
        ("CHANCERY_KEYS__REFRESH_INTERVAL", "200ms"),
        ("CHANCERY_KEYS__VERIFIER_CACHE_TTL", "10s"),
    ];
    let app = TestApp::start_with(Kind::Sqlite, &settings).await;
    let before = kids(&app.get("/.well-known/jwks.json").await.json());
    app.advance(TimeDelta::minutes(61));
    for _ in 0..200 {
        let after = kids(&app.get("/.well-known/jwks.json").await.json());
        if after[0] == before[1] {
            assert_eq!(after.len(), 3);
            let row =
                "SELECT count(*) FROM audit WHERE event = 'keys_rotated' AND actor = 'chancery:schedule'";
            assert_eq!(app.database.count(row).await, 1);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("nothing was rotated within ten seconds");
}
