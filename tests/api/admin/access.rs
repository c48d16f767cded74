use chancery::domain::keys::SigningAlgorithm;
use chancery::keys::{GeneratedKey, Signer};
use chancery::tokens::{AccessClaims, Forgery, SigningMaterial, forge};
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestApp, bearer, on_both, part};

/// Every operation below `/admin` that the document names, so that a new one is tested by itself.
fn operations() -> Vec<(Method, String)> {
    let document = serde_json::to_value(chancery::http::openapi_document()).unwrap();
    let paths = document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/admin"));
    let operations = paths.flat_map(|(path, item)| {
        let path = path.replace("{id}", "00000000-0000-4000-8000-000000000000").replace("{kid}", "unknown");
        let methods = item.as_object().unwrap().keys().filter(|name| *name != "parameters");
        methods.map(move |method| (method.to_uppercase().parse().unwrap(), path.clone()))
    });
    operations.collect()
}

/// Good claims of an administrator, spoiled in every way we know; an ID token is one of them by its type.
fn forgeries(app: &TestApp, good: &str) -> Vec<(String, String)> {
    let claims: AccessClaims = serde_json::from_value(part(good, 1)).unwrap();
    let keyring = app.app.keyring.load_full().unwrap();
    let stranger =
        GeneratedKey::from_pkcs8(SigningAlgorithm::Rs256, include_bytes!("../keys-fixtures/rsa-pkcs8.der"))
            .unwrap();
    let by = Signer::from_pkcs8(stranger.kid.clone(), stranger.alg, &stranger.pkcs8).unwrap();
    let ours = SigningMaterial {
        signer: keyring.signer().unwrap(),
        public_jwk: &keyring.set().current().public_jwk,
    };
    let theirs = SigningMaterial { signer: &by, public_jwk: &stranger.public_jwk };
    let forged = |forgery: Forgery| forge(forgery, claims.clone(), ours, theirs).unwrap().expose().to_owned();
    Forgery::ALL.into_iter().map(|forgery| (forgery.name().to_owned(), forged(forgery))).collect()
}

/// An administrator who is made and logs in, and their id.
async fn another_admin(app: &TestApp, by: &str, email: &str) -> (String, Answer) {
    let body = json!({ "email": email, "password": PASSWORD, "roles": ["admin"] });
    let made = app.post_as(by, "/admin/users", body).await.expect(201).json();
    (format!("/admin/users/{}", made["id"].as_str().unwrap()), app.login(email).await)
}

