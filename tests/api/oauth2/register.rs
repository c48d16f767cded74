//! Applications that register themselves (RFC 7591) and manage that (RFC 7592).

use chancery::flows::clean_up;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Browser, CALLBACK, Registered, VERIFIER, post_form};
use crate::support::{Answer, PASSWORD, TestApp, bearer, on_both};

const TOKEN: &str = "let-me-in-0123456789";

/// The same node, where applications may register themselves.
async fn with(app: TestApp, settings: &[(&str, &str)]) -> TestApp {
    let (database, clock) = (std::sync::Arc::clone(&app.database), app.clock.clone());
    app.stop().await;
    TestApp::start_on(database, clock, settings).await
}

async fn open(app: TestApp) -> TestApp {
    with(app, &[("CHANCERY_OAUTH__REGISTRATION", "open")]).await
}

fn least() -> Value {
    json!({ "redirect_uris": [CALLBACK], "client_name": "Orders & Sons" })
}

fn and(mut body: Value, member: &str, value: Value) -> Value {
    body[member] = value;
    body
}

async fn register(app: &TestApp, body: Value) -> Answer {
    app.post("/oauth2/register", body).await
}

/// What an application does with its own registration.
async fn manage(app: &TestApp, registered: &Value, method: Method, body: Option<Value>) -> Answer {
    let uri =
        registered["registration_client_uri"].as_str().unwrap().strip_prefix("https://auth.test").unwrap();
    let token = bearer(registered["registration_access_token"].as_str().unwrap());
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    app.send(method, uri, &headers, body.map(|body| body.to_string())).await
}

fn as_client(registered: &Value) -> Registered {
    Registered {
        id: registered["client_id"].as_str().unwrap().to_owned(),
        secret: registered["client_secret"].as_str().map(str::to_owned),
    }
}

