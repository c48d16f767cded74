use std::collections::BTreeSet;

use chancery::domain::clients::{Client, GrantType, RedirectUri};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use super::support::{
    Browser, CALLBACK, CHALLENGE, Registered, claims, client, encode, post_form, public_client, register,
};
use crate::support::{PASSWORD, TestApp, on_both};

/// What an answer of an error to the client holds.
async fn refused(app: &TestApp, client: &Registered, own: &[(&str, &str)]) -> String {
    let back = app.get(&client.authorize(own)).await.sent_to(CALLBACK);
    assert_eq!(back["state"], "st/at e&\u{e9}", "{own:?}");
    assert_eq!(back["iss"], "https://auth.test");
    assert!(!back.contains_key("code"));
    back["error"].clone()
}

on_both! {
    async fn a_user_signs_in_and_comes_back_with_a_code(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let page = browser.get(&spa.authorize(&[("login_hint", "ada@x.test")])).await.page(200);
        assert!(page.text.contains("Orders &amp; Sons") && page.text.contains("value=\"ada@x.test\""), "{}", page.text);
        let wrong = browser.sign_in(&page, "ada@x.test", "not the password").await.page(401);
        assert_eq!(browser.cookie("__Host-chancery_session"), None);
        let back = browser.sign_in(&wrong, "ada@x.test", PASSWORD).await.sent_to(CALLBACK);
        assert_eq!(back.keys().collect::<Vec<_>>(), ["code", "iss", "state"]);
        assert_eq!((back["state"].as_str(), back["iss"].as_str()), ("st/at e&\u{e9}", "https://auth.test"));
        let tokens = spa.exchange(&app, &back["code"]).await.expect(200);
        assert_eq!(claims(tokens.json()["id_token"].as_str().unwrap())["nonce"], "n-0S6_WzA2Mj");
        // From now on nobody is asked.
        let again = browser.get(&spa.authorize(&[])).await.sent_to(CALLBACK);
        assert_ne!(again["code"], back["code"]);
    }

    async fn whoever_may_not_be_the_client_is_sent_nowhere(app: TestApp) {
        let spa = public_client(&app).await;
        let bare = |query: &str| format!("/oauth2/authorize?{query}");
        for path in [
            bare(""),
            bare("client_id=nobody&redirect_uri=https://app.test/cb&response_type=code"),
            bare("client_id=%00&redirect_uri=https://app.test/cb"),
            bare(&format!("client_id=spa&client_id=spa&{}", encode(&[("redirect_uri", CALLBACK)]))),
            format!("{}&redirect_uri=https%3A%2F%2Fapp.test%2Fcb", spa.authorize(&[])),
            format!("{}&redirect_uri=https%3A%2F%2Fevil.test%2F", spa.authorize(&[])),
        ] {
            app.get(&path).await.page(400);
        }
        for other in [
            "https://app.test/cb/", "https://app.test/CB", "https://app.test:443/cb", "https://app.test/cb?", "https://app.test/cb#",
            "https://app.test/%63b", "https://u@app.test/cb", "https://app.test.evil.test/cb", "http://app.test/cb", "https://app.test",
            "https://app.test/cb\r\nx: y", "//app.test/cb", "/cb", "javascript:alert(1)", "https://app.test\\@evil.test/cb", "https://evil.test/?https://app.test/cb",
        ] {
            app.get(&spa.authorize(&[("redirect_uri", other)])).await.page(400);
        }
    }

    async fn what_is_wrong_is_told_to_the_client(app: TestApp) {
        let spa = public_client(&app).await;
        let short = "a".repeat(42);
        let long = "a".repeat(2049);
        let cases: [(&[(&str, &str)], &str); 20] = [
            (&[("response_type", "-")], "invalid_request"),
            (&[("response_type", "token")], "unsupported_response_type"),
            (&[("response_type", "id_token")], "unsupported_response_type"),
            (&[("response_type", "code token")], "unsupported_response_type"),
            (&[("response_mode", "fragment")], "invalid_request"),
            (&[("code_challenge", "-"), ("code_challenge_method", "-")], "invalid_request"),
            (&[("code_challenge_method", "plain")], "invalid_request"),
            (&[("code_challenge_method", "-")], "invalid_request"),
            (&[("code_challenge", &short)], "invalid_request"),
            (&[("code_challenge", "-")], "invalid_request"),
            (&[("scope", "openid users:write")], "invalid_scope"),
            (&[("scope", "op\"en")], "invalid_scope"),
            (&[("prompt", "none login")], "invalid_request"),
            (&[("prompt", "dance")], "invalid_request"),
            (&[("max_age", "-1")], "invalid_request"),
            (&[("max_age", "soon")], "invalid_request"),
            (&[("request", "e30.e30.")], "request_not_supported"),
            (&[("request_uri", "http://127.0.0.1:1/x")], "request_uri_not_supported"),
            (&[("resource", "https://other.test")], "invalid_target"),
            (&[("nonce", &long)], "invalid_request"),
        ];
        for (own, error) in cases {
            assert_eq!(refused(&app, &spa, own).await, error, "{own:?}");
        }
        let twice = format!("{}&nonce=other", spa.authorize(&[]));
        assert_eq!(app.get(&twice).await.sent_to(CALLBACK)["error"], "invalid_request");
        assert_eq!(refused(&app, &spa, &[("prompt", "none")]).await, "login_required");
        // What nobody knows is passed over, and what has no value is not there.
        app.get(&spa.authorize(&[("unknown", "x"), ("prompt", "")])).await.page(200);
        let service = Client { grant_types: [GrantType::ClientCredentials].into(), auth_method: chancery::domain::clients::ClientAuthMethod::SecretBasic, ..client(&app, "robot") };
        let service = register(&app, &service).await;
        assert_eq!(refused(&app, &service, &[]).await, "unauthorized_client");
    }

    async fn hostile_values_are_shown_as_text(app: TestApp) {
        let spa = public_client(&app).await;
        let hostile = "\"><script>alert(1)</script>{{7*7}}";
        let page = app.get(&spa.authorize(&[("login_hint", hostile), ("state", hostile), ("ui_locales", hostile)])).await.page(200);
        assert!(!page.text.contains("<script") && page.text.contains("{{7*7}}"), "{}", page.text);
        for value in ["%00", "%EF%BF%BD", "%ff"] {
            let answer = app.get(&format!("/oauth2/authorize?client_id=spa&state={value}")).await;
            assert_eq!(answer.status, 400, "{value:?}");
        }
    }

    async fn an_answer_may_come_as_a_form(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        let form = browser.get(&spa.authorize(&[("response_mode", "form_post")])).await;
        assert_eq!(form.status, 200);
        assert!(form.text.replace("&#x2f;", "/").contains(&format!("action=\"{CALLBACK}\"")), "{}", form.text);
        assert!(form.text.contains("name=\"code\"") && form.text.contains("name=\"iss\""));
        assert!(form.header("content-security-policy").contains("form-action"));
        // The request itself may come as one, too.
        let asked = spa.authorize(&[]);
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(asked.split_once('?').unwrap().1.as_bytes()).into_owned().collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let moved = post_form(&app, "/oauth2/authorize", &[], &pairs).await;
        assert_eq!(moved.status, 303);
        browser.get(moved.header("location")).await.sent_to(CALLBACK);
    }

    async fn a_form_of_another_browser_signs_nobody_in(app: TestApp) {
        app.register("ada@x.test").await;
        let spa = public_client(&app).await;
        let (attacker, victim) = (Browser::new(&app), Browser::new(&app));
        let theirs = attacker.get(&spa.authorize(&[])).await.page(200);
        let form = [("flow", theirs.flow()), ("email", "ada@x.test".to_owned()), ("password", PASSWORD.to_owned())];
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // Without any page of its own, and with one.
        for _ in 0..2 {
            let refused = victim.post("/sign-in", &form).await;
            assert!(refused.header("location").starts_with("/oauth2/authorize?"), "it begins anew");
            assert_eq!(victim.cookie("__Host-chancery_session"), None);
            victim.get(&spa.authorize(&[])).await.page(200);
        }
        for flow in ["", "x", "AAAA", &theirs.flow()[1..]] {
            victim.post("/sign-in", &[("flow", flow), ("email", "ada@x.test"), ("password", PASSWORD)]).await.page(400);
        }
        assert_eq!(victim.cookie("__Host-chancery_session"), None);
        assert_eq!(app.database.count("SELECT count(*) FROM sessions").await, 0);
        // An empty form moves nothing on.
        attacker.post("/sign-in", &[("flow", &theirs.flow())]).await.page(401);
        attacker.post("/consent", &[("flow", &theirs.flow())]).await.page(400);
        let page = attacker.post("/consent", &[("flow", &theirs.flow()), ("decision", "allow")]).await.page(200);
        assert!(page.text.contains("name=\"password\""), "who is not signed in signs in");
    }

    async fn a_page_that_stood_open_too_long_begins_anew(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let page = browser.get(&spa.authorize(&[])).await.page(200);
        app.advance(TimeDelta::minutes(31));
        let moved = browser.sign_in(&page, "ada@x.test", PASSWORD).await;
        assert_eq!(browser.cookie("__Host-chancery_session"), None);
        let page = browser.get(moved.header("location")).await.page(200);
        browser.sign_in(&page, "ada@x.test", PASSWORD).await.sent_to(CALLBACK);
    }

    async fn a_double_click_makes_one_session_and_one_code(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let page = browser.get(&spa.authorize(&[])).await.page(200);
        let answers = join_all((0..4).map(|_| browser.sign_in(&page, "ada@x.test", PASSWORD))).await;
        let (mut codes, mut anew) = (0, 0);
        for answer in answers {
            match answer.header("location") {
                back if back.starts_with(CALLBACK) => codes += 1,
                back if back.starts_with("/oauth2/authorize?") => anew += 1,
                other => panic!("{other} {}", answer.text),
            }
        }
        assert_eq!((codes, anew), (1, 3));
        assert_eq!(app.database.count("SELECT count(*) FROM sessions").await, 1);
        assert_eq!(app.database.count("SELECT count(*) FROM authorization_codes").await, 1);
        // The browser's back button, later.
        let again = browser.sign_in(&page, "ada@x.test", PASSWORD).await;
        browser.get(again.header("location")).await.sent_to(CALLBACK);
    }

    async fn the_session_is_a_new_one_at_every_sign_in(app: TestApp) {
        for name in ["ada@x.test", "bob@x.test"] {
            app.register(name).await;
        }
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let tokens = spa.exchange(&app, &code).await.expect(200);
        let first = browser.cookie("__Host-chancery_session").unwrap();
        app.advance(TimeDelta::seconds(2));
        browser.code(&spa, "ada@x.test", &[("prompt", "login")]).await;
        let second = browser.cookie("__Host-chancery_session").unwrap();
        assert_ne!(first, second);
        // What it was before is worth nothing, and the application goes on.
        let old = Browser::new(&app);
        old.set_cookie("__Host-chancery_session", &first);
        old.get(&spa.authorize(&[])).await.page(200);
        let tokens = spa.refresh(&app, &tokens.refresh_token()).await.expect(200);
        // Somebody else in the same browser ends what was not theirs.
        app.advance(TimeDelta::minutes(1));
        let page = browser.get(&spa.authorize(&[("prompt", "login")])).await.page(200);
        browser.sign_in(&page, "bob@x.test", PASSWORD).await.sent_to(CALLBACK);
        spa.refresh(&app, &tokens.refresh_token()).await.expect_oauth(400, "invalid_grant");
    }

    async fn prompt_and_max_age_ask_for_the_password_again(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let first = browser.code(&spa, "ada@x.test", &[("max_age", "100")]).await;
        let first = claims(spa.exchange(&app, &first).await.expect(200).json()["id_token"].as_str().unwrap());
        app.advance(TimeDelta::seconds(2));
        for own in [&[("prompt", "login")][..], &[("prompt", "select_account")], &[("max_age", "1")], &[("max_age", "0")]] {
            let page = browser.get(&spa.authorize(own)).await.page(200);
            let none = [own, &[("prompt", "none")]].concat();
            if own[0].0 == "max_age" {
                let back = browser.get(&spa.authorize(&none)).await.sent_to(CALLBACK);
                assert_eq!(back["error"], "login_required");
            }
            let back = browser.sign_in(&page, "ada@x.test", PASSWORD).await.sent_to(CALLBACK);
            let tokens = spa.exchange(&app, &back["code"]).await.expect(200);
            let again = claims(tokens.json()["id_token"].as_str().unwrap());
            assert!(again["auth_time"].as_i64() > first["auth_time"].as_i64(), "{own:?}");
            app.advance(TimeDelta::seconds(3));
        }
        browser.get(&spa.authorize(&[("max_age", "100"), ("prompt", "none")])).await.sent_to(CALLBACK);
    }

    async fn a_hint_names_who_must_be_there(app: TestApp) {
        for name in ["ada@x.test", "bob@x.test"] {
            app.register(name).await;
        }
        let (spa, ada, bob) = (public_client(&app).await, Browser::new(&app), Browser::new(&app));
        let code = ada.code(&spa, "ada@x.test", &[]).await;
        let tokens = spa.exchange(&app, &code).await.expect(200).json();
        let hint = tokens["id_token"].as_str().unwrap();
        bob.code(&spa, "bob@x.test", &[]).await;
        let asked = spa.authorize(&[("prompt", "none"), ("id_token_hint", hint)]);
        ada.get(&asked).await.returned_code();
        assert_eq!(bob.get(&asked).await.sent_to(CALLBACK)["error"], "login_required");
        app.advance(TimeDelta::seconds(1));
        let page = bob.get(&spa.authorize(&[("id_token_hint", hint)])).await.page(200);
        assert_eq!(bob.sign_in(&page, "bob@x.test", PASSWORD).await.sent_to(CALLBACK)["error"], "login_required");
        for bad in [tokens["access_token"].as_str().unwrap(), "x.y.z", &hint[..hint.len() - 4]] {
            assert_eq!(refused(&app, &spa, &[("id_token_hint", bad)]).await, "invalid_request");
        }
        let other = register(&app, &client(&app, "other")).await;
        assert_eq!(refused(&app, &other, &[("id_token_hint", hint)]).await, "invalid_request", "another client's");
        // It is old, and still says who.
        app.advance(TimeDelta::hours(1));
        ada.get(&asked).await.returned_code();
    }

    async fn the_user_is_asked_once_and_may_refuse(app: TestApp) {
        app.register("ada@x.test").await;
        let wanted = Client { require_consent: true, ..client(&app, "third") };
        let (third, browser) = (register(&app, &wanted).await, Browser::new(&app));
        let page = browser.get(&third.authorize(&[])).await.page(200);
        let page = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200);
        assert!(page.text.contains("Orders &amp; Sons") && page.text.contains("ada@x.test"), "{}", page.text);
        let wishes = ["Know who you are", "See your name", "See your e-mail address"].map(|wish| page.text.find(wish));
        assert!(wishes[0].is_some() && wishes.is_sorted(), "{}", page.text);
        assert!(browser.cookie("__Host-chancery_session").is_some());
        let none = browser.get(&third.authorize(&[("prompt", "none")])).await.sent_to(CALLBACK);
        assert_eq!(none["error"], "consent_required");
        let denied = browser.post("/consent", &[("flow", &page.flow()), ("decision", "deny")]).await.sent_to(CALLBACK);
        assert_eq!((denied["error"].as_str(), denied["state"].as_str()), ("access_denied", "st/at e&\u{e9}"));
        let page = browser.get(&third.authorize(&[])).await.page(200);
        let allow = [("flow", page.flow()), ("decision", "allow".to_owned())];
        let allow: Vec<(&str, &str)> = allow.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answers = join_all((0..4).map(|_| browser.post("/consent", &allow))).await;
        let given = answers.iter().filter(|answer| answer.header("location").starts_with(CALLBACK)).count();
        assert_eq!(given, 1, "one page gives one code");
        let anew: Vec<_> = answers.iter().filter(|answer| !answer.header("location").starts_with(CALLBACK)).collect();
        assert!(anew.iter().all(|answer| answer.header("location").starts_with("/oauth2/authorize?")));
        browser.get(anew[0].header("location")).await.returned_code();
        // Remembered, until more is asked for or the client wants it said again.
        browser.get(&third.authorize(&[])).await.returned_code();
        browser.get(&third.authorize(&[("scope", "openid")])).await.returned_code();
        browser.get(&third.authorize(&[("scope", "openid offline_access")])).await.page(200);
        browser.get(&third.authorize(&[("prompt", "consent")])).await.page(200);
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event = 'consent_given'").await, 1);
    }

    async fn what_was_shown_to_one_is_not_agreed_to_by_another(app: TestApp) {
        for name in ["ada@x.test", "bob@x.test"] {
            app.register(name).await;
        }
        let third = register(&app, &Client { require_consent: true, ..client(&app, "third") }).await;
        let browser = Browser::new(&app);
        let page = browser.get(&third.authorize(&[])).await.page(200);
        let for_ada = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200);
        app.advance(TimeDelta::seconds(1));
        let again = browser.get(&third.authorize(&[("prompt", "login")])).await.page(200);
        let for_bob = browser.sign_in(&again, "bob@x.test", PASSWORD).await.page(200);
        // Ada's tab is still open.
        let shown = browser.post("/consent", &[("flow", &for_ada.flow()), ("decision", "allow")]).await.page(200);
        assert!(shown.text.contains("bob@x.test"), "{}", shown.text);
        assert_eq!(app.database.count("SELECT count(*) FROM consents").await, 0);
        browser.post("/consent", &[("flow", &for_bob.flow()), ("decision", "allow")]).await.returned_code();
        // The client asks for more than was on the page.
        let page = browser.get(&third.authorize(&[("scope", "-")])).await.page(200);
        app.database.execute("UPDATE clients SET scopes = 'email keys:read offline_access openid orders:read profile' WHERE id = 'third'").await;
        browser.post("/consent", &[("flow", &page.flow()), ("decision", "allow")]).await.page(200);
        // And a page that asks about signing out signs nobody in.
        let out = browser.get("/oauth2/logout").await.page(200);
        browser.post("/consent", &[("flow", &out.flow()), ("decision", "allow")]).await.page(400);
        browser.post("/oauth2/logout", &[("flow", &page.flow()), ("decision", "sign_out")]).await.page(400);
    }

    async fn who_has_signed_in_is_signed_in_whatever_becomes_of_the_request(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let page = browser.get(&spa.authorize(&[])).await.page(200);
        app.database.execute("DELETE FROM clients").await;
        browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(400);
        assert!(browser.cookie("__Host-chancery_session").is_some());
    }

    async fn nothing_is_given_without_a_name_for_it(app: TestApp) {
        app.register("ada@x.test").await;
        let third = register(&app, &Client { require_consent: true, ..client(&app, "third") }).await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        for scope in ["-", " ", ""] {
            let back = browser.get(&third.authorize(&[("scope", scope), ("prompt", "none")])).await.sent_to(CALLBACK);
            assert_eq!(back["error"], if scope == "-" || scope.is_empty() { "consent_required" } else { "invalid_scope" });
        }
        let plain = Client { scopes: chancery::domain::Scopes::of_users(), ..client(&app, "plain") };
        let plain = register(&app, &plain).await;
        let back = browser.get(&plain.authorize(&[("scope", "-")])).await.sent_to(CALLBACK);
        assert_eq!(back["error"], "invalid_scope");
    }

    async fn an_app_on_a_phone_is_asked_about_each_time(app: TestApp) {
        app.register("ada@x.test").await;
        let native = "com.example.app:/cb";
        let wanted = Client { require_consent: true, redirect_uris: vec![RedirectUri::parse(native).unwrap()], ..client(&app, "native") };
        let (native_app, browser) = (register(&app, &wanted).await, Browser::new(&app));
        let asked = native_app.authorize(&[("redirect_uri", native)]);
        let page = browser.get(&asked).await.page(200);
        let page = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200);
        for _ in 0..2 {
            let page = if page.text.contains("decision") { browser.get(&asked).await.page(200) } else { panic!("{}", page.text) };
            browser.post("/consent", &[("flow", &page.flow()), ("decision", "allow")]).await.sent_to(native);
        }
    }

    async fn the_user_may_turn_back_or_take_another_account(app: TestApp) {
        for name in ["ada@x.test", "bob@x.test"] {
            app.register(name).await;
        }
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let page = browser.get(&spa.authorize(&[])).await.page(200);
        let back = browser.post("/sign-in", &[("flow", &page.flow()), ("cancel", "1")]).await.sent_to(CALLBACK);
        assert_eq!(back["error"], "access_denied");
        browser.sign_in(&page, "ada@x.test", PASSWORD).await.sent_to(CALLBACK);
        app.advance(TimeDelta::seconds(1));
        let other = browser.post("/sign-in", &[("flow", &page.flow()), ("switch", "1")]).await.page(200);
        let back = browser.sign_in(&other, "bob@x.test", PASSWORD).await.sent_to(CALLBACK);
        let tokens = spa.exchange(&app, &back["code"]).await.expect(200);
        let info = app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect(200);
        assert_eq!(info.json()["email"], "bob@x.test");
    }

    async fn strangers_may_make_an_account_on_the_way(app: TestApp) {
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let page = browser.get(&spa.authorize(&[])).await.page(200);
        let form = browser.post("/sign-up", &[("flow", &page.flow()), ("show", "1")]).await.page(200);
        let flow = form.flow();
        let weak = browser.post("/sign-up", &[("flow", &flow), ("email", "eve@x.test"), ("password", "password")]).await.page(422);
        assert!(weak.text.contains("role=\"alert\""), "{}", weak.text);
        browser.post("/sign-up", &[("flow", &flow), ("email", "no address"), ("password", PASSWORD)]).await.page(422);
        let full = [("flow", flow.as_str()), ("email", "eve@x.test"), ("name", "Eve"), ("password", PASSWORD)];
        let back = browser.post("/sign-up", &full).await.sent_to(CALLBACK);
        let tokens = spa.exchange(&app, &back["code"]).await.expect(200);
        assert_eq!(app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.json()["name"], "Eve");
        // An address that has an account gets nobody in who does not know its password.
        let thief = Browser::new(&app);
        let page = thief.get(&spa.authorize(&[])).await.page(200);
        let taken = [("flow", page.flow()), ("email", "eve@x.test".to_owned()), ("password", "another long password".to_owned())];
        let taken: Vec<(&str, &str)> = taken.iter().map(|(name, value)| (*name, value.as_str())).collect();
        thief.post("/sign-up", &taken).await.page(401);
        assert_eq!(thief.cookie("__Host-chancery_session"), None);
    }

    async fn guesses_on_the_page_count_like_all_others(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let page = browser.get(&spa.authorize(&[])).await.page(200);
        for round in 0..3 {
            browser.sign_in(&page, "ADA@x.test", &format!("wrong {round}")).await.page(401);
            app.try_login("ada@x.test", "wrong").await.expect_problem(401, "invalid_credentials");
        }
        // The budget is spent, whichever door the right one comes through.
        browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(401);
        app.try_login("ada@x.test", PASSWORD).await.expect_problem(401, "invalid_credentials");
    }

    async fn who_was_disabled_or_changed_the_password_is_signed_out(app: TestApp) {
        let ada = app.newcomer("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        let change = json!({ "current_password": PASSWORD, "new_password": "an entirely different one" });
        app.post_as(&ada.access_token(), "/auth/password", change).await.expect(204);
        browser.get(&spa.authorize(&[])).await.page(200);
        app.register("bob@x.test").await;
        let bob = Browser::new(&app);
        bob.code(&spa, "bob@x.test", &[]).await;
        app.database.execute("UPDATE users SET status = 'disabled' WHERE email = 'bob@x.test'").await;
        bob.get(&spa.authorize(&[])).await.page(200);
    }

    async fn a_browser_is_signed_in_for_its_time(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        for _ in 0..11 {
            app.advance(TimeDelta::hours(1));
            browser.get(&spa.authorize(&[])).await.returned_code();
        }
        app.advance(TimeDelta::hours(1));
        browser.get(&spa.authorize(&[])).await.page(200);
        for bad in ["", "cbs_", "cbs_AAAA", "x", &"a".repeat(4000)] {
            browser.set_cookie("__Host-chancery_session", bad);
            browser.get(&spa.authorize(&[])).await.page(200);
        }
    }

    async fn the_pages_own_addresses_lead_nowhere(app: TestApp) {
        for path in ["/sign-in", "/sign-up", "/consent"] {
            app.get(path).await.page(400);
            app.send(reqwest::Method::PUT, path, &[], None).await.expect_problem(405, "method_not_allowed");
        }
        let style = app.get("/pages/style.css").await.expect(200);
        assert!(style.header("content-type").starts_with("text/css"));
        // No other site's script may ask here.
        for path in ["/oauth2/authorize", "/sign-in", "/consent"] {
            let headers = [("origin", "https://app.test")];
            let answer = app.send(reqwest::Method::GET, path, &headers, None).await;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        }
    }

    async fn codes_are_long_and_never_alike(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let mut codes = BTreeSet::from([browser.code(&spa, "ada@x.test", &[]).await]);
        for _ in 0..30 {
            codes.insert(browser.get(&spa.authorize(&[])).await.returned_code());
        }
        assert_eq!(codes.len(), 31);
        assert!(codes.iter().all(|code| code.len() >= 43 && !code.contains(CHALLENGE)));
    }
}
