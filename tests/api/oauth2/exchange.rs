//! Token exchange (RFC 8693): a service acts for a user towards another one, and for no more than it was shown.

use chancery::domain::Scopes;
use chancery::domain::clients::{Client, ClientAuthMethod, GrantType};
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Browser, Registered, claims, client, post_form, register, service};
use crate::support::{Answer, TestApp, on_both};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A service that does nothing else.
async fn exchanger(
    app: &TestApp,
    id: &str,
    scopes: &str,
    audiences: &[&str],
    exchange: &[&str],
) -> Registered {
    let texts = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
    let wanted = Client {
        auth_method: ClientAuthMethod::SecretBasic,
        grant_types: [GrantType::TokenExchange].into(),
        scopes: Scopes::parse(scopes).unwrap(),
        audiences: texts(audiences),
        exchange_audiences: texts(exchange),
        ..client(app, id)
    };
    register(app, &wanted).await
}

async fn exchange(app: &TestApp, by: &Registered, subject: &str, own: &[(&str, &str)]) -> Answer {
    let usual = [("grant_type", EXCHANGE), ("subject_token", subject), ("subject_token_type", ACCESS)];
    let usual = usual.into_iter().filter(|(name, _)| own.iter().all(|(other, _)| other != name));
    by.token(app, &usual.chain(own.iter().copied()).collect::<Vec<_>>()).await
}

/// A web application whose tokens are for the orders service, and a user's tokens from it.
async fn shown(app: &TestApp, scope: &str) -> (Registered, Answer) {
    app.register("ada@x.test").await;
    let web = service(app, "web", "openid email offline_access orders:write stock:read", &["orders"]).await;
    let tokens = again(app, &web, scope).await;
    (web, tokens)
}

async fn again(app: &TestApp, web: &Registered, scope: &str) -> Answer {
    let code = Browser::new(app).code(web, "ada@x.test", &[("scope", scope)]).await;
    web.exchange(app, &code).await.expect(200)
}

async fn ask(app: &TestApp, client: &Registered, token: &str) -> Value {
    client.post(app, "/oauth2/introspect", &[("token", token)]).await.expect(200).json()
}

/// The same node with a role that gives the services' scopes: a user grants what they have.
async fn clerks(app: TestApp) -> TestApp {
    let (database, clock) = (std::sync::Arc::clone(&app.database), app.clock.clone());
    app.stop().await;
    TestApp::start_on(database, clock, &[("CHANCERY_ROLES__CLERK", "orders:write,stock:read")]).await
}

