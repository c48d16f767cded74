use chancery::domain::clients::{Client, ClientAuthMethod};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use super::support::{Browser, CALLBACK, VERIFIER, claims, client, public_client, register, service};
use crate::support::{Answer, PASSWORD, TestApp, on_both, part};

on_both! {
    async fn tokens_say_what_was_granted_and_to_whom(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[("scope", "openid email keys:read")]).await;
        let answer = spa.exchange(&app, &code).await.expect(200);
        assert_eq!(answer.header("cache-control"), "no-store");
        let tokens = answer.json();
        assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(600)));
        // No role gives this user keys:read, so no token does.
        assert_eq!(tokens["scope"], "email openid");
        let (header, access) = (part(&answer.access_token(), 0), part(&answer.access_token(), 1));
        assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("RS256")));
        assert_eq!((&access["client_id"], &access["aud"]), (&json!("spa"), &json!("chancery")));
        let id_token = tokens["id_token"].as_str().unwrap();
        let (header, id) = (part(id_token, 0), part(id_token, 1));
        assert_eq!((&header["typ"], &header["alg"]), (&json!("JWT"), &json!("RS256")));
        for (name, value) in [("iss", json!("https://auth.test")), ("aud", json!("spa")), ("nonce", json!("n-0S6_WzA2Mj"))] {
            assert_eq!(id[name], value, "{name}");
        }
        assert_eq!(id["sub"], access["sub"]);
        assert_eq!(id["exp"].as_i64().unwrap() - id["iat"].as_i64().unwrap(), 600);
        assert_eq!(id["at_hash"], chancery::tokens::at_hash(chancery::domain::keys::SigningAlgorithm::Rs256, &answer.access_token()));
        assert!(id.get("email").is_none(), "claims come from userinfo");
        let kids = crate::support::kids(&app.get("/.well-known/jwks.json").await.json());
        assert!(kids.iter().any(|kid| *kid == header["kid"]));
        // Neither passes for the other, and an application is not the user.
        app.get_as(id_token, "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
        app.get_as(&answer.access_token(), "/oauth2/userinfo").await.expect(200);
        for path in ["/auth/me", "/auth/sessions"] {
            app.get_as(&answer.access_token(), path).await.expect_problem(403, "insufficient_scope");
        }
        app.post_as(&answer.access_token(), "/auth/logout", json!({})).await.expect_problem(403, "insufficient_scope");
        app.post("/auth/refresh", json!({ "refresh_token": answer.refresh_token() })).await.expect_problem(401, "invalid_grant");
        for secret in [code.as_str(), &answer.refresh_token(), VERIFIER] {
            assert!(!app.database.holds(secret), "{secret}");
        }
    }

    async fn a_code_works_once_and_a_second_use_ends_what_came_of_it(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let tokens = spa.exchange(&app, &code).await.expect(200);
        spa.exchange(&app, &code).await.expect_oauth(400, "invalid_grant");
        spa.refresh(&app, &tokens.refresh_token()).await.expect_oauth(400, "invalid_grant");
        app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event = 'authorization_code_reused'").await, 1);
    }

    async fn of_sixteen_exchanges_at_once_one_succeeds(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        let other = app.another_node(&[]).await;
        for round in 0..20 {
            let code = browser.get(&spa.authorize(&[])).await.returned_code();
            let nodes = [&app, &other];
            let answers = join_all((0..16).map(|at| spa.exchange(nodes[at % 2], &code))).await;
            let (right, wrong): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
            assert_eq!(right.len(), 1, "round {round}");
            for answer in wrong {
                answer.expect_oauth(400, "invalid_grant");
            }
            spa.refresh(&app, &right[0].refresh_token()).await.expect_oauth(400, "invalid_grant");
        }
    }

    async fn a_code_is_its_clients_alone(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let other = service(&app, "other", "openid", &[]).await;
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        other.exchange(&app, &code).await.expect_oauth(400, "invalid_grant");
        // Who is not its client cannot even spoil it.
        spa.exchange(&app, &code).await.expect(200);
    }

    async fn what_the_exchange_brings_must_fit(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        let long = "a".repeat(129);
        let wrong: [(&str, &str); 9] = [
            ("code_verifier", "-"),
            ("code_verifier", "wrong-wrong-wrong-wrong-wrong-wrong-wrong-wr"),
            ("code_verifier", &VERIFIER[1..]),
            ("code_verifier", &long),
            ("redirect_uri", "-"),
            ("redirect_uri", "https://app.test/other"),
            ("redirect_uri", "https://app.test/cb?"),
            ("code", "-"),
            ("code", "cac_AAAA"),
        ];
        for (name, value) in wrong {
            let code = browser.get(&spa.authorize(&[])).await.returned_code();
            let mut form = vec![
                ("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER),
            ];
            form.retain(|(known, _)| *known != name);
            if value != "-" {
                form.push((name, value));
            }
            let error = if (name, value) == ("code", "-") { "invalid_request" } else { "invalid_grant" };
            spa.token(&app, &form).await.expect_oauth(400, error);
            if name != "code" {
                spa.exchange(&app, &code).await.expect_oauth(400, "invalid_grant");
            }
        }
        // Altered in one place, and one of another kind.
        let code = browser.get(&spa.authorize(&[])).await.returned_code();
        let tokens = spa.exchange(&app, &code).await.expect(200);
        for other in [code.to_uppercase(), format!("{code}="), code[..20].to_owned(), tokens.refresh_token(), tokens.access_token()] {
            spa.exchange(&app, &other).await.expect_oauth(400, "invalid_grant");
        }
        spa.refresh(&app, &code).await.expect_oauth(400, "invalid_grant");
    }

    async fn a_code_lives_for_a_minute(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        app.advance(TimeDelta::seconds(59));
        spa.exchange(&app, &code).await.expect(200);
        let late = browser.get(&spa.authorize(&[])).await.returned_code();
        app.advance(TimeDelta::seconds(60));
        spa.exchange(&app, &late).await.expect_oauth(400, "invalid_grant");
    }

    async fn who_has_signed_out_meanwhile_gets_no_tokens(app: TestApp) {
        let ada = app.newcomer("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        app.post_as(&ada.access_token(), "/auth/logout", json!({ "all": true })).await.expect(204);
        spa.exchange(&app, &code).await.expect_oauth(400, "invalid_grant");
    }

    async fn an_exchange_under_way_does_not_outlive_what_ends_the_users_sessions(app: TestApp) {
        let ada = app.newcomer("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        for round in 0..12 {
            let page = browser.get(&spa.authorize(&[])).await;
            let page = if page.status == 200 { browser.sign_in(&page, "ada@x.test", PASSWORD).await } else { page };
            let code = page.returned_code();
            let out = app.login("ada@x.test").await.access_token();
            let (exchanged, ended) = tokio::join!(
                spa.exchange(&app, &code),
                app.post_as(&out, "/auth/logout", json!({ "all": true })),
            );
            ended.expect(204);
            if exchanged.status == 200 {
                spa.refresh(&app, &exchanged.refresh_token()).await.expect_oauth(400, "invalid_grant");
            }
            let live = app.database.count("SELECT count(*) FROM sessions WHERE revoked_at IS NULL").await;
            assert_eq!(live, 0, "round {round}");
        }
        drop(ada);
    }

    async fn what_is_taken_from_a_client_is_taken_from_its_sessions(app: TestApp) {
        let admin = app.admin().await;
        let wanted = Client { audiences: vec!["orders".to_owned(), "stock".to_owned()], ..client(&app, "shop") };
        let (shop, browser) = (register(&app, &wanted).await, Browser::new(&app));
        let code = browser.code(&shop, "admin@x.test", &[("scope", "openid keys:read"), ("resource", "stock")]).await;
        let tokens = shop.exchange(&app, &code).await.expect(200);
        assert_eq!(tokens.json()["scope"], "keys:read openid");
        let less = json!({ "scope": "openid", "audience": ["orders"] });
        app.request_as(&admin, reqwest::Method::PATCH, "/admin/clients/shop", less).await.expect(200);
        let refreshed = shop.refresh(&app, &tokens.refresh_token()).await.expect(200);
        assert_eq!(refreshed.json()["scope"], "openid");
        assert_eq!(claims(&refreshed.access_token())["aud"], json!(["orders", "chancery"]));
    }

    async fn an_application_that_must_ask_is_told_no_roles(app: TestApp) {
        app.admin().await;
        let (own, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&own, "admin@x.test", &[]).await;
        let tokens = own.exchange(&app, &code).await.expect(200);
        assert_eq!(claims(&tokens.access_token())["roles"], json!(["admin"]));
        let third = register(&app, &Client { require_consent: true, ..client(&app, "third") }).await;
        let page = browser.get(&third.authorize(&[])).await.page(200);
        let back = browser.post("/consent", &[("flow", &page.flow()), ("decision", "allow")]).await;
        let tokens = third.exchange(&app, &back.returned_code()).await.expect(200);
        assert!(claims(&tokens.access_token()).get("roles").is_none());
    }

    async fn a_browser_has_twenty_sessions_of_one_client_at_most(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let first = spa.exchange(&app, &code).await.expect(200);
        let mut last = None;
        for _ in 0..20 {
            app.advance(TimeDelta::milliseconds(2));
            let code = browser.get(&spa.authorize(&[])).await.returned_code();
            last = Some(spa.exchange(&app, &code).await.expect(200));
        }
        let live = "SELECT count(*) FROM sessions WHERE client_id = 'spa' AND revoked_at IS NULL";
        assert_eq!(app.database.count(live).await, 20);
        spa.refresh(&app, &first.refresh_token()).await.expect_oauth(400, "invalid_grant");
        spa.refresh(&app, &last.unwrap().refresh_token()).await.expect(200);
    }

    async fn a_client_that_keeps_a_secret_may_do_without_pkce_if_it_is_registered_so(app: TestApp) {
        app.register("ada@x.test").await;
        let wanted = Client { require_pkce: false, auth_method: ClientAuthMethod::SecretBasic, ..client(&app, "old") };
        let (old, browser) = (register(&app, &wanted).await, Browser::new(&app));
        let without = [("code_challenge", "-"), ("code_challenge_method", "-")];
        let code = browser.code(&old, "ada@x.test", &without).await;
        // A verifier where no challenge was: somebody took it out on the way.
        old.exchange(&app, &code).await.expect_oauth(400, "invalid_grant");
        let code = browser.get(&old.authorize(&without)).await.returned_code();
        let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK)];
        old.token(&app, &form).await.expect(200);
        let bare = [&without[..], &[("nonce", "-")]].concat();
        let told = browser.get(&old.authorize(&bare)).await.sent_to(CALLBACK);
        assert_eq!(told["error"], "invalid_request");
        assert!(told["error_description"].contains("nonce"), "it says what is missing: {told:?}");
    }

    async fn tokens_are_for_the_audience_that_was_asked_for(app: TestApp) {
        app.register("ada@x.test").await;
        let wanted = Client { audiences: vec!["orders".to_owned(), "https://stock.test".to_owned()], ..client(&app, "shop") };
        let (shop, browser) = (register(&app, &wanted).await, Browser::new(&app));
        let aud = async |own: &[(&str, &str)]| {
            let page = browser.get(&shop.authorize(own)).await;
            let back = if page.status == 200 { browser.sign_in(&page, "ada@x.test", PASSWORD).await } else { page };
            let tokens = shop.exchange(&app, &back.sent_to(CALLBACK)["code"]).await.expect(200);
            claims(&tokens.access_token())["aud"].clone()
        };
        assert_eq!(aud(&[]).await, json!(["orders", "chancery"]), "and this server, for userinfo");
        assert_eq!(aud(&[("resource", "https://stock.test")]).await, json!(["https://stock.test", "chancery"]));
        assert_eq!(aud(&[("scope", "offline_access"), ("resource", "orders")]).await, json!("orders"));
    }

    async fn several_resources_are_granted_at_once_and_each_token_is_for_those_it_names(app: TestApp) {
        app.register("ada@x.test").await;
        let audiences = ["orders", "https://stock.test", "https://pay.test"].map(str::to_owned).to_vec();
        let (shop, browser) = (register(&app, &Client { audiences, ..client(&app, "shop") }).await, Browser::new(&app));
        browser.code(&shop, "ada@x.test", &[]).await;
        let scope = [("scope", "offline_access"), ("resource", "orders")];
        let both = format!("{}&resource=https%3A%2F%2Fstock.test&resource=orders", shop.authorize(&scope));
        let aud = |tokens: &Answer| claims(&tokens.access_token())["aud"].clone();
        let code = browser.get(&both).await.returned_code();
        let tokens = shop.exchange(&app, &code).await.expect(200);
        assert_eq!(aud(&tokens), json!(["orders", "https://stock.test"]));

        let refresh = async |token: &str, resources: &[&str]| {
            let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
            let resources = resources.iter().map(|resource| ("resource", *resource));
            shop.token(&app, &form.into_iter().chain(resources).collect::<Vec<_>>()).await
        };
        refresh(&tokens.refresh_token(), &["https://pay.test"]).await.expect_oauth(400, "invalid_target");
        refresh(&tokens.refresh_token(), &["orders", "https://other.test"]).await.expect_oauth(400, "invalid_target");
        let one = refresh(&tokens.refresh_token(), &["https://stock.test"]).await.expect(200);
        assert_eq!(aud(&one), "https://stock.test");
        let two = refresh(&one.refresh_token(), &["https://stock.test", "orders"]).await.expect(200);
        assert_eq!(aud(&two), json!(["https://stock.test", "orders"]));
        let all = refresh(&two.refresh_token(), &[]).await.expect(200);
        assert_eq!(aud(&all), json!(["orders", "https://stock.test"]), "what was left out once is not lost");

        // This server is added for userinfo, and so only to what may ask it.
        let known = shop.authorize(&[("scope", "openid offline_access"), ("resource", "https://stock.test")]);
        let tokens = shop.exchange(&app, &browser.get(&known).await.returned_code()).await.expect(200);
        assert_eq!(aud(&tokens), json!(["https://stock.test", "chancery"]));
        let form = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh_token()), ("scope", "offline_access")];
        assert_eq!(aud(&shop.token(&app, &form).await.expect(200)), "https://stock.test");

        // The code's first token may be for fewer, too, and for no others.
        for (resource, expected) in [("https://stock.test", Some("https://stock.test")), ("https://pay.test", None)] {
            let code = browser.get(&both).await.returned_code();
            let form = [
                ("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER),
                ("resource", resource),
            ];
            let answer = shop.token(&app, &form).await;
            match expected {
                Some(expected) => assert_eq!(aud(&answer.expect(200)), expected),
                None => drop(answer.expect_oauth(400, "invalid_target")),
            }
        }
        let refused = browser.get(&format!("{both}&resource=https%3A%2F%2Fother.test")).await.sent_to(CALLBACK);
        assert_eq!(refused["error"], "invalid_target");
    }

    async fn a_client_may_have_shorter_lives_and_no_refresh_token(app: TestApp) {
        app.register("ada@x.test").await;
        let wanted = Client {
            access_token_ttl: Some(TimeDelta::seconds(30)),
            grant_types: [chancery::domain::clients::GrantType::AuthorizationCode].into(),
            ..client(&app, "brief")
        };
        let (brief, browser) = (register(&app, &wanted).await, Browser::new(&app));
        let code = browser.code(&brief, "ada@x.test", &[]).await;
        let tokens = brief.exchange(&app, &code).await.expect(200).json();
        assert_eq!(tokens["expires_in"], 30);
        assert!(tokens.get("refresh_token").is_none() && tokens.get("refresh_expires_in").is_none());
    }
}
