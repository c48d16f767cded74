//! Devices without a browser, which somebody lets in with theirs (RFC 8628).

use chancery::domain::clients::{Client, ClientAuthMethod, GrantType, RedirectUri};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::client_assertion::{claims as assertion_claims, keyed, post as post_assertion, signed};
use super::support::{
    Browser, CALLBACK, Registered, claims, client, post_form, public_client, register, service,
};
use crate::support::{Answer, Kind, PASSWORD, TestApp, on_both};

pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A television: it keeps no secret and asks nobody for consent, and is confirmed all the same.
pub fn television(app: &TestApp, id: &str) -> Client {
    Client {
        grant_types: [GrantType::DeviceCode, GrantType::RefreshToken].into(),
        redirect_uris: Vec::<RedirectUri>::new(),
        ..client(app, id)
    }
}

async fn tv(app: &TestApp) -> Registered {
    register(app, &television(app, "tv")).await
}

pub struct Codes {
    pub device: String,
    pub user: String,
}

pub async fn begin(app: &TestApp, client: &Registered, scope: &str) -> Codes {
    let answer = client.post(app, "/oauth2/device_authorization", &[("scope", scope)]).await.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let told = answer.json();
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    Codes { device: text("device_code"), user: text("user_code") }
}

async fn poll(app: &TestApp, client: &Registered, codes: &Codes) -> Answer {
    client.token(app, &[("grant_type", DEVICE_CODE), ("device_code", &codes.device)]).await
}

/// Types the code into the page.
async fn enter(browser: &Browser<'_>, code: &str) -> Answer {
    let page = browser.get("/device").await.page(200);
    browser.post("/device", &[("flow", &page.flow()), ("user_code", code)]).await
}

async fn decide(browser: &Browser<'_>, page: &Answer, decision: &str) -> Answer {
    browser.post("/device", &[("flow", &page.flow()), ("decision", decision)]).await
}

/// Somebody with a browser of their own types the code, signs in, and decides.
pub async fn decided(browser: &Browser<'_>, codes: &Codes, decision: &str) {
    let page = enter(browser, &codes.user).await.page(200);
    let page = match page.text.contains("name=\"password\"") {
        true => browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200),
        false => page,
    };
    decide(browser, &page, decision).await.page(200);
}