on_both! {
    async fn a_service_acts_for_a_user_towards_another_one(app: TestApp) {
        let app = clerks(app).await;
        let orders = exchanger(&app, "orders", "openid orders:write stock:read", &["orders"], &["stock", "https://pay.test"]).await;
        let stock = service(&app, "stock", "stock:read", &["stock"]).await;
        let (web, _) = shown(&app, "openid").await;
        app.database.execute("UPDATE users SET roles = 'clerk'").await;
        let tokens = again(&app, &web, "openid offline_access orders:write stock:read").await;
        let shown = claims(&tokens.access_token());
        let written = app.database.count("SELECT count(*) FROM audit").await;
        let sessions = app.database.count("SELECT count(*) FROM sessions").await;
        app.advance(TimeDelta::seconds(100));
        let answer = exchange(&app, &orders, &tokens.access_token(), &[("scope", "stock:read"), ("audience", "stock")]).await.expect(200);
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
        let told = answer.json();
        for (name, value) in [("token_type", json!("Bearer")), ("issued_token_type", json!(ACCESS)), ("expires_in", json!(500)), ("scope", json!("stock:read"))] {
            assert_eq!(told[name], value, "{name}");
        }
        for absent in ["refresh_token", "refresh_expires_in", "id_token"] {
            assert!(told.get(absent).is_none(), "{absent}");
        }
        let access = claims(&answer.access_token());
        for kept in ["iss", "sub", "sid", "auth_time", "amr", "exp", "roles"] {
            assert_eq!(access[kept], shown[kept], "{kept}");
        }
        for (name, value) in [("client_id", json!("orders")), ("aud", json!("stock")), ("scope", json!("stock:read")), ("act", json!({ "sub": "orders" }))] {
            assert_eq!(access[name], value, "{name}");
        }
        assert_ne!(access["jti"], shown["jti"]);
        assert_eq!(app.database.count("SELECT count(*) FROM audit").await, written, "one signature and nothing written");
        assert_eq!(app.database.count("SELECT count(*) FROM sessions").await, sessions);
        let seen = ask(&app, &stock, &answer.access_token()).await;
        assert_eq!((&seen["active"], &seen["client_id"], &seen["act"], &seen["scope"]), (&json!(true), &json!("orders"), &json!({ "sub": "orders" }), &json!("stock:read")));
        // All that can be had, the first service, and two at once.
        let all = exchange(&app, &orders, &tokens.access_token(), &[]).await.expect(200);
        assert_eq!((&all.json()["scope"], &claims(&all.access_token())["aud"]), (&json!("openid orders:write stock:read"), &json!("stock")));
        let two = exchange(&app, &orders, &tokens.access_token(), &[("subject_token_type", JWT), ("audience", "stock"), ("resource", "https://pay.test")]).await.expect(200);
        assert_eq!(claims(&two.access_token())["aud"], json!(["https://pay.test", "stock"]));
    }

    async fn what_ends_the_session_ends_what_was_exchanged(app: TestApp) {
        let orders = exchanger(&app, "orders", "openid email", &["orders"], &["chancery", "stock"]).await;
        let (web, tokens) = shown(&app, "openid email").await;
        let given = exchange(&app, &orders, &tokens.access_token(), &[]).await.expect(200).access_token();
        assert_eq!(app.get_as(&given, "/oauth2/userinfo").await.expect(200).json()["email"], "ada@x.test");
        // What the client may no longer ask for is gone at once, and comes back with it.
        app.database.execute("UPDATE clients SET scopes = 'openid' WHERE id = 'orders'").await;
        assert!(app.get_as(&given, "/oauth2/userinfo").await.expect(200).json().get("email").is_none());
        let grants = format!("UPDATE clients SET grant_types = 'client_credentials {EXCHANGE}' WHERE id = 'orders'");
        app.database.execute("UPDATE clients SET grant_types = 'client_credentials' WHERE id = 'orders'").await;
        app.get_as(&given, "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
        app.database.execute(&grants).await;
        app.get_as(&given, "/oauth2/userinfo").await.expect(200);
        // It is not the exchanging client's session to end.
        orders.post(&app, "/oauth2/revoke", &[("token", &given)]).await.expect(200);
        assert_eq!(ask(&app, &orders, &given).await["active"], true);
        web.post(&app, "/oauth2/revoke", &[("token", &tokens.refresh_token())]).await.expect(200);
        assert_eq!(ask(&app, &orders, &given).await, json!({ "active": false }));
        app.get_as(&given, "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
        exchange(&app, &orders, &tokens.access_token(), &[]).await.expect_oauth(400, "invalid_request");
        exchange(&app, &orders, &given, &[]).await.expect_oauth(400, "invalid_request");
    }

    async fn no_more_is_got_than_was_shown(app: TestApp) {
        let orders = exchanger(&app, "orders", "openid keys:read orders:write", &["orders"], &["stock"]).await;
        let (web, tokens) = shown(&app, "openid email").await;
        let access = tokens.access_token();
        for (scope, error) in [("email", "invalid_scope"), ("keys:read", "invalid_scope"), ("openid email", "invalid_scope"), ("offline_access", "invalid_scope"), ("\"", "invalid_scope")] {
            exchange(&app, &orders, &access, &[("scope", scope)]).await.expect_oauth(400, error);
        }
        for target in [("audience", "orders"), ("resource", "chancery"), ("audience", "web"), ("resource", "https://stock")] {
            exchange(&app, &orders, &access, &[target]).await.expect_oauth(400, "invalid_target");
        }
        let idle = exchanger(&app, "idle", "openid", &["orders"], &[]).await;
        exchange(&app, &idle, &access, &[]).await.expect_oauth(400, "invalid_target");
        // A token that is neither for it nor its own.
        let stranger = exchanger(&app, "stranger", "openid", &["stock"], &["pay"]).await;
        exchange(&app, &stranger, &access, &[]).await.expect_oauth(400, "invalid_request");
        exchange(&app, &web, &access, &[]).await.expect(200);
        // What is no access token of ours, of a user's.
        let id_token = tokens.json()["id_token"].as_str().unwrap().to_owned();
        let altered = format!("{}AAAA", &access[..access.len() - 4]);
        let own = web.token(&app, &[("grant_type", "client_credentials")]).await.expect(200).access_token();
        for subject in [id_token.as_str(), &tokens.refresh_token(), &altered, "x", "a.b.c", &own] {
            for by in [&orders, &web] {
                exchange(&app, by, subject, &[]).await.expect_oauth(400, "invalid_request");
            }
        }
        for wrong in [
            &[("subject_token_type", "urn:ietf:params:oauth:token-type:id_token")][..], &[("subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token")],
            &[("subject_token_type", "")], &[("subject_token", "")], &[("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")],
            &[("actor_token", "x"), ("actor_token_type", ACCESS)], &[("actor_token", &access), ("actor_token_type", ACCESS)],
            &[("actor_token", &own), ("actor_token_type", ACCESS)], &[("actor_token", &own)], &[("actor_token_type", ACCESS)],
        ] {
            exchange(&app, &orders, &access, wrong).await.expect_oauth(400, "invalid_request");
        }
        exchange(&app, &web, &access, &[("actor_token", &own), ("actor_token_type", JWT)]).await.expect(200);
        // Who is not registered for it, and who does not say who they are.
        let plain = register(&app, &Client { auth_method: ClientAuthMethod::SecretBasic, ..client(&app, "plain") }).await;
        exchange(&app, &plain, &access, &[]).await.expect_oauth(400, "unauthorized_client");
        let form = [("grant_type", EXCHANGE), ("subject_token", &access), ("subject_token_type", ACCESS), ("client_id", "orders")];
        post_form(&app, "/oauth2/token", &[], &form).await.expect_oauth(401, "invalid_client");
        app.advance(TimeDelta::seconds(630));
        exchange(&app, &orders, &access, &[]).await.expect_oauth(400, "invalid_request");
    }

    async fn a_chain_of_services_has_an_end(app: TestApp) {
        let (_, tokens) = shown(&app, "openid").await;
        let mut token = tokens.access_token();
        for (hop, next) in [("orders", "a"), ("a", "b"), ("b", "c")] {
            let by = exchanger(&app, hop, "openid", &[hop], &[next]).await;
            token = exchange(&app, &by, &token, &[]).await.expect(200).access_token();
        }
        let access = claims(&token);
        assert_eq!(access["act"], json!({ "sub": "b", "act": { "sub": "a", "act": { "sub": "orders" } } }));
        assert_eq!(access["exp"], claims(&tokens.access_token())["exp"]);
        let last = exchanger(&app, "c", "openid", &["c"], &["d"]).await;
        assert_eq!(ask(&app, &service(&app, "seer", "openid", &["c"]).await, &token).await["act"], access["act"]);
        exchange(&app, &last, &token, &[]).await.expect_oauth(400, "invalid_request");
    }

    async fn who_acts_for_a_user_is_not_the_user(app: TestApp) {
        let admin = app.admin().await;
        // Of the login API's own tokens, for this server.
        let helper = exchanger(&app, "helper", "keys:read users:read openid", &["chancery"], &["chancery"]).await;
        let given = exchange(&app, &helper, &admin, &[]).await.expect(200);
        assert_eq!(given.json()["scope"], "keys:read users:read");
        let token = given.access_token();
        for (method, path) in [(Method::GET, "/auth/me"), (Method::GET, "/auth/sessions"), (Method::POST, "/auth/logout"), (Method::POST, "/auth/password"),
            (Method::GET, "/admin/keys"), (Method::GET, "/admin/users"), (Method::POST, "/admin/keys/rotate")] {
            app.request_as(&token, method, path, json!({})).await.expect_problem(403, "insufficient_scope");
        }
        app.get_as(&token, "/oauth2/userinfo").await.expect_oauth(403, "insufficient_scope");
        app.get_as(&admin, "/admin/keys").await.expect(200);
        app.post_as(&admin, "/auth/logout", json!({})).await.expect(204);
        app.get_as(&token, "/admin/keys").await.expect_problem(401, "invalid_token");
    }

    async fn who_registers_such_a_client_has_its_scopes_themselves(app: TestApp) {
        let (database, clock) = (std::sync::Arc::clone(&app.database), app.clock.clone());
        app.stop().await;
        let roles = [("CHANCERY_ROLES__CLERK", "orders:write"), ("CHANCERY_ROLES__REGISTRAR", "clients:write")];
        let app = TestApp::start_on(database, clock, &roles).await;
        app.register("ada@x.test").await;
        app.database.execute("UPDATE users SET roles = 'registrar'").await;
        let token = app.login("ada@x.test").await.access_token();
        let wanted = |id: &str, scope: &str| json!({
            "client_id": id, "client_name": "Orders", "grant_types": [EXCHANGE], "scope": scope,
            "audience": ["orders"], "exchange_audiences": ["stock"],
        });
        for scope in ["openid orders:write", "keys:read"] {
            app.post_as(&token, "/admin/clients", wanted("orders", scope)).await.expect_problem(403, "insufficient_scope");
        }
        let made = app.post_as(&token, "/admin/clients", wanted("orders", "openid")).await.expect(201).json();
        assert_eq!((&made["grant_types"], &made["exchange_audiences"]), (&json!([EXCHANGE]), &json!(["stock"])));
        let admin = app.admin().await;
        app.post_as(&admin, "/admin/clients", wanted("others", "openid orders:write")).await.expect(201);
    }
}
