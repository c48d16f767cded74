use chancery::domain::clients::RedirectUri;
use chancery::domain::oauth::AuthorizationCode;
use chancery::domain::sessions::{GrantedAccess, Session};
use chancery::domain::{ClientId, Scopes, SessionId, UserId};
use chancery::flows::clean_up;
use chancery::store::oauth::{authorization_codes, consents};
use chancery::store::{clients, sessions};
use chancery::tokens::ClientSecret;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{PASSWORD, TestApp, on_both};

/// The least that is a client.
fn grafana() -> Value {
    json!({ "client_id": "grafana", "client_name": "Grafana", "redirect_uris": ["https://g.test/cb"] })
}

fn with(mut body: Value, member: &str, value: Value) -> Value {
    body[member] = value;
    body
}

async fn is_good(app: &TestApp, id: &str, secret: &str) -> bool {
    let conn = &mut app.app.db.read().await.unwrap();
    let live = clients::live_secrets(conn, &ClientId::parse(id).unwrap(), app.clock.now()).await.unwrap();
    live.contains(&ClientSecret::digest_of(secret))
}

async fn user_id(app: &TestApp, email: &str) -> UserId {
    let user = app.newcomer(email).await.json()["user"]["id"].as_str().unwrap().parse().unwrap();
    UserId(user)
}

fn session_of(app: &TestApp, user: UserId, client: &ClientId, grant: Option<&str>) -> Session {
    let now = app.clock.now();
    Session {
        id: SessionId::new(now),
        user_id: user,
        client_id: client.clone(),
        generation: 1,
        reuse_count: 0,
        auth_time: now,
        amr: "pwd".to_owned(),
        created_at: now,
        last_used_at: now,
        expires_at: now + TimeDelta::days(30),
        revoked_at: None,
        ip: None,
        user_agent: None,
        parent: None,
        granted: grant.map(|scope| GrantedAccess { scopes: Scopes::from_claim(scope), audience: Vec::new() }),
        master_key_id: None,
        dpop_jkt: None,
    }
}

fn code_of(app: &TestApp, client: &ClientId, browser: &Session) -> AuthorizationCode {
    let now = app.clock.now();
    AuthorizationCode {
        digest: vec![7; 32],
        flow_id: Some(Uuid::new_v4()),
        client_id: client.clone(),
        browser: browser.id,
        granted: GrantedAccess::default(),
        redirect_uri: RedirectUri::parse("https://g.test/cb").unwrap(),
        redirect_uri_was_sent: true,
        nonce: None,
        id_claims: [].into(),
        challenge: None,
        dpop_jkt: None,
        session: SessionId::new(now),
        created_at: now,
        expires_at: now + TimeDelta::minutes(1),
    }
}