on_both! {
    async fn somebody_lets_a_device_in(app: TestApp) {
        app.register("ada@x.test").await;
        let (tv, browser) = (tv(&app).await, Browser::new(&app));
        let scope = [("scope", "openid email offline_access")];
        let told = tv.post(&app, "/oauth2/device_authorization", &scope).await.expect(200).json();
        let user_code = told["user_code"].as_str().unwrap();
        assert!(user_code.len() == 9 && user_code.bytes().enumerate().all(|(at, b)| if at == 4 { b == b'-' } else { b"BCDFGHJKLMNPQRSTVWXZ".contains(&b) }), "{user_code}");
        assert_eq!(told["verification_uri"], "https://auth.test/device");
        assert_eq!(told["verification_uri_complete"], format!("https://auth.test/device?user_code={user_code}"));
        assert_eq!((&told["expires_in"], &told["interval"]), (&json!(600), &json!(5)));
        let codes = Codes { device: told["device_code"].as_str().unwrap().to_owned(), user: user_code.to_owned() };
        poll(&app, &tv, &codes).await.expect_oauth(400, "authorization_pending");

        let page = enter(&browser, &user_code.to_lowercase().replace('-', " ")).await.page(200);
        assert!(page.text.contains("Orders &amp; Sons") && page.text.contains("name=\"password\""), "{}", page.text);
        let wrong = browser.sign_in(&page, "ada@x.test", "not the password").await.page(401);
        let page = browser.sign_in(&wrong, "ada@x.test", PASSWORD).await.page(200);
        for shown in ["Orders &amp; Sons", user_code, "ada@x.test", "See your e-mail address", "Stay signed in"] {
            assert!(page.text.contains(shown), "{shown}: {}", page.text);
        }
        app.advance(TimeDelta::seconds(5));
        poll(&app, &tv, &codes).await.expect_oauth(400, "authorization_pending");
        let done = decide(&browser, &page, "allow").await.page(200);
        assert!(done.text.contains("You can go back to your device"));

        let answer = poll(&app, &tv, &codes).await.expect(200);
        assert_eq!(answer.json()["scope"], "email offline_access openid");
        let (access, id_token) = (claims(&answer.access_token()), claims(answer.json()["id_token"].as_str().unwrap()));
        assert_eq!((&access["client_id"], &id_token["aud"], &id_token["amr"]), (&json!("tv"), &json!("tv"), &json!(["pwd"])));
        assert_eq!(app.get_as(&answer.access_token(), "/oauth2/userinfo").await.expect(200).json()["email"], "ada@x.test");
        tv.refresh(&app, &answer.refresh_token()).await.expect(200);
        poll(&app, &tv, &codes).await.expect_oauth(400, "invalid_grant");
        for secret in [codes.device.as_str(), user_code, &user_code.replace('-', "")] {
            assert!(!app.database.holds(secret), "{secret}");
        }
        for event in ["device_allowed", "session_started"] {
            assert_eq!(app.database.count(&format!("SELECT count(*) FROM audit WHERE event = '{event}'")).await, 1, "{event}");
        }
        assert_eq!(app.database.count("SELECT count(*) FROM consents").await, 0, "the next device is asked about as well");
        let next = begin(&app, &tv, "openid").await;
        let page = enter(&browser, &next.user).await.page(200);
        assert!(page.text.contains("value=\"allow\""), "{}", page.text);
    }

    async fn who_turns_a_device_away_is_not_asked_again(app: TestApp) {
        app.register("ada@x.test").await;
        let (tv, browser) = (tv(&app).await, Browser::new(&app));
        let codes = begin(&app, &tv, "openid").await;
        decided(&browser, &codes, "deny").await;
        poll(&app, &tv, &codes).await.expect_oauth(400, "access_denied");
        app.advance(TimeDelta::minutes(11));
        poll(&app, &tv, &codes).await.expect_oauth(400, "access_denied");
        enter(&browser, &codes.user).await.page(422);
        assert_eq!(app.database.count("SELECT count(*) FROM sessions WHERE client_id = 'tv'").await, 0);
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event = 'device_denied'").await, 1);
    }

    async fn a_device_that_asks_too_often_waits_longer(app: TestApp) {
        app.register("ada@x.test").await;
        let (tv, other) = (tv(&app).await, app.another_node(&[]).await);
        let codes = begin(&app, &tv, "openid").await;
        let ask = async |after: i64, error: &str| {
            app.advance(TimeDelta::seconds(after));
            poll(&other, &tv, &codes).await.expect_oauth(400, error);
        };
        ask(0, "authorization_pending").await;
        // A little too soon is nobody's fault.
        ask(4, "authorization_pending").await;
        ask(3, "slow_down").await;
        ask(8, "slow_down").await;
        ask(14, "authorization_pending").await;
        ask(10, "slow_down").await;
        ask(20, "authorization_pending").await;
        // What was allowed is not kept from it.
        decided(&Browser::new(&app), &codes, "allow").await;
        poll(&app, &tv, &codes).await.expect(200);
    }

    async fn the_time_ends(app: TestApp) {
        app.register("ada@x.test").await;
        let (tv, browser) = (tv(&app).await, Browser::new(&app));
        let (waiting, allowed) = (begin(&app, &tv, "openid").await, begin(&app, &tv, "openid").await);
        let page = enter(&browser, &waiting.user).await.page(200);
        let page = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200);
        decided(&browser, &allowed, "allow").await;
        app.advance(TimeDelta::minutes(10));
        for codes in [&waiting, &allowed] {
            poll(&app, &tv, codes).await.expect_oauth(400, "expired_token");
            enter(&browser, &codes.user).await.page(422);
        }
        decide(&browser, &page, "allow").await.page(422);
        poll(&app, &tv, &waiting).await.expect_oauth(400, "expired_token");
        // What nobody has used is not kept; what was used is, for it may come again.
        let used = begin(&app, &tv, "openid").await;
        decided(&browser, &used, "allow").await;
        poll(&app, &tv, &used).await.expect(200);
        app.advance(TimeDelta::minutes(21));
        chancery::flows::clean_up(&app.app).await.unwrap();
        assert_eq!(app.database.count("SELECT count(*) FROM device_codes").await, 1);
        poll(&app, &tv, &waiting).await.expect_oauth(400, "invalid_grant");
        app.advance(TimeDelta::hours(24));
        chancery::flows::clean_up(&app.app).await.unwrap();
        assert_eq!(app.database.count("SELECT count(*) FROM device_codes").await, 0);
    }

    async fn who_signs_in_again_has_let_the_device_in_all_the_same(app: TestApp) {
        app.register("ada@x.test").await;
        let (tv, spa, browser) = (tv(&app).await, public_client(&app).await, Browser::new(&app));
        let codes = begin(&app, &tv, "openid").await;
        decided(&browser, &codes, "allow").await;
        app.advance(TimeDelta::seconds(1));
        let code = browser.get(&spa.authorize(&[])).await.returned_code();
        let page = browser.get(&spa.authorize(&[("prompt", "login")])).await.page(200);
        browser.sign_in(&page, "ada@x.test", PASSWORD).await.returned_code();
        poll(&app, &tv, &codes).await.expect(200);
        spa.exchange(&app, &code).await.expect(200);
    }

    async fn what_is_over_meanwhile_is_said_at_the_sign_in_page(app: TestApp) {
        app.register("ada@x.test").await;
        let (tv, browser) = (tv(&app).await, Browser::new(&app));
        let codes = begin(&app, &tv, "openid").await;
        let page = enter(&browser, &codes.user).await.page(200);
        app.advance(TimeDelta::minutes(10));
        for form in [&[("email", "ada@x.test"), ("password", "wrong")][..], &[("show", "1")]] {
            let page = browser.post("/sign-in", &[&[("flow", page.flow().as_str())], form].concat()).await.page(422);
            assert!(page.text.contains("No device waits with this code"), "{}", page.text);
        }
    }

    async fn a_device_code_that_comes_twice_ends_what_came_of_it(app: TestApp) {
        app.register("ada@x.test").await;
        let (tv, other, browser) = (tv(&app).await, register(&app, &television(&app, "other")).await, Browser::new(&app));
        let codes = begin(&app, &tv, "openid offline_access").await;
        decided(&browser, &codes, "allow").await;
        let tokens = poll(&app, &tv, &codes).await.expect(200);
        poll(&app, &other, &codes).await.expect_oauth(400, "invalid_grant");
        app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect(200);
        app.advance(TimeDelta::minutes(11));
        poll(&app, &tv, &codes).await.expect_oauth(400, "invalid_grant");
        tv.refresh(&app, &tokens.refresh_token()).await.expect_oauth(400, "invalid_grant");
        app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event = 'authorization_code_reused'").await, 1);
    }

    async fn a_withdrawn_consent_takes_the_device_with_it(app: TestApp) {
        app.register("ada@x.test").await;
        let ada = app.login("ada@x.test").await;
        let (tv, browser) = (tv(&app).await, Browser::new(&app));
        let codes = begin(&app, &tv, "openid").await;
        decided(&browser, &codes, "allow").await;
        app.delete_as(&ada.access_token(), "/auth/consents/tv").await.expect(204);
        poll(&app, &tv, &codes).await.expect_oauth(400, "invalid_grant");
    }

    async fn of_sixteen_polls_at_once_one_succeeds(app: TestApp) {
        app.register("ada@x.test").await;
        let (tv, browser) = (tv(&app).await, Browser::new(&app));
        let other = app.another_node(&[]).await;
        for round in 0..20 {
            let codes = begin(&app, &tv, "openid").await;
            decided(&browser, &codes, "allow").await;
            let nodes = [&app, &other];
            let answers = join_all((0..16).map(|at| poll(nodes[at % 2], &tv, &codes))).await;
            let (right, wrong): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
            assert_eq!(right.len(), 1, "round {round}");
            for answer in wrong {
                answer.expect_oauth(400, "invalid_grant");
            }
            app.get_as(&right[0].access_token(), "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
        }
    }

    async fn of_sixteen_decisions_at_once_one_counts(app: TestApp) {
        app.register("ada@x.test").await;
        let (tv, browser) = (tv(&app).await, Browser::new(&app));
        decided(&browser, &begin(&app, &tv, "openid").await, "allow").await;
        for _ in 0..5 {
            let codes = begin(&app, &tv, "openid").await;
            let page = enter(&browser, &codes.user).await.page(200);
            let decisions = ["allow", "deny"].repeat(8);
            let answers = join_all(decisions.iter().map(|decision| decide(&browser, &page, decision))).await;
            assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 422));
            // Who presses a button twice is told what they decided; who decides otherwise is not.
            let mut heeded: Vec<&str> = decisions.iter().zip(&answers).filter(|(_, answer)| answer.status == 200).map(|(decision, _)| *decision).collect();
            assert_eq!(heeded.len(), 8);
            heeded.dedup();
            assert_eq!(heeded.len(), 1);
        }
        let told = "SELECT count(*) FROM audit WHERE event IN ('device_allowed', 'device_denied')";
        assert_eq!(app.database.count(told).await, 6);
    }

    async fn a_code_is_its_clients_alone(app: TestApp) {
        app.register("ada@x.test").await;
        let (tv, browser) = (tv(&app).await, Browser::new(&app));
        let other = register(&app, &television(&app, "other")).await;
        let web = service(&app, "web", "openid", &[]).await;
        let codes = begin(&app, &tv, "openid").await;
        poll(&app, &other, &codes).await.expect_oauth(400, "invalid_grant");
        decided(&browser, &codes, "allow").await;
        poll(&app, &other, &codes).await.expect_oauth(400, "invalid_grant");
        poll(&app, &web, &codes).await.expect_oauth(400, "invalid_grant");
        let bare = Codes { device: codes.device[..codes.device.len() - 1].to_owned(), user: String::new() };
        poll(&app, &tv, &bare).await.expect_oauth(400, "invalid_grant");
        // One in the place of another.
        let by_user_code = Codes { device: codes.user.clone(), user: String::new() };
        poll(&app, &tv, &by_user_code).await.expect_oauth(400, "invalid_grant");
        let as_code = [("grant_type", "authorization_code"), ("code", codes.device.as_str()), ("redirect_uri", CALLBACK)];
        web.token(&app, &as_code).await.expect_oauth(400, "invalid_grant");
        tv.token(&app, &[("grant_type", DEVICE_CODE)]).await.expect_oauth(400, "invalid_request");
        public_client(&app).await.token(&app, &[("grant_type", DEVICE_CODE), ("device_code", &codes.device)]).await.expect_oauth(400, "unauthorized_client");
        poll(&app, &tv, &codes).await.expect(200);
    }

    async fn what_a_device_may_not_have_it_is_told_at_once(app: TestApp) {
        let (tv, spa) = (tv(&app).await, public_client(&app).await);
        let path = "/oauth2/device_authorization";
        spa.post(&app, path, &[]).await.expect_oauth(400, "unauthorized_client");
        for (form, error) in [
            (&[("scope", "users:write")][..], "invalid_scope"),  (&[("scope", "op\"en")], "invalid_scope"),
            (&[("scope", "openid"), ("resource", "https://other.test")], "invalid_target"), (&[("scope", "openid"), ("scope", "email")], "invalid_request"),
        ] {
            tv.post(&app, path, form).await.expect_oauth(400, error);
        }
        post_form(&app, path, &[], &[]).await.expect_oauth(401, "invalid_client");
        post_form(&app, path, &[], &[("client_id", "nobody")]).await.expect_oauth(401, "invalid_client");
        let box_ = Client { auth_method: ClientAuthMethod::SecretBasic, ..television(&app, "box") };
        let box_ = register(&app, &box_).await;
        post_form(&app, path, &[], &[("client_id", "box")]).await.expect_oauth(401, "invalid_client");
        let codes = begin(&app, &box_, "openid").await;
        post_form(&app, "/oauth2/token", &[], &[("client_id", "box"), ("grant_type", DEVICE_CODE), ("device_code", &codes.device)]).await.expect_oauth(401, "invalid_client");
        keyed(&app, "robot").await;
        post_assertion(&app, path, &signed(&assertion_claims(&app, "robot")), &[("scope", "openid")]).await.expect(200);
        app.get(path).await.expect_oauth(405, "invalid_request");
        app.post(path, json!({ "client_id": "tv" })).await.expect_oauth(415, "invalid_request");
        tv.post(&app, path, &[("scope", "openid")]).await.expect(200);
        assert_eq!(app.database.count("SELECT count(*) FROM device_codes").await, 3);
    }

    async fn a_code_in_an_address_confirms_nothing(app: TestApp) {
        app.register("ada@x.test").await;
        let (tv, browser) = (tv(&app).await, Browser::new(&app));
        decided(&browser, &begin(&app, &tv, "openid").await, "allow").await;
        let codes = begin(&app, &tv, "openid").await;
        let page = browser.get(&format!("/device?user_code={}", codes.user.to_lowercase())).await.page(200);
        assert!(page.text.contains(&format!("value=\"{}\"", codes.user)) && !page.text.contains("value=\"allow\""), "{}", page.text);
        poll(&app, &tv, &codes).await.expect_oauth(400, "authorization_pending");
        for hostile in ["%3Cscript%3E", "AEIOU", "%00", "x&user_code=y"] {
            let answer = browser.get(&format!("/device?user_code={hostile}")).await;
            assert!(!answer.text.contains("<script") && (answer.status == 200 || answer.status == 400), "{hostile}");
        }
        // Nor does a form without a page, or without a decision.
        for form in [&[("user_code", codes.user.as_str())][..], &[("decision", "allow"), ("user_code", &codes.user)], &[("flow", "AAAA"), ("decision", "allow")]] {
            browser.post("/device", form).await.page(400);
        }
        let page = enter(&browser, &codes.user).await.page(200);
        decide(&browser, &page, "perhaps").await.page(400);
        browser.post("/consent", &[("flow", &page.flow()), ("decision", "allow")]).await.page(400);
        app.advance(TimeDelta::seconds(1));
        let ordinary = browser.get(&public_client(&app).await.authorize(&[("prompt", "login")])).await.page(200);
        browser.post("/device", &[("flow", &ordinary.flow()), ("decision", "allow")]).await.page(400);
        app.advance(TimeDelta::seconds(5));
        poll(&app, &tv, &codes).await.expect_oauth(400, "authorization_pending");
        decide(&browser, &page, "allow").await.page(200);
        poll(&app, &tv, &codes).await.expect(200);
    }

    async fn only_who_was_asked_decides(app: TestApp) {
        for name in ["ada@x.test", "bob@x.test"] {
            app.register(name).await;
        }
        let (tv, browser) = (tv(&app).await, Browser::new(&app));
        let codes = begin(&app, &tv, "openid email").await;
        let page = enter(&browser, &codes.user).await.page(200);
        let adas = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200);
        // In another browser, whoever is signed in there.
        let elsewhere = Browser::new(&app);
        decided(&elsewhere, &begin(&app, &tv, "openid").await, "allow").await;
        assert_eq!(decide(&elsewhere, &adas, "allow").await.expect(303).header("location"), "/device");
        // Somebody else signs in in this one: they are asked themselves.
        app.advance(TimeDelta::seconds(1));
        let page = browser.post("/sign-in", &[("flow", &adas.flow()), ("switch", "1")]).await.page(200);
        let bobs = browser.sign_in(&page, "bob@x.test", PASSWORD).await.page(200);
        let again = decide(&browser, &adas, "allow").await.page(200);
        assert!(again.text.contains("bob@x.test") && again.text.contains("value=\"allow\""), "{}", again.text);
        poll(&app, &tv, &codes).await.expect_oauth(400, "authorization_pending");
        decide(&browser, &bobs, "allow").await.page(200);
        let tokens = poll(&app, &tv, &codes).await.expect(200);
        assert_eq!(app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect(200).json()["email"], "bob@x.test");
        // Who is signed out when the form comes signs in again.
        let codes = begin(&app, &tv, "openid").await;
        let page = enter(&browser, &codes.user).await.page(200);
        app.database.execute("UPDATE sessions SET revoked_at = created_at WHERE client_id = 'chancery:browser'").await;
        let page = decide(&browser, &page, "allow").await.page(200);
        assert!(page.text.contains("name=\"password\""), "{}", page.text);
        let page = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200);
        decide(&browser, &page, "allow").await.page(200);
        // And who signs out before the device asks has let nobody in.
        app.database.execute("UPDATE sessions SET revoked_at = created_at WHERE client_id = 'chancery:browser'").await;
        poll(&app, &tv, &codes).await.expect_oauth(400, "invalid_grant");
    }

    async fn the_sign_in_page_is_the_one_there_is(app: TestApp) {
        app.register("ada@x.test").await;
        let (tv, browser) = (tv(&app).await, Browser::new(&app));
        let codes = begin(&app, &tv, "openid").await;
        let page = enter(&browser, &codes.user).await.page(200);
        // Leaving it decides nothing.
        let left = browser.post("/sign-in", &[("flow", &page.flow()), ("cancel", "1")]).await.page(200);
        assert!(left.text.contains("name=\"user_code\""), "{}", left.text);
        // A double click makes one session, and finds its way.
        let answers = join_all((0..4).map(|_| browser.sign_in(&page, "ada@x.test", PASSWORD))).await;
        let (mut asked, mut anew) = (0, None);
        for answer in answers {
            match answer.status.as_u16() {
                200 => asked += 1,
                303 => anew = Some(answer.header("location").to_owned()),
                other => panic!("{other} {}", answer.text),
            }
        }
        assert_eq!((asked, app.database.count("SELECT count(*) FROM sessions").await), (1, 1));
        let again = browser.get(&anew.unwrap()).await.page(200);
        assert!(again.text.contains("value=\"allow\""), "{}", again.text);
        // An account can be made on the way.
        let newcomer = Browser::new(&app);
        let page = enter(&newcomer, &codes.user).await.page(200);
        let form = newcomer.post("/sign-up", &[("flow", &page.flow()), ("show", "1")]).await.page(200);
        let made = [("flow", form.flow()), ("email", "bob@x.test".to_owned()), ("password", PASSWORD.to_owned())];
        let made: Vec<(&str, &str)> = made.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let page = newcomer.post("/sign-up", &made).await.page(200);
        assert!(page.text.contains("bob@x.test") && page.text.contains("value=\"allow\""), "{}", page.text);
        // A page that stood open too long begins anew.
        app.advance(TimeDelta::minutes(31));
        assert_eq!(decide(&newcomer, &page, "allow").await.expect(303).header("location"), "/device");
    }

    async fn a_wrong_code_says_so(app: TestApp) {
        let (tv, browser) = (tv(&app).await, Browser::new(&app));
        begin(&app, &tv, "openid").await;
        for wrong in ["BBBB-BBBB", "", "x", "<b>", "BCDFGHJKLMNP"] {
            let page = enter(&browser, wrong).await.page(422);
            assert!(page.text.contains("No device waits with this code") && !page.text.contains("<b>"), "{}", page.text);
        }
        let told = "SELECT count(*) FROM audit WHERE event = 'user_code_rejected' AND subject = 'unknown'";
        assert_eq!(app.database.count(told).await, 5);
    }

    async fn a_client_is_registered_for_devices(app: TestApp) {
        let admin = app.admin().await;
        let body = json!({
            "client_id": "tv", "client_name": "TV", "token_endpoint_auth_method": "none", "scope": "openid",
            "grant_types": [DEVICE_CODE, "refresh_token"],
        });
        let made: Value = app.post_as(&admin, "/admin/clients", body).await.expect(201).json();
        assert_eq!(made["grant_types"], json!(["refresh_token", DEVICE_CODE]));
        begin(&app, &Registered { id: "tv".to_owned(), secret: None }, "openid").await;
        let change = json!({ "grant_types": ["refresh_token"] });
        app.request_as(&admin, reqwest::Method::PATCH, "/admin/clients/tv", change).await.expect_problem(422, "invalid_client_metadata");
        app.delete_as(&admin, "/admin/clients/tv").await.expect(204);
        assert_eq!(app.database.count("SELECT count(*) FROM device_codes").await, 0);
    }
}

