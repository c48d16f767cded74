//! Authorization requests that their clients push (RFC 9126).

use std::collections::BTreeMap;

use chancery::domain::clients::{Client, ClientAuthMethod, GrantType};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use super::client_assertion::{claims as assertion_claims, keyed, post as post_assertion, signed};
use super::support::{
    Browser, CALLBACK, CHALLENGE, Registered, client, encode, post_form, public_client, register, service,
};
use crate::support::{Answer, PASSWORD, TestApp, on_both};

/// Pushes what a client would send its users with, and more; `-` leaves a parameter out.
async fn push(app: &TestApp, client: &Registered, own: &[(&str, &str)]) -> Answer {
    let asked = client.authorize(own);
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(asked.split_once('?').unwrap().1.as_bytes()).into_owned().collect();
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let pairs: Vec<(&str, &str)> = pairs.filter(|(name, _)| *name != "client_id").collect();
    client.post(app, "/oauth2/par", &pairs).await
}

async fn pushed(app: &TestApp, client: &Registered, own: &[(&str, &str)]) -> String {
    let answer = push(app, client, own).await.expect(201);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.json()["expires_in"], 60);
    let name = answer.json()["request_uri"].as_str().unwrap().to_owned();
    assert!(name.starts_with("urn:ietf:params:oauth:request_uri:") && name.len() == 77, "{name}");
    address(client, &name)
}

fn address(client: &Registered, name: &str) -> String {
    format!("/oauth2/authorize?{}", encode(&[("client_id", &client.id), ("request_uri", name)]))
}

/// Where the browser goes on.
async fn gone_on(browser: &Browser<'_>, address: &str) -> String {
    let moved = browser.get(address).await.expect(303);
    let location = moved.header("location").to_owned();
    assert!(location.starts_with("/sign-in?flow="), "{location}");
    location
}