on_both! {
    async fn an_administrator_registers_finds_changes_and_removes_clients(app: TestApp) {
        let admin = app.admin().await;
        let made = app.post_as(&admin, "/admin/clients", grafana()).await.expect(201).json();
        let secret = made["client_secret"].as_str().unwrap();
        assert!(secret.starts_with("ccs_") && secret.len() == 47);
        let mut shown = made.clone();
        shown.as_object_mut().unwrap().remove("client_secret");
        assert!(shown["created_at"].is_string());
        let expected = json!({
            "client_id": "grafana", "client_name": "Grafana", "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code", "refresh_token"], "redirect_uris": ["https://g.test/cb"],
            "post_logout_redirect_uris": [], "scope": "email offline_access openid profile", "audience": [],
            "access_token_ttl": null, "refresh_grace": null, "require_pkce": true, "require_consent": true,
            "backchannel_logout_uri": null, "backchannel_logout_session_required": false, "exchange_audiences": [],
            "require_pushed_authorization_requests": false, "dpop_bound_access_tokens": false,
            "created_at": shown["created_at"],
        });
        assert_eq!(shown, expected);
        app.post_as(&admin, "/admin/clients", grafana()).await.expect_problem(409, "client_id_taken");
        let path = "/admin/clients/grafana";
        assert_eq!(app.get_as(&admin, path).await.expect(200).json(), shown);
        assert_eq!(app.get_as(&admin, "/admin/clients").await.expect(200).json(), json!({ "clients": [shown], "next_cursor": null }));
        assert!(is_good(&app, "grafana", secret).await);

        let change = async |body: Value| app.request_as(&admin, Method::PATCH, path, body).await;
        assert_eq!(change(json!({})).await.expect(200).json(), shown);
        let all = json!({
            "client_name": "G", "grant_types": ["client_credentials", "authorization_code"],
            "redirect_uris": ["https://g.test/a", "com.example.g:/b", "http://127.0.0.1/c"],
            "post_logout_redirect_uris": ["https://g.test/bye"], "scope": "openid orders:read", "audience": ["https://api.test", "b"],
            "access_token_ttl": 60, "refresh_grace": 0, "require_pkce": false, "require_consent": false,
            "backchannel_logout_uri": "https://g.test/out?x", "backchannel_logout_session_required": true,
            "exchange_audiences": ["https://stock.test", "c"],
            "require_pushed_authorization_requests": true, "dpop_bound_access_tokens": true,
        });
        let changed = change(all.clone()).await.expect(200).json();
        let unordered = ["grant_types"];
        for (member, value) in all.as_object().unwrap() {
            assert!(&changed[member] == value || unordered.contains(&member.as_str()), "{member}: {changed}");
        }
        assert_eq!(changed["grant_types"], json!(["authorization_code", "client_credentials"]));
        let back = change(json!({ "access_token_ttl": null, "refresh_grace": null, "audience": [], "backchannel_logout_uri": null })).await.expect(200).json();
        assert_eq!((&back["access_token_ttl"], &back["refresh_grace"], &back["audience"]), (&Value::Null, &Value::Null, &json!([])));
        assert_eq!((&back["client_name"], &back["require_pkce"]), (&json!("G"), &json!(false)));
        assert_eq!((&back["backchannel_logout_uri"], &back["backchannel_logout_session_required"]), (&Value::Null, &json!(true)));
        // `null` removes a value where a client can be without one, and counts as absent elsewhere.
        let nulls = ["client_name", "jwks", "grant_types", "redirect_uris", "scope", "audience", "require_pkce"];
        let nulls: serde_json::Map<String, Value> = nulls.iter().map(|&name| (name.to_owned(), Value::Null)).collect();
        assert_eq!(change(nulls.into()).await.expect(200).json(), back);
        for fixed in ["client_id", "token_endpoint_auth_method", "client_secret", "created_at", "initiate_login_uri", "x"] {
            change(json!({ fixed: "none" })).await.expect_problem(400, "invalid_json");
        }
        assert!(is_good(&app, "grafana", secret).await, "a change is no reason for a new secret");

        app.delete_as(&admin, path).await.expect(204);
        app.get_as(&admin, path).await.expect_problem(404, "not_found");
        app.delete_as(&admin, path).await.expect_problem(404, "not_found");
        change(json!({})).await.expect_problem(404, "not_found");
        app.post_as(&admin, "/admin/clients/grafana/secret", json!({})).await.expect_problem(404, "not_found");
        for nonsense in ["%20", "chancery", "-x", "a%2Fb", "chancery:browser", "%00"] {
            app.get_as(&admin, &format!("/admin/clients/{nonsense}")).await.expect_problem(404, "not_found");
        }
        assert_eq!(app.database.count("SELECT count(*) FROM client_secrets").await, 0);
        app.post_as(&admin, "/admin/clients", grafana()).await.expect(201);
        assert!(!is_good(&app, "grafana", secret).await, "another client by the same name");
    }

    async fn an_id_is_made_where_none_is_given(app: TestApp) {
        let admin = app.admin().await;
        let body = json!({ "client_name": "x", "client_id": null, "redirect_uris": ["https://x.test/"] });
        let ids = [
            app.post_as(&admin, "/admin/clients", body.clone()).await.expect(201).json()["client_id"].clone(),
            app.post_as(&admin, "/admin/clients", body).await.expect(201).json()["client_id"].clone(),
        ];
        assert_ne!(ids[0], ids[1]);
        assert!(ids.iter().all(|id| id.as_str().unwrap().starts_with("c-") && id.as_str().unwrap().len() == 18), "{ids:?}");
    }

    async fn what_cannot_be_registered_is_refused_and_named(app: TestApp) {
        let admin = app.admin().await;
        let fifty_one: Vec<String> = (0..51).map(|number| format!("https://a.test/{number}")).collect();
        let scopes = (0..51).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
        let cases = [
            ("client_id", json!("chancery"), "client_id"),
            ("client_id", json!("chancery:browser"), "client_id"),
            ("client_id", json!("a b"), "client_id"),
            ("client_id", json!("x".repeat(65)), "client_id"),
            ("client_name", json!(" "), "client_name"),
            ("client_name", json!("a\nb"), "client_name"),
            ("token_endpoint_auth_method", json!("tls_client_auth"), "token_endpoint_auth_method"),
            ("token_endpoint_auth_method", json!("private_key_jwt"), "jwks"),
            ("grant_types", json!([]), "grant_types"),
            ("grant_types", json!(["password"]), "grant_types"),
            ("grant_types", json!(["refresh_token"]), "grant_types"),
            ("redirect_uris", json!([]), "redirect_uris"),
            ("redirect_uris", json!(["https://g.test/cb", "https://g.test/cb#x"]), "redirect_uris[1]"),
            ("redirect_uris", json!(["http://g.test/cb"]), "redirect_uris[0]"),
            ("redirect_uris", json!(["javascript:alert(1)"]), "redirect_uris[0]"),
            ("redirect_uris", json!(["https://g.test/a b"]), "redirect_uris[0]"),
            ("redirect_uris", json!(fifty_one), "redirect_uris"),
            ("post_logout_redirect_uris", json!(["x"]), "post_logout_redirect_uris[0]"),
            ("post_logout_redirect_uris", json!(fifty_one), "post_logout_redirect_uris"),
            ("scope", json!("openid \"x\""), "scope"),
            ("scope", json!("openid\tx"), "scope"),
            ("scope", json!(scopes), "scope"),
            ("audience", json!(["a b"]), "audience"),
            ("audience", json!([""]), "audience"),
            ("audience", json!(["x".repeat(201)]), "audience"),
            ("access_token_ttl", json!(0), "access_token_ttl"),
            ("access_token_ttl", json!(601), "access_token_ttl"),
            ("access_token_ttl", json!(u32::MAX), "access_token_ttl"),
            ("refresh_grace", json!(61), "refresh_grace"),
            ("backchannel_logout_uri", json!("http://g.test/out"), "backchannel_logout_uri"),
            ("backchannel_logout_uri", json!("https://g.test/out#x"), "backchannel_logout_uri"),
            ("backchannel_logout_uri", json!("com.example.g:/out"), "backchannel_logout_uri"),
            ("backchannel_logout_uri", json!(""), "backchannel_logout_uri"),
            ("exchange_audiences", json!(["a b"]), "exchange_audiences"),
            ("exchange_audiences", json!(vec!["a"; 51]), "exchange_audiences"),
        ];
        for (member, value, named) in cases {
            let refused = app.post_as(&admin, "/admin/clients", with(grafana(), member, value.clone())).await;
            let detail = refused.expect_problem(422, "invalid_client_metadata").json()["detail"].clone();
            assert!(detail.as_str().unwrap().starts_with(&format!("{named}: ")), "{member} {value}: {detail}");
        }
        let public = with(grafana(), "token_endpoint_auth_method", json!("none"));
        for (body, named) in [
            (with(public.clone(), "grant_types", json!(["authorization_code", "client_credentials"])), "token_endpoint_auth_method"),
            (with(public.clone(), "grant_types", json!(["urn:ietf:params:oauth:grant-type:token-exchange"])), "token_endpoint_auth_method"),
            (with(public.clone(), "require_pkce", json!(false)), "require_pkce"),
            (with(with(grafana(), "require_pkce", json!(false)), "scope", json!("email")), "require_pkce"),
        ] {
            let detail = app.post_as(&admin, "/admin/clients", body).await.expect_problem(422, "invalid_client_metadata").json()["detail"].clone();
            assert!(detail.as_str().unwrap().starts_with(named), "{detail}");
        }
        for (member, value) in [
            ("client_secret", json!("mine")), ("jwks_uri", json!("https://g.test/")), ("redirect_uris", json!("https://g.test/")),
            ("access_token_ttl", json!(-1)), ("access_token_ttl", json!(1.5)), ("access_token_ttl", json!("5m")),
            ("access_token_ttl", json!(4_294_967_296_u64)), ("scope", json!(["openid"])), ("require_pkce", json!("no")),
            ("client_name", Value::Null), ("scope", json!("a\0b")), ("initiate_login_uri", json!("https://g.test/in")),
            ("access_token_life", json!(60)),
        ] {
            app.post_as(&admin, "/admin/clients", with(grafana(), member, value)).await.expect_problem(400, "invalid_json");
        }
        assert_eq!(app.get_as(&admin, "/admin/clients").await.expect(200).json()["clients"], json!([]));

        // What is registered cannot become what could not have been.
        app.post_as(&admin, "/admin/clients", public).await.expect(201);
        for body in [
            json!({ "require_pkce": false }), json!({ "redirect_uris": [] }), json!({ "grant_types": ["client_credentials"] }),
            json!({ "access_token_ttl": 601 }), json!({ "client_name": "" }),
        ] {
            let refused = app.request_as(&admin, Method::PATCH, "/admin/clients/grafana", body).await;
            refused.expect_problem(422, "invalid_client_metadata");
        }
    }

    async fn a_public_client_has_no_secret(app: TestApp) {
        let admin = app.admin().await;
        let public = with(grafana(), "token_endpoint_auth_method", json!("none"));
        let made = app.post_as(&admin, "/admin/clients", public).await.expect(201).json();
        assert!(made.get("client_secret").is_none(), "{made}");
        app.post_as(&admin, "/admin/clients/grafana/secret", json!({})).await.expect_problem(422, "invalid_client_metadata");
        assert_eq!(app.database.count("SELECT count(*) FROM client_secrets").await, 0);
    }

    async fn a_new_secret_takes_over_from_the_old_one_in_its_time(app: TestApp) {
        let admin = app.admin().await;
        let first = app.post_as(&admin, "/admin/clients", grafana()).await.expect(201).json()["client_secret"].clone();
        let first = first.as_str().unwrap();
        let rotate = async |body: Value| app.post_as(&admin, "/admin/clients/grafana/secret", body).await;
        let answer = rotate(json!({})).await.expect(200).json();
        assert_eq!(answer["client_id"], "grafana");
        let second = answer["client_secret"].as_str().unwrap();
        assert!(is_good(&app, "grafana", first).await && is_good(&app, "grafana", second).await);
        // A longer overlap does not bring back what ends earlier.
        let answer = rotate(json!({ "overlap": "30d" })).await.expect(200).json();
        let third = answer["client_secret"].as_str().unwrap();
        app.advance(TimeDelta::hours(24));
        assert!(!is_good(&app, "grafana", first).await);
        assert!(is_good(&app, "grafana", second).await && is_good(&app, "grafana", third).await);
        let admin = app.login("admin@x.test").await.access_token();
        let rotate = async |body: Value| app.post_as(&admin, "/admin/clients/grafana/secret", body).await;
        let answer = rotate(json!({ "overlap": "0s" })).await.expect(200).json();
        let fourth = answer["client_secret"].as_str().unwrap();
        assert!(!is_good(&app, "grafana", second).await && !is_good(&app, "grafana", third).await);
        assert!(is_good(&app, "grafana", fourth).await && !is_good(&app, "nobody", fourth).await);
        for overlap in ["31d", "-1s", "soon", "", "99999999999999999999d", "1000000000000y"] {
            rotate(json!({ "overlap": overlap })).await.expect_problem(400, "invalid_parameter");
        }
        rotate(json!({ "overlap": 5 })).await.expect_problem(400, "invalid_json");
        assert!(is_good(&app, "grafana", fourth).await, "a refused wish changes nothing");
        let without_body = app.send(Method::POST, "/admin/clients/grafana/secret", &[("authorization", &format!("Bearer {admin}"))], None).await;
        without_body.expect(200);
        assert_eq!(app.database.count("SELECT count(*) FROM client_secrets").await, 5);
        app.advance(TimeDelta::seconds(1));
        clean_up(&app.app).await.unwrap();
        assert_eq!(app.database.count("SELECT count(*) FROM client_secrets").await, 2);
    }

    async fn nobody_registers_or_takes_over_more_than_they_have(app: TestApp) {
        let roles = [
            ("CHANCERY_ROLES__REGISTRAR", "clients:read,clients:write,users:read"), ("CHANCERY_ROLES__CLERK", "orders:write"),
        ];
        let node = app.another_node(&roles).await;
        let admin = app.admin().await;
        let registrar = json!({ "email": "reg@x.test", "password": PASSWORD, "roles": ["registrar"] });
        node.post_as(&admin, "/admin/users", registrar).await.expect(201);
        let token = node.login("reg@x.test").await.access_token();
        let service = |id: &str, scope: &str| {
            json!({ "client_id": id, "client_name": "S", "grant_types": ["client_credentials"], "scope": scope })
        };
        // Of the server's own scopes only theirs, of their roles' as a service account only theirs, and what no role gives.
        node.post_as(&token, "/admin/clients", service("mine", "users:read clients:write reports:read")).await.expect(201);
        for beyond in ["keys:rotate", "users:read users:write", "orders:write"] {
            let refused = node.post_as(&token, "/admin/clients", service("grab", beyond)).await;
            refused.expect_problem(403, "insufficient_scope");
        }
        node.post_as(&token, "/admin/clients", with(grafana(), "scope", json!("openid users:write"))).await.expect_problem(403, "insufficient_scope");
        // Nor as a web application: they could send a clerk there, and have what the clerk has.
        node.post_as(&token, "/admin/clients", with(grafana(), "scope", json!("openid orders:write"))).await.expect_problem(403, "insufficient_scope");
        node.post_as(&token, "/admin/clients", with(grafana(), "scope", json!("openid email"))).await.expect(201);
        let change = async |path: &str, body: Value| node.request_as(&token, Method::PATCH, path, body).await;
        change("/admin/clients/grafana", json!({ "scope": "openid orders:write" })).await.expect_problem(403, "insufficient_scope");
        change("/admin/clients/mine", json!({ "scope": "keys:rotate" })).await.expect_problem(403, "insufficient_scope");
        change("/admin/clients/mine", json!({ "scope": "users:read" })).await.expect(200);

        // Whoever has a client's secret is the client.
        let theirs = node.post_as(&admin, "/admin/clients", service("theirs", "keys:rotate")).await.expect(201).json();
        let path = "/admin/clients/theirs";
        node.post_as(&token, &format!("{path}/secret"), json!({ "overlap": "0s" })).await.expect_problem(403, "insufficient_scope");
        for wish in [json!({ "client_name": "x" }), json!({ "scope": "openid" }), json!({ "redirect_uris": ["https://evil.test/"] })] {
            change(path, wish).await.expect_problem(403, "insufficient_scope");
        }
        node.delete_as(&token, path).await.expect_problem(403, "insufficient_scope");
        assert!(is_good(&app, "theirs", theirs["client_secret"].as_str().unwrap()).await);
        node.get_as(&token, path).await.expect(200);
    }

    async fn who_may_not_ask_hears_that_first(app: TestApp) {
        let token = app.newcomer("ada@x.test").await.access_token();
        app.get_as(&token, "/admin/clients/-").await.expect_problem(403, "insufficient_scope");
        app.get_as(&token, "/admin/clients?limit=x").await.expect_problem(403, "insufficient_scope");
        app.post_as(&token, "/admin/clients", json!([])).await.expect_problem(403, "insufficient_scope");
        app.get("/admin/clients").await.expect_problem(401, "token_required");
        let reader = app.another_node(&[("CHANCERY_ROLES__READER", "clients:read")]).await;
        let admin = app.admin().await;
        let body = json!({ "email": "reader@x.test", "password": PASSWORD, "roles": ["reader"] });
        reader.post_as(&admin, "/admin/users", body).await.expect(201);
        let token = reader.login("reader@x.test").await.access_token();
        reader.get_as(&token, "/admin/clients").await.expect(200);
        reader.post_as(&token, "/admin/clients", grafana()).await.expect_problem(403, "insufficient_scope");
    }

    async fn a_removed_client_takes_its_sessions_codes_and_consents_with_it(app: TestApp) {
        let admin = app.admin().await;
        for id in ["grafana", "other"] {
            app.post_as(&admin, "/admin/clients", with(grafana(), "client_id", json!(id))).await.expect(201);
        }
        let (ada, client, other) = (user_id(&app, "ada@x.test").await, ClientId::parse("grafana").unwrap(), ClientId::parse("other").unwrap());
        let now = app.clock.now();
        let browser = session_of(&app, ada, &ClientId::browser(), None);
        let theirs = session_of(&app, ada, &client, Some("openid offline_access"));
        let others = session_of(&app, ada, &other, Some("openid"));
        let mut tx = app.app.db.begin().await.unwrap();
        for session in [&browser, &theirs, &others] {
            sessions::insert(&mut tx, session).await.unwrap();
        }
        consents::remember(&mut tx, ada, &client, &Scopes::of_users(), now).await.unwrap();
        let code = code_of(&app, &client, &browser);
        assert!(authorization_codes::insert(&mut tx, &code).await.unwrap());
        tx.commit().await.unwrap();

        app.delete_as(&admin, "/admin/clients/grafana").await.expect(204);
        let conn = &mut app.app.db.read().await.unwrap();
        for (session, ended) in [(&browser, false), (&theirs, true), (&others, false)] {
            let read = sessions::by_id(conn, session.id).await.unwrap().unwrap();
            assert_eq!(read.revoked_at.is_some(), ended);
        }
        for table in ["authorization_codes", "consents"] {
            assert_eq!(app.database.count(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        }
    }

    async fn a_session_that_is_being_made_ends_with_its_client(app: TestApp) {
        let admin = app.admin().await;
        app.post_as(&admin, "/admin/clients", grafana()).await.expect(201);
        let (ada, client) = (user_id(&app, "ada@x.test").await, ClientId::parse("grafana").unwrap());
        let browser = session_of(&app, ada, &ClientId::browser(), None);
        let code = code_of(&app, &client, &browser);
        let mut tx = app.app.db.begin().await.unwrap();
        sessions::insert(&mut tx, &browser).await.unwrap();
        authorization_codes::insert(&mut tx, &code).await.unwrap();
        tx.commit().await.unwrap();

        let mut tx = app.app.db.begin().await.unwrap();
        assert!(authorization_codes::consume(&mut tx, &code.digest, &client, app.clock.now()).await.unwrap().is_some());
        let made = session_of(&app, ada, &client, Some("openid"));
        sessions::insert(&mut tx, &made).await.unwrap();
        let finish = async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            tx.commit().await.unwrap();
        };
        let (removed, ()) = tokio::join!(app.delete_as(&admin, "/admin/clients/grafana"), finish);
        removed.expect(204);
        let read = sessions::by_id(&mut app.app.db.read().await.unwrap(), made.id).await.unwrap().unwrap();
        assert!(read.revoked_at.is_some());
    }

    async fn codes_are_cleaned_up_at_once_or_a_day_after_they_were_used(app: TestApp) {
        let admin = app.admin().await;
        app.post_as(&admin, "/admin/clients", grafana()).await.expect(201);
        let ada = user_id(&app, "ada@x.test").await;
        let browser = session_of(&app, ada, &ClientId::browser(), None);
        let mut tx = app.app.db.begin().await.unwrap();
        sessions::insert(&mut tx, &browser).await.unwrap();
        let client = ClientId::parse("grafana").unwrap();
        let (used, unused) = (code_of(&app, &client, &browser), code_of(&app, &client, &browser));
        let unused = AuthorizationCode { digest: b"another".to_vec(), flow_id: None, ..unused };
        for code in [&used, &unused] {
            assert!(authorization_codes::insert(&mut tx, code).await.unwrap());
        }
        authorization_codes::consume(&mut tx, &used.digest, &client, app.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        for (hours, left) in [(0, 2), (24, 1), (1, 0)] {
            app.advance(TimeDelta::hours(hours));
            clean_up(&app.app).await.unwrap();
            assert_eq!(app.database.count("SELECT count(*) FROM authorization_codes").await, left);
        }
    }

    async fn two_changes_at_once_do_not_undo_each_other(app: TestApp) {
        let admin = app.admin().await;
        for round in 0..10 {
            let body = with(grafana(), "client_id", json!(format!("client{round}")));
            app.post_as(&admin, "/admin/clients", body).await.expect(201);
            let path = format!("/admin/clients/client{round}");
            let change = |body: Value| app.request_as(&admin, Method::PATCH, &path, body);
            tokio::join!(change(json!({ "client_name": "Renamed" })), change(json!({ "require_consent": false })));
            let client = app.get_as(&admin, &path).await.expect(200).json();
            assert_eq!((&client["client_name"], &client["require_consent"]), (&json!("Renamed"), &json!(false)));
        }
    }

    async fn one_of_two_gets_the_id(app: TestApp) {
        let admin = app.admin().await;
        let create = || app.post_as(&admin, "/admin/clients", grafana());
        let (one, other) = tokio::join!(create(), create());
        let mut answers = [one.status.as_u16(), other.status.as_u16()];
        answers.sort_unstable();
        assert_eq!(answers, [201, 409]);
        assert_eq!(app.database.count("SELECT count(*) FROM client_secrets").await, 1);
    }

    async fn what_is_done_with_clients_is_recorded_without_their_secrets(app: TestApp) {
        let admin = app.admin().await;
        // Events of one moment have no order.
        let later = || app.advance(TimeDelta::seconds(1));
        let made = app.post_as(&admin, "/admin/clients", grafana()).await.expect(201).json();
        later();
        let path = "/admin/clients/grafana";
        app.request_as(&admin, Method::PATCH, path, json!({ "redirect_uris": ["https://h.test/"], "scope": "openid" })).await.expect(200);
        later();
        let rotated = app.post_as(&admin, &format!("{path}/secret"), json!({ "overlap": "1h" })).await.expect(200).json();
        later();
        app.delete_as(&admin, path).await.expect(204);
        let trail = app.get_as(&admin, "/admin/audit?subject=grafana").await.expect(200);
        let events = trail.json()["events"].as_array().unwrap().clone();
        let names: Vec<&str> = events.iter().rev().map(|event| event["event"].as_str().unwrap()).collect();
        assert_eq!(names, ["client_created", "client_updated", "client_secret_rotated", "client_deleted"]);
        assert!(events.iter().all(|event| event["actor"].as_str().unwrap().starts_with("user:")));
        assert_eq!(events[2]["detail"]["changed"], json!(["redirect_uris", "scope"]));
        assert_eq!((&events[2]["detail"]["scope"], &events[0]["detail"]["sessions"]), (&json!("openid"), &json!(0)));
        assert_eq!(events[1]["detail"]["old_until"].as_str().unwrap()[..19], rotated["old_until"].as_str().unwrap()[..19]);
        for secret in [&made["client_secret"], &rotated["client_secret"]] {
            assert!(!trail.text.contains(&secret.as_str().unwrap()[4..]));
        }
        app.request_as(&admin, Method::PATCH, path, json!({})).await.expect(404);
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE subject = 'grafana'").await, 4);
    }

    async fn pages_hold_every_client_once(app: TestApp) {
        let admin = app.admin().await;
        let mut expected = Vec::new();
        for number in 0..7 {
            let id = format!("client-{number}");
            app.post_as(&admin, "/admin/clients", with(grafana(), "client_id", json!(id))).await.expect(201);
            expected.push(id);
        }
        let mut seen = Vec::new();
        let mut path = "/admin/clients?limit=3".to_owned();
        loop {
            let page = app.get_as(&admin, &path).await.expect(200);
            assert!(!page.text.contains("ccs_") && !page.text.contains("secret\""), "{}", page.text);
            let page = page.json();
            let clients = page["clients"].as_array().unwrap();
            assert!((1..=3).contains(&clients.len()));
            seen.extend(clients.iter().map(|client| client["client_id"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/admin/clients?limit=3&cursor={cursor}");
        }
        assert_eq!(seen, expected);
    }

    async fn hostile_page_parameters_are_refused(app: TestApp) {
        let admin = app.admin().await;
        let far = "f".repeat(200);
        for query in [
            "limit=0", "limit=201", "limit=-1", "limit=x", "cursor=", "cursor=nonsense", "cursor='%20OR%201=1",
            &format!("cursor={far}"), "cursor=%00", "cursor=AAAA", "sort=name", "limit=1&limit=2",
        ] {
            app.get_as(&admin, &format!("/admin/clients?{query}")).await.expect_problem(400, "invalid_parameter");
        }
    }
}