/// There are few codes, so not even the right one is looked at from where too many were wrong, at once or at different nodes.
async fn guesses_are_throttled(kind: Kind) {
    let settings = [("CHANCERY_LOGIN__MAX_FAILURES_PER_NETWORK", "3")];
    let app = TestApp::start_with(kind, &settings).await;
    let other = app.another_node(&settings).await;
    let (tv, browser) = (tv(&app).await, Browser::new(&app));
    let codes = begin(&app, &tv, "openid").await;
    enter(&browser, &codes.user).await.page(200);
    let browsers: Vec<Browser> = (0..16).map(|at| Browser::new([&app, &other][at % 2])).collect();
    let answers = join_all(browsers.iter().map(|browser| enter(browser, "BBBB-BBBB"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 422).count(), 3);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 13);
    for code in ["BBBB-BBBB", &codes.user] {
        let page = enter(&browser, code).await.page(429);
        assert!(page.text.contains("Too many codes were wrong"), "{}", page.text);
        assert!((1..=301).contains(&page.header("retry-after").parse().unwrap()));
    }
    let told = "SELECT count(*) FROM audit WHERE event = 'user_code_rejected'";
    assert_eq!(app.database.count(told).await, 3, "what is not looked at is not written down");
    app.advance(TimeDelta::minutes(8));
    let page = enter(&browser, &codes.user).await.page(200);
    assert!(page.text.contains("name=\"password\""));
    // Account limits are those of every sign-in.
    app.register("ada@x.test").await;
    for _ in 0..3 {
        browser.sign_in(&page, "ada@x.test", "wrong").await.page(401);
    }
    let page = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(429);
    assert!((1..=301).contains(&page.header("retry-after").parse().unwrap()));
}