on_both! {
    async fn what_was_pushed_takes_the_place_of_all_else(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let asked = pushed(&app, &spa, &[("login_hint", "ada@x.test")]).await;
        let asked = format!("{asked}&{}", encode(&[("state", "another"), ("redirect_uri", "https://evil.test"), ("scope", "keys:read"), ("request", "x")]));
        let page = gone_on(&browser, &asked).await;
        let page = browser.get(&page).await.page(200);
        assert!(page.text.contains("value=\"ada@x.test\""), "{}", page.text);
        let back = browser.sign_in(&page, "ada@x.test", PASSWORD).await.sent_to(CALLBACK);
        assert_eq!((back["state"].as_str(), back["iss"].as_str()), ("st/at e&\u{e9}", "https://auth.test"));
        let tokens = spa.exchange(&app, &back["code"]).await.expect(200);
        assert_eq!(tokens.json()["scope"], "email openid profile");
        // Who is signed in goes straight back.
        let asked = pushed(&app, &spa, &[]).await;
        browser.get(&asked).await.returned_code();
        let none = pushed(&app, &spa, &[("prompt", "none")]).await;
        assert_eq!(Browser::new(&app).get(&none).await.sent_to(CALLBACK)["error"], "login_required");
        let by_post: BTreeMap<String, String> = url::form_urlencoded::parse(pushed(&app, &spa, &[]).await.split_once('?').unwrap().1.as_bytes()).into_owned().collect();
        let by_post: Vec<(&str, &str)> = by_post.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let moved = post_form(&app, "/oauth2/authorize", &[], &by_post).await.expect(303);
        browser.get(moved.header("location")).await.returned_code();
    }

    async fn the_page_can_be_loaded_again_and_the_name_cannot_be_used_again(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let asked = pushed(&app, &spa, &[]).await;
        let page = gone_on(&browser, &asked).await;
        for _ in 0..3 {
            browser.get(&page).await.page(200);
        }
        for other in [&browser, &Browser::new(&app)] {
            other.get(&asked).await.page(400);
        }
        // The page is this browser's.
        Browser::new(&app).get(&page).await.page(400);
        for nonsense in ["/sign-in", "/sign-in?flow=", "/sign-in?flow=AAAA", "/sign-in?flow=%ff", &page[..page.len() - 2]] {
            browser.get(nonsense).await.page(400);
        }
        let shown = browser.get(&page).await.page(200);
        let wrong = browser.sign_in(&shown, "ada@x.test", "not the password").await.page(401);
        browser.sign_in(&wrong, "ada@x.test", PASSWORD).await.returned_code();
        // It has given its one code.
        browser.get(&page).await.page(400);
        // A double click finds its way.
        let second = browser.sign_in(&wrong, "ada@x.test", PASSWORD).await.expect(303);
        assert!(second.header("location").starts_with("/sign-in?flow="), "{}", second.header("location"));
        browser.get(second.header("location")).await.returned_code();
        // Too late.
        let asked = pushed(&app, &spa, &[("prompt", "login")]).await;
        app.advance(TimeDelta::seconds(1));
        let page = gone_on(&browser, &asked).await;
        app.advance(TimeDelta::minutes(31));
        browser.get(&page).await.page(400);
    }

    async fn of_sixteen_uses_at_once_one_succeeds(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        let other = app.another_node(&[]).await;
        let elsewhere = Browser::new(&other);
        for name in ["__Host-chancery_session", "__Host-chancery_flow"] {
            elsewhere.set_cookie(name, &browser.cookie(name).unwrap());
        }
        let browsers = [&browser, &elsewhere];
        for round in 0..20 {
            // With somebody signed in, and with nobody.
            let own: &[(&str, &str)] = if round % 2 == 0 { &[] } else { &[("prompt", "login")] };
            let asked = pushed(&app, &spa, own).await;
            app.advance(TimeDelta::seconds(1));
            let answers = join_all((0..16).map(|at| browsers[at % 2].get(&asked))).await;
            let (right, wrong): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 303);
            assert_eq!(right.len(), 1, "round {round}");
            for answer in wrong {
                answer.page(400);
            }
        }
    }

    async fn it_is_its_clients_alone_and_for_a_minute(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let other = register(&app, &client(&app, "other")).await;
        browser.code(&spa, "ada@x.test", &[]).await;
        let asked = pushed(&app, &spa, &[]).await;
        browser.get(&asked.replace("client_id=spa", "client_id=other")).await.page(400);
        browser.get(&asked.replace("client_id=spa", "client_id=nobody")).await.page(400);
        browser.get(&asked.replace("client_id=spa&", "")).await.page(400);
        browser.get(&format!("{asked}&client_id=spa")).await.page(400);
        browser.get(&asked).await.returned_code();
        let asked = pushed(&app, &spa, &[]).await;
        app.advance(TimeDelta::seconds(60));
        browser.get(&asked).await.page(400);
        for name in ["urn:ietf:params:oauth:request_uri:", "urn:ietf:params:oauth:request_uri:x"] {
            browser.get(&address(&other, name)).await.page(400);
        }
        // What is not ours is refused as before, by way of the client.
        for foreign in ["https://app.test/request.jwt", "urn:ietf:params:oauth:request_ur", "URN:ietf:params:oauth:request_uri:x"] {
            let back = browser.get(&spa.authorize(&[("request_uri", foreign)])).await.sent_to(CALLBACK);
            assert_eq!(back["error"], "request_uri_not_supported", "{foreign}");
        }
        assert_eq!(app.database.count("SELECT count(*) FROM pushed_requests").await, 2);
        app.advance(TimeDelta::seconds(1));
        chancery::flows::clean_up(&app.app).await.unwrap();
        assert_eq!(app.database.count("SELECT count(*) FROM pushed_requests").await, 0);
    }

    async fn what_would_be_refused_later_is_refused_at_once(app: TestApp) {
        let spa = public_client(&app).await;
        let (short, long) = ("a".repeat(42), "a".repeat(2049));
        let huge: Vec<(String, String)> = (0..9).map(|number| (format!("x{number}"), "a".repeat(2000))).collect();
        let huge: Vec<(&str, &str)> = huge.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let cases: [(&[(&str, &str)], &str); 22] = [
            (&[("request_uri", "urn:ietf:params:oauth:request_uri:x")], "invalid_request"),
            (&[("request_uri", "https://app.test/x")], "invalid_request"),
            (&[("request", "e30.e30.")], "request_not_supported"),
            (&[("redirect_uri", "https://evil.test/cb")], "invalid_request"),
            (&[("redirect_uri", "https://app.test/cb/")], "invalid_request"),
            (&[("response_type", "-")], "invalid_request"),
            (&[("response_type", "token")], "unsupported_response_type"),
            (&[("response_mode", "fragment")], "invalid_request"),
            (&[("code_challenge", "-"), ("code_challenge_method", "-")], "invalid_request"),
            (&[("code_challenge_method", "plain")], "invalid_request"),
            (&[("code_challenge", &short)], "invalid_request"),
            (&[("scope", "openid users:write")], "invalid_scope"),
            (&[("scope", "op\"en")], "invalid_scope"),
            (&[("prompt", "none login")], "invalid_request"),
            (&[("prompt", "dance")], "invalid_request"),
            (&[("max_age", "soon")], "invalid_request"),
            (&[("resource", "https://other.test")], "invalid_target"),
            (&[("nonce", &long)], "invalid_request"),
            (&[("id_token_hint", "x.y.z")], "invalid_request"),
            (&[("scope", "email"), ("id_token_hint", "x.y.z")], "invalid_request"),
            (&[("registration", "{}")], "registration_not_supported"),
            (&huge, "invalid_request"),
        ];
        for (own, error) in cases {
            push(&app, &spa, own).await.expect_oauth(400, error);
        }
        let twice = [("response_type", "code"), ("code_challenge", CHALLENGE), ("code_challenge_method", "S256"), ("state", "a"), ("state", "b")];
        spa.post(&app, "/oauth2/par", &twice).await.expect_oauth(400, "invalid_request");
        let robot = Client { grant_types: [GrantType::ClientCredentials].into(), auth_method: ClientAuthMethod::SecretBasic, ..client(&app, "robot") };
        push(&app, &register(&app, &robot).await, &[]).await.expect_oauth(400, "unauthorized_client");
        let homeless = Client { id: chancery::domain::ClientId::parse("homeless").unwrap(), redirect_uris: vec![], ..robot };
        push(&app, &register(&app, &homeless).await, &[]).await.expect_oauth(400, "unauthorized_client");
        let body = encode(&[("client_id", "spa"), ("x", &"a".repeat(70_000))]);
        let form = [("content-type", "application/x-www-form-urlencoded")];
        app.send(reqwest::Method::POST, "/oauth2/par", &form, Some(body)).await.expect_oauth(413, "invalid_request");
        app.post("/oauth2/par", json!({ "client_id": "spa" })).await.expect_oauth(415, "invalid_request");
        let refused = app.get("/oauth2/par").await.expect_oauth(405, "invalid_request");
        assert_eq!(refused.header("allow"), "POST");
        assert_eq!(app.database.count("SELECT count(*) FROM pushed_requests").await, 0);
        // With one address of its own it need not name it.
        push(&app, &spa, &[("redirect_uri", "-")]).await.expect(201);
    }

    async fn a_client_shows_who_it_is_as_at_the_token_endpoint(app: TestApp) {
        app.register("ada@x.test").await;
        let web = service(&app, "web", "openid profile email", &[]).await;
        let browser = Browser::new(&app);
        let asked = pushed(&app, &web, &[]).await;
        assert!(!app.database.holds(web.secret.as_ref().unwrap()));
        let page = browser.get(&gone_on(&browser, &asked).await).await.page(200);
        let code = browser.sign_in(&page, "ada@x.test", PASSWORD).await.returned_code();
        web.exchange(&app, &code).await.expect(200);
        let wrong = Registered { id: "web".to_owned(), secret: Some("wrong".to_owned()) };
        push(&app, &wrong, &[]).await.expect_oauth(401, "invalid_client");
        push(&app, &Registered { id: "web".to_owned(), secret: None }, &[]).await.expect_oauth(401, "invalid_client");
        push(&app, &Registered { id: "nobody".to_owned(), secret: None }, &[]).await.expect_oauth(401, "invalid_client");
        post_form(&app, "/oauth2/par", &[], &[("response_type", "code")]).await.expect_oauth(401, "invalid_client");
        keyed(&app, "robot").await;
        let form = [("response_type", "code"), ("scope", "openid"), ("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
        for audience in ["https://auth.test", "https://auth.test/oauth2/token", "https://auth.test/oauth2/par"] {
            let mut claims = assertion_claims(&app, "robot");
            claims["aud"] = audience.into();
            let proof = signed(&claims);
            let answer = post_assertion(&app, "/oauth2/par", &proof, &form).await.expect(201);
            let name = answer.json()["request_uri"].as_str().unwrap().to_owned();
            let robot = Registered { id: "robot".to_owned(), secret: None };
            browser.get(&address(&robot, &name)).await.returned_code();
            assert!(!app.database.holds(&name) && !app.database.holds(&proof));
            post_assertion(&app, "/oauth2/par", &proof, &form).await.expect_oauth(401, "invalid_client");
        }
    }

    async fn a_client_may_have_to_push(app: TestApp) {
        app.register("ada@x.test").await;
        let strict = Client { require_pushed: true, require_consent: true, ..client(&app, "strict") };
        let (strict, browser) = (register(&app, &strict).await, Browser::new(&app));
        assert_eq!(browser.get(&strict.authorize(&[])).await.sent_to(CALLBACK)["error"], "invalid_request");
        let foreign = strict.authorize(&[("request_uri", "https://app.test/x")]);
        assert_eq!(browser.get(&foreign).await.sent_to(CALLBACK)["error"], "request_uri_not_supported");
        let asked = pushed(&app, &strict, &[]).await;
        let page = browser.get(&gone_on(&browser, &asked).await).await.page(200);
        let consent = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200);
        // With another account, which is asked as well.
        let page = browser.post("/sign-in", &[("flow", &consent.flow()), ("switch", "1")]).await.page(200);
        app.advance(TimeDelta::seconds(1));
        let consent = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200);
        browser.post("/consent", &[("flow", &consent.flow()), ("decision", "allow")]).await.returned_code();
        // Who is signed in and has not agreed goes on at an address as well.
        let asked = pushed(&app, &strict, &[("prompt", "consent")]).await;
        let page = gone_on(&browser, &asked).await;
        let consent = browser.get(&page).await.page(200);
        let back = browser.post("/consent", &[("flow", &consent.flow()), ("decision", "deny")]).await.sent_to(CALLBACK);
        assert_eq!(back["error"], "access_denied");
        let admin = app.admin().await;
        let shown = app.get_as(&admin, "/admin/clients/strict").await.expect(200).json();
        assert_eq!(shown["require_pushed_authorization_requests"], true);
        let change = json!({ "require_pushed_authorization_requests": false });
        app.request_as(&admin, reqwest::Method::PATCH, "/admin/clients/strict", change).await.expect(200);
        browser.get(&strict.authorize(&[])).await.returned_code();
    }
}