on_both! {
    async fn no_admin_route_is_open_to_anybody_else(app: TestApp) {
        let under_revoked_key = app.admin().await;
        let kid = part(&under_revoked_key, 0)["kid"].as_str().unwrap().to_owned();
        let stolen = json!({ "reason": "test" });
        app.post_as(&under_revoked_key, &format!("/admin/keys/{kid}/revoke"), stolen).await.expect(200);
        let old = app.login("admin@x.test").await.access_token();
        app.advance(TimeDelta::minutes(12));

        let admin = app.login("admin@x.test").await.access_token();
        let (disabled_at, disabled) = another_admin(&app, &admin, "disabled@x.test").await;
        let (deleted_at, deleted) = another_admin(&app, &admin, "deleted@x.test").await;
        let (fallen_at, fallen) = another_admin(&app, &admin, "fallen@x.test").await;
        let (_, left) = another_admin(&app, &admin, "left@x.test").await;
        app.request_as(&admin, Method::PATCH, &disabled_at, json!({ "status": "disabled" })).await.expect(200);
        app.delete_as(&admin, &deleted_at).await.expect(204);
        app.request_as(&admin, Method::PATCH, &fallen_at, json!({ "roles": [] })).await.expect(200);
        app.post_as(&left.access_token(), "/auth/logout", json!({})).await.expect(204);
        let user = app.newcomer("user@x.test").await;

        let mut refused = forgeries(&app, &admin);
        for (whose, token) in [
            ("nonsense", "nonsense".to_owned()),
            ("an expired one", old),
            ("under a revoked key", under_revoked_key),
            ("a refresh token", left.refresh_token()),
            ("an administrator's refresh token that is good", app.login("admin@x.test").await.refresh_token()),
            ("of a session that has ended", left.access_token()),
            ("of a disabled administrator", disabled.access_token()),
            ("of a deleted administrator", deleted.access_token()),
        ] {
            refused.push((whose.to_owned(), token));
        }
        let operations = operations();
        assert!(operations.len() >= 11);
        for (method, path) in operations {
            let ask = async |token: Option<&str>| {
                let auth = token.map(bearer).unwrap_or_default();
                let headers: &[(&str, &str)] = if token.is_some() { &[("authorization", &auth)] } else { &[] };
                app.send(method.clone(), &path, headers, None).await
            };
            ask(None).await.expect_problem(401, "token_required");
            for (whose, token) in &refused {
                let answer = ask(Some(token)).await;
                assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_token"), "{method} {path}: {whose}");
            }
            for without_scope in [user.access_token(), fallen.access_token()] {
                let answer = ask(Some(&without_scope)).await.expect_problem(403, "insufficient_scope");
                assert!(answer.header("www-authenticate").contains("insufficient_scope"), "{method} {path}");
            }
            // It is the token that makes the difference.
            let answer = ask(Some(&admin)).await;
            assert!(!matches!(answer.status.as_u16(), 401 | 403 | 500..), "{method} {path}: {}", answer.text);
        }
    }

    async fn a_new_server_has_no_account_and_nobody_is_made_an_administrator_by_registering(app: TestApp) {
        assert_eq!(app.database.count("SELECT count(*) FROM users").await, 0);
        for (name, password) in [("admin", "admin"), ("admin@x.test", "admin"), ("admin@x.test", "chancery"), ("root@localhost", "password")] {
            app.try_login(name, password).await.expect_problem(401, "invalid_credentials");
        }
        let first = app.newcomer("admin@x.test").await;
        assert_eq!((&first.json()["user"]["roles"], &first.json()["scope"]), (&json!([]), &json!("")));
    }

    async fn what_operators_do_to_keys_is_posted_and_never_fetched(app: TestApp) {
        let admin = app.admin().await;
        let kid = part(&admin, 0)["kid"].as_str().unwrap().to_owned();
        let before = app.get("/.well-known/jwks.json").await.text;
        for path in ["/admin/keys/rotate".to_owned(), format!("/admin/keys/{kid}/revoke")] {
            for method in [Method::GET, Method::HEAD, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
                let body = json!({ "force": true, "reason": "test" });
                let refused = app.request_as(&admin, method, &path, body).await.expect(405);
                assert_eq!(refused.header("allow"), "POST");
            }
            let in_query = format!("{path}?force=true&reason=test");
            app.get_as(&admin, &in_query).await.expect_problem(405, "method_not_allowed");
        }
        assert_eq!(app.get("/.well-known/jwks.json").await.text, before);
    }

    async fn deletion_takes_what_is_personal_and_leaves_the_audit_trail(app: TestApp) {
        let admin = app.admin().await;
        let body = json!({ "email": "lovelace@x.test", "password": PASSWORD, "name": "Augusta King" });
        app.post("/auth/register", body).await.expect(201);
        let login = app.login("lovelace@x.test").await;
        app.try_login("lovelace@x.test", "not the password").await.expect(401);
        let id = login.json()["user"]["id"].as_str().unwrap().to_owned();
        let path = format!("/admin/users/{id}");
        app.request_as(&admin, Method::PATCH, &path, json!({ "name": "Ada King" })).await.expect(200);
        app.delete_as(&admin, &path).await.expect(204);
        let of_user = format!("SELECT count(*) FROM users WHERE email = 'lovelace@x.test' OR id = {}", id_as_text(&app, &id));
        assert_eq!(app.database.count(&of_user).await, 0);
        assert_eq!(app.database.count("SELECT count(*) FROM sessions").await, 1, "the administrator's");
        let list = app.get_as(&admin, &format!("/admin/audit?subject={id}")).await.expect(200);
        let events: Vec<Value> = list.json()["events"].as_array().unwrap().iter().map(|event| event["event"].clone()).collect();
        for told in ["user_created", "login_succeeded", "login_failed", "user_updated", "user_deleted"] {
            assert!(events.contains(&json!(told)), "{told}");
        }
        let all = app.get_as(&admin, "/admin/audit").await.expect(200).text;
        for personal in ["lovelace", "Augusta", "King"] {
            assert!(!all.contains(personal), "{personal}: {all}");
        }
    }
}

/// An id as it is compared in SQL, where each database has a type of its own.
fn id_as_text(app: &TestApp, id: &str) -> String {
    match *app.database {
        crate::support::Database::Sqlite(_) => format!("x'{}'", id.replace('-', "")),
        crate::support::Database::Postgres { .. } => format!("'{id}'"),
    }
}