#[tokio::test]
async fn guesses_of_codes_are_throttled_sqlite() {
    guesses_are_throttled(Kind::Sqlite).await;
}

#[tokio::test]
async fn guesses_of_codes_are_throttled_postgres() {
    guesses_are_throttled(Kind::Postgres).await;
}

/// Anybody can be a client that proves nothing, and each device that waits is a row.
#[tokio::test]
async fn devices_that_begin_to_wait_are_counted_by_their_network() {
    let app = TestApp::start_with(Kind::Sqlite, &[("CHANCERY_LOGIN__MAX_FAILURES_PER_NETWORK", "3")]).await;
    let box_ = Client { auth_method: ClientAuthMethod::SecretBasic, ..television(&app, "box") };
    let (tv, box_) = (tv(&app).await, register(&app, &box_).await);
    for _ in 0..3 {
        begin(&app, &tv, "openid").await;
    }
    let refused = tv.post(&app, "/oauth2/device_authorization", &[("scope", "openid")]).await;
    let refused = refused.expect_oauth(429, "temporarily_unavailable");
    assert!((1..=301).contains(&refused.header("retry-after").parse().unwrap()));
    begin(&app, &box_, "openid").await;
    app.advance(TimeDelta::minutes(5));
    begin(&app, &tv, "openid").await;
    assert_eq!(app.database.count("SELECT count(*) FROM device_codes").await, 5);
}

/// Where no limit of sources is set, codes have one of their own.
#[tokio::test]
async fn guesses_of_codes_are_throttled_whatever_is_set() {
    let app = TestApp::start_with(Kind::Sqlite, &[("CHANCERY_LOGIN__MAX_FAILURES_PER_NETWORK", "0")]).await;
    let browser = Browser::new(&app);
    let page = browser.get("/device").await.page(200);
    for _ in 0..100 {
        browser.post("/device", &[("flow", &page.flow()), ("user_code", "BBBB-BBBB")]).await.page(422);
    }
    browser.post("/device", &[("flow", &page.flow()), ("user_code", "BBBB-BBBB")]).await.page(429);
}