on_both! {
    async fn off_it_is_as_if_it_were_not_there(app: TestApp) {
        register(&app, least()).await.expect_oauth(404, "not_found");
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            app.send(method, "/oauth2/register/c-1", &[("authorization", "Bearer x")], None).await.expect_oauth(404, "not_found");
        }
        let metadata = app.get("/.well-known/openid-configuration").await.json();
        assert!(metadata.get("registration_endpoint").is_none());
        // What was registered before cannot be managed while it is off, and works.
        let app = open(app).await;
        let made = register(&app, least()).await.expect(201).json();
        let app = with(app, &[]).await;
        manage(&app, &made, Method::GET, None).await.expect_oauth(404, "not_found");
        as_client(&made).post(&app, "/oauth2/introspect", &[("token", "x")]).await.expect(200);
    }

    async fn an_application_registers_itself_and_signs_users_in_who_are_asked(app: TestApp) {
        let app = open(app).await;
        app.register("ada@x.test").await;
        let metadata = app.get("/.well-known/openid-configuration").await.json();
        assert_eq!(metadata["registration_endpoint"], "https://auth.test/oauth2/register");
        let wanted = json!({
            "redirect_uris": [CALLBACK], "client_name": "Orders & Sons", "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "response_types": ["code"], "scope": "openid email keys:rotate", "token_endpoint_auth_method": "client_secret_basic",
            "post_logout_redirect_uris": ["https://app.test/bye"], "backchannel_logout_uri": "https://app.test/out",
            "contacts": ["x@app.test"], "logo_uri": "https://app.test/logo", "client_name#de": "Bestellungen", "require_consent": false, "audience": ["orders"],
        });
        let answer = register(&app, wanted).await.expect(201);
        assert_eq!(answer.header("cache-control"), "no-store");
        let made = answer.json();
        let id = made["client_id"].as_str().unwrap().to_owned();
        let (secret, token) = (made["client_secret"].as_str().unwrap(), made["registration_access_token"].as_str().unwrap());
        assert!(secret.starts_with("ccs_") && token.starts_with("crg_"));
        let expected = json!({
            "client_id": id, "client_secret": secret, "client_id_issued_at": app.clock.now().timestamp(), "client_secret_expires_at": 0,
            "registration_access_token": token, "registration_client_uri": format!("https://auth.test/oauth2/register/{id}"),
            "redirect_uris": [CALLBACK], "client_name": "Orders & Sons", "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"], "scope": "email openid", "token_endpoint_auth_method": "client_secret_basic",
            "post_logout_redirect_uris": ["https://app.test/bye"], "backchannel_logout_uri": "https://app.test/out",
            "backchannel_logout_session_required": false, "dpop_bound_access_tokens": false,
        });
        assert_eq!(made, expected);
        assert!(!app.database.holds(secret) && !app.database.holds(token));
        let told = format!("SELECT count(*) FROM audit WHERE event = 'client_registered' AND actor = 'anonymous' AND subject = '{id}'");
        assert_eq!(app.database.count(&told).await, 1);

        let (client, browser) = (as_client(&made), Browser::new(&app));
        let page = browser.get(&client.authorize(&[("scope", "openid email")])).await.page(200);
        let asked = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200);
        assert!(asked.text.contains("Orders &amp; Sons"), "{}", asked.text);
        let back = browser.post("/consent", &[("flow", &asked.flow()), ("decision", "allow")]).await;
        let tokens = client.exchange(&app, &back.returned_code()).await.expect(200);
        let access = crate::support::part(&tokens.access_token(), 1);
        assert_eq!((&access["aud"], &access["client_id"]), (&json!("chancery"), &json!(id)));
        app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect(200);
        client.refresh(&app, &tokens.refresh_token()).await.expect(200);
        client.token(&app, &[("grant_type", "client_credentials")]).await.expect_oauth(400, "unauthorized_client");
    }

    async fn a_public_one_has_no_secret(app: TestApp) {
        let app = open(app).await;
        let made = register(&app, and(least(), "token_endpoint_auth_method", json!("none"))).await.expect(201).json();
        for absent in ["client_secret", "client_secret_expires_at"] {
            assert!(made.get(absent).is_none(), "{absent}");
        }
        let form = [("grant_type", "authorization_code"), ("code", "x"), ("code_verifier", VERIFIER), ("client_id", made["client_id"].as_str().unwrap())];
        post_form(&app, "/oauth2/token", &[], &form).await.expect_oauth(400, "invalid_grant");
    }

    async fn what_cannot_be_registered_is_named(app: TestApp) {
        let app = open(app).await;
        for bad in [json!([]), json!(["http://app.test/cb"]), json!(["https://app.test/cb#x"]), json!(["javascript:alert(1)"]), json!(["myapp:/cb"])] {
            register(&app, and(least(), "redirect_uris", bad)).await.expect_oauth(400, "invalid_redirect_uri");
        }
        register(&app, json!({})).await.expect_oauth(400, "invalid_redirect_uri");
        for (member, bad) in [
            ("redirect_uris", json!(CALLBACK)), ("redirect_uris", json!([1])), ("grant_types", json!(["client_credentials"])), ("grant_types", json!([])),
            ("response_types", json!(["token"])), ("scope", json!("keys:read")), ("scope", json!("\u{e4}")), ("client_name", json!("")),
            ("client_name", json!("a\nb")), ("client_name", json!("a\0b")), ("post_logout_redirect_uris", json!(["x"])),
            ("backchannel_logout_uri", json!("http://app.test/out")), ("backchannel_logout_session_required", json!("yes")),
        ] {
            register(&app, and(least(), member, bad)).await.expect_oauth(400, "invalid_client_metadata");
        }
        let typed = |kind: &'static str| [("content-type", kind)];
        let send = async |kind, body: &str| app.send(Method::POST, "/oauth2/register", &typed(kind), Some(body.to_owned())).await;
        for body in ["", "{", "[]", "null", "{\"scope\":\"openid\",\"scope\":\"email\"}"] {
            send("application/json", body).await.expect_oauth(400, "invalid_client_metadata");
        }
        send("application/x-www-form-urlencoded", "a=b").await.expect_oauth(415, "invalid_client_metadata");
        let huge = format!("{{\"x\":\"{}\"}}", "a".repeat(70_000));
        send("application/json", &huge).await.expect_oauth(413, "invalid_request");
        assert_eq!(app.database.count("SELECT count(*) FROM clients").await, 0);
        let refused = app.get("/oauth2/register").await.expect_oauth(405, "invalid_request");
        assert_eq!(refused.header("allow"), "POST");
    }

    async fn an_application_manages_its_own_registration_and_no_others(app: TestApp) {
        let app = open(app).await;
        let made = register(&app, least()).await.expect(201).json();
        let other = register(&app, and(least(), "client_name", json!("Other"))).await.expect(201).json();
        let mut known = made.clone();
        for once in ["client_secret", "client_secret_expires_at"] {
            known.as_object_mut().unwrap().remove(once);
        }
        assert_eq!(manage(&app, &made, Method::GET, None).await.expect(200).json(), known);

        let id = made["client_id"].clone();
        let wanted = json!({ "client_id": id, "client_secret": made["client_secret"], "redirect_uris": ["https://app.test/two"], "scope": "openid",
            "token_endpoint_auth_method": "none", "registration_access_token": "crg_x", "client_id_issued_at": 1 });
        let changed = manage(&app, &made, Method::PUT, Some(wanted.clone())).await.expect(200).json();
        // Whether it has a secret was decided when it registered, and what is left out is as if it had never been said.
        assert_eq!((&changed["redirect_uris"], &changed["scope"]), (&json!(["https://app.test/two"]), &json!("openid")));
        assert_eq!((&changed["client_name"], &changed["token_endpoint_auth_method"]), (&id, &json!("client_secret_basic")));
        for kept in ["client_id", "client_id_issued_at", "registration_access_token", "registration_client_uri"] {
            assert_eq!(changed[kept], made[kept], "{kept}");
        }
        assert_eq!(manage(&app, &made, Method::GET, None).await.expect(200).json(), changed);
        for (member, bad, error) in [
            ("client_id", Value::Null, "invalid_client_metadata"), ("client_id", other["client_id"].clone(), "invalid_client_metadata"),
            ("client_secret", json!("ccs_mine"), "invalid_client_metadata"), ("client_secret", other["client_secret"].clone(), "invalid_client_metadata"),
            ("redirect_uris", json!([]), "invalid_redirect_uri"), ("scope", json!("keys:read"), "invalid_client_metadata"), ("scope", json!(1), "invalid_client_metadata"),
        ] {
            manage(&app, &made, Method::PUT, Some(and(wanted.clone(), member, bad))).await.expect_oauth(400, error);
        }
        assert_eq!(manage(&app, &made, Method::GET, None).await.expect(200).json(), changed);

        // By no other token, of no other client, and of none an operator made.
        let admin = app.admin().await;
        app.post_as(&admin, "/admin/clients", json!({ "client_id": "grafana", "client_name": "G", "redirect_uris": [CALLBACK] })).await.expect(201);
        let path = |id: &Value| format!("/oauth2/register/{}", id.as_str().unwrap());
        let shown = |token: &Value| bearer(token.as_str().unwrap());
        let cases = [
            (path(&id), shown(&other["registration_access_token"])), (path(&id), shown(&made["client_secret"])), (path(&id), bearer(&admin)),
            (path(&json!("grafana")), shown(&made["registration_access_token"])), (path(&json!("nobody")), shown(&made["registration_access_token"])),
            (path(&json!("%20")), shown(&made["registration_access_token"])), (path(&json!("a%00")), shown(&made["registration_access_token"])),
        ];
        for (path, token) in &cases {
            for method in [Method::GET, Method::PUT, Method::DELETE] {
                let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
                let refused = app.send(method, path, &headers, Some(wanted.to_string())).await.expect_oauth(401, "invalid_token");
                assert_eq!(refused.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{path}");
            }
        }
        let refused = app.get(&path(&id)).await.expect_oauth(401, "invalid_token");
        assert_eq!(refused.header("www-authenticate"), "Bearer");

        manage(&app, &made, Method::DELETE, None).await.expect(204);
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            manage(&app, &made, method, Some(wanted.clone())).await.expect_oauth(401, "invalid_token");
        }
        as_client(&made).post(&app, "/oauth2/introspect", &[("token", "x")]).await.expect_oauth(401, "invalid_client");
        manage(&app, &other, Method::GET, None).await.expect(200);
        let told = format!("SELECT count(*) FROM audit WHERE actor = 'client:{0}' AND subject = '{0}' AND event IN ('client_registered', 'client_withdrawn')", id.as_str().unwrap());
        assert_eq!(app.database.count(&told).await, 2);
    }

    async fn taking_it_back_ends_its_sessions(app: TestApp) {
        let app = open(app).await;
        app.register("ada@x.test").await;
        let made = register(&app, least()).await.expect(201).json();
        let (client, browser) = (as_client(&made), Browser::new(&app));
        let page = browser.get(&client.authorize(&[])).await.page(200);
        let asked = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200);
        let back = browser.post("/consent", &[("flow", &asked.flow()), ("decision", "allow")]).await;
        let tokens = client.exchange(&app, &back.returned_code()).await.expect(200);
        app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect(200);
        manage(&app, &made, Method::DELETE, None).await.expect(204);
        app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
    }

    async fn where_a_token_is_needed_nobody_registers_without_it(app: TestApp) {
        let app = with(app, &[("CHANCERY_OAUTH__REGISTRATION", "token"), ("CHANCERY_OAUTH__REGISTRATION_TOKEN", TOKEN)]).await;
        let refused = register(&app, json!({ "redirect_uris": 1 })).await.expect_oauth(401, "invalid_token");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
        for wrong in ["x", "", &TOKEN[1..], &TOKEN.to_uppercase()] {
            app.post_as(wrong, "/oauth2/register", least()).await.expect_oauth(401, "invalid_token");
        }
        let made = app.post_as(TOKEN, "/oauth2/register", least()).await.expect(201).json();
        manage(&app, &made, Method::GET, None).await.expect(200);
        let theirs = and(made.clone(), "registration_access_token", json!(TOKEN));
        manage(&app, &theirs, Method::GET, None).await.expect_oauth(401, "invalid_token");
        app.post_as(made["registration_access_token"].as_str().unwrap(), "/oauth2/register", least()).await.expect_oauth(401, "invalid_token");
        assert!(!app.database.holds(TOKEN));
    }

    async fn one_source_registers_so_many_and_no_more(app: TestApp) {
        let limits = [("CHANCERY_OAUTH__REGISTRATION", "open"), ("CHANCERY_LOGIN__MAX_REGISTRATIONS_PER_NETWORK", "3")];
        let app = with(app, &limits).await;
        for _ in 0..3 {
            register(&app, least()).await.expect(201);
        }
        let refused = register(&app, least()).await.expect_oauth(429, "temporarily_unavailable");
        assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
        // Accounts are counted by themselves.
        app.register("ada@x.test").await;
        app.advance(TimeDelta::hours(1));
        register(&app, least()).await.expect(201);
    }

    async fn one_that_nobody_uses_is_removed(app: TestApp) {
        let app = open(app).await;
        app.register("ada@x.test").await;
        let (unused, used, changed) = (register(&app, least()).await.json(), register(&app, least()).await.json(), register(&app, least()).await.json());
        let admin = app.admin().await;
        app.post_as(&admin, "/admin/clients", json!({ "client_id": "grafana", "client_name": "G", "redirect_uris": [CALLBACK] })).await.expect(201);
        let (client, browser) = (as_client(&used), Browser::new(&app));
        let page = browser.get(&client.authorize(&[])).await.page(200);
        let asked = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200);
        browser.post("/consent", &[("flow", &asked.flow()), ("decision", "allow")]).await.returned_code();
        app.advance(TimeDelta::days(29));
        manage(&app, &changed, Method::PUT, Some(and(least(), "client_id", changed["client_id"].clone()))).await.expect(200);
        clean_up(&app.app).await.unwrap();
        assert_eq!(app.database.count("SELECT count(*) FROM clients").await, 4);
        app.advance(TimeDelta::days(2));
        clean_up(&app.app).await.unwrap();
        manage(&app, &unused, Method::GET, None).await.expect_oauth(401, "invalid_token");
        for kept in [&used, &changed] {
            manage(&app, kept, Method::GET, None).await.expect(200);
        }
        assert_eq!(app.database.count("SELECT count(*) FROM clients").await, 3, "an operator's stays");
        let told = format!("SELECT count(*) FROM audit WHERE event = 'client_withdrawn' AND actor = 'chancery:schedule' AND subject = '{}'", unused["client_id"].as_str().unwrap());
        assert_eq!(app.database.count(&told).await, 1);
    }
}
