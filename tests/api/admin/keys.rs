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
            ["activated_at", "alg", "created_at", "demoted_at", "eligible_at", "kid", "published_at", "retires_at", "revoked_at", "status"]
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
        let long = app.another_node(&[("CHANCERY_TOKENS__ACCESS_LIFE", "2h")]).await;
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
        let sealed = "SELECT count(*) FROM signing_keys WHERE sealed_private IS NOT NULL AND demoted_at IS NULL";
        let erased = "SELECT count(*) FROM signing_keys WHERE sealed_private IS NULL AND demoted_at IS NOT NULL";
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
        use chancery::store::{Conn, signing_keys};
        let mut tx = app.app.db.begin().await.unwrap();
        let conn: &mut Conn = &mut tx;
        let mut key = signing_keys::all(conn).await.unwrap().remove(0);
        let sealed = key.sealed.take().unwrap();
        key.key.kid = chancery::domain::Kid::new("another".to_owned());
        let refused = signing_keys::insert(&mut tx, &key.key, &sealed).await;
        assert!(matches!(refused, Err(chancery::store::StoreError::Duplicate)), "{refused:?}");
    }

    async fn every_admin_route_needs_its_scope(app: TestApp) {
        let nobody = app.newcomer("ada@x.test").await;
        let admin = app.admin().await;
        let document = serde_json::to_value(chancery::http::openapi_document()).unwrap();
        let mut asked = 0;
        for (path, item) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/admin")) {
            for method in item.as_object().unwrap().keys().filter(|name| *name != "parameters") {
                let path = path.replace("{id}", "00000000-0000-4000-8000-000000000000");
                let method: Method = method.to_uppercase().parse().unwrap();
                let ask = async |token: Option<&str>| {
                    let auth = token.map(bearer).unwrap_or_default();
                    let headers: &[(&str, &str)] = if token.is_some() { &[("authorization", &auth)] } else { &[] };
                    app.send(method.clone(), &path, headers, None).await
                };
                ask(None).await.expect_problem(401, "token_required");
                ask(Some("nonsense")).await.expect_problem(401, "invalid_token");
                ask(Some(&nobody.refresh_token())).await.expect_problem(401, "invalid_token");
                let refused = ask(Some(&nobody.access_token())).await.expect_problem(403, "insufficient_scope");
                assert!(refused.header("www-authenticate").contains("insufficient_scope"));
                asked += 1;
            }
        }
        assert_eq!(asked, 8);
        app.database.execute("UPDATE users SET status = 'disabled'").await;
        app.get_as(&admin, "/admin/keys").await.expect_problem(401, "invalid_token");
    }
}

fn statuses(list: &Value) -> Vec<&str> {
    list["keys"].as_array().unwrap().iter().map(|key| key["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_schedule_rotates_by_itself() {
    let settings = [
        ("CHANCERY_KEYS__ROTATE_EVERY", "1h"),
        ("CHANCERY_KEYS__POLL", "200ms"),
        ("CHANCERY_KEYS__VERIFIER_CACHE", "10s"),
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
