//! Claims asked for by name (OpenID Connect Core section 5.5).

use chancery::domain::Scopes;
use chancery::domain::clients::Client;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::support::{Browser, CALLBACK, CHALLENGE, Registered, claims, client, public_client, register};
use crate::support::{PASSWORD, TestApp, on_both};

async fn id_token(app: &TestApp, client: &Registered, browser: &Browser<'_>, own: &[(&str, &str)]) -> Value {
    let code = browser.get(&client.authorize(own)).await.returned_code();
    claims(client.exchange(app, &code).await.expect(200).json()["id_token"].as_str().unwrap())
}

on_both! {
    async fn what_is_asked_for_by_name_is_told_where_it_was_asked_for(app: TestApp) {
        app.register("ada@x.test").await;
        app.database.execute("UPDATE users SET name = 'Ada'").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        let openid = ("scope", "openid");
        let plain = id_token(&app, &spa, &browser, &[openid]).await;
        assert_eq!((&plain["email"], &plain["name"], &plain["acr"]), (&Value::Null, &Value::Null, &json!("1")));
        let wish = r#"{"id_token": {"email": null, "name": {"essential": true}, "email_verified": null, "picture": null}}"#;
        let asked = id_token(&app, &spa, &browser, &[openid, ("claims", wish)]).await;
        assert_eq!((&asked["email"], &asked["email_verified"]), (&json!("ada@x.test"), &json!(false)));
        assert_eq!((&asked["name"], asked.get("picture")), (&json!("Ada"), None));
        let one = id_token(&app, &spa, &browser, &[openid, ("claims", r#"{"id_token": {"email": null}}"#)]).await;
        assert_eq!((one.get("email").is_some(), one.get("email_verified"), one.get("name")), (true, None, None));

        let wish = r#"{"userinfo": {"email": {"essential": true}}}"#;
        let code = browser.get(&spa.authorize(&[openid, ("claims", wish)])).await.returned_code();
        let tokens = spa.exchange(&app, &code).await.expect(200);
        assert_eq!(tokens.json()["scope"], "email openid");
        assert_eq!(claims(tokens.json()["id_token"].as_str().unwrap()).get("email"), None);
        let info = app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect(200).json();
        assert_eq!((&info["email"], info.get("name")), (&json!("ada@x.test"), None));
    }

    async fn the_user_agrees_to_what_is_asked_for_by_name(app: TestApp) {
        app.register("ada@x.test").await;
        let asking = register(&app, &Client { require_consent: true, ..client(&app, "asking") }).await;
        let browser = Browser::new(&app);
        let scope = [("scope", "openid"), ("claims", r#"{"id_token": {"email": null}}"#)];
        let page = browser.get(&asking.authorize(&scope)).await.page(200);
        let page = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200);
        assert!(page.text.contains("See your e-mail address"), "{}", page.text);
        let back = browser.post("/consent", &[("flow", &page.flow()), ("decision", "allow")]).await;
        let tokens = asking.exchange(&app, &back.returned_code()).await.expect(200).json();
        assert_eq!(claims(tokens["id_token"].as_str().unwrap())["email"], "ada@x.test");
        // Who may not have a scope may not have what is in it.
        let narrow = Client { scopes: Scopes::parse("openid").unwrap(), ..client(&app, "narrow") };
        let narrow = register(&app, &narrow).await;
        let wish = r#"{"userinfo": {"email": {"essential": true}}, "id_token": {"email": {"essential": true}}}"#;
        let code = browser.get(&narrow.authorize(&[("scope", "openid"), ("claims", wish)])).await.returned_code();
        let tokens = narrow.exchange(&app, &code).await.expect(200);
        assert_eq!((&tokens.json()["scope"], claims(tokens.json()["id_token"].as_str().unwrap()).get("email")), (&json!("openid"), None));
    }

    async fn a_client_may_want_one_user_and_no_other(app: TestApp) {
        for name in ["ada@x.test", "bob@x.test"] {
            app.register(name).await;
        }
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let ada = claims(spa.exchange(&app, &code).await.expect(200).json()["id_token"].as_str().unwrap())["sub"].clone();
        let wish = json!({ "id_token": { "sub": { "value": ada } } }).to_string();
        let asked = spa.authorize(&[("claims", &wish)]);
        browser.get(&asked).await.returned_code();
        let other = Browser::new(&app);
        other.code(&spa, "bob@x.test", &[]).await;
        app.advance(TimeDelta::seconds(1));
        let silent = spa.authorize(&[("claims", &wish), ("prompt", "none")]);
        assert_eq!(other.get(&silent).await.sent_to(CALLBACK)["error"], "login_required");
        let page = other.get(&asked).await.page(200);
        assert_eq!(other.sign_in(&page, "bob@x.test", PASSWORD).await.sent_to(CALLBACK)["error"], "login_required");
        app.advance(TimeDelta::seconds(1));
        let page = other.get(&asked).await.page(200);
        other.sign_in(&page, "ada@x.test", PASSWORD).await.returned_code();
    }

    async fn what_is_no_request_for_claims_and_what_cannot_be_had_is_told(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        for (wish, error) in [
            ("x", "invalid_request"), ("[]", "invalid_request"), (r#"{"userinfo": "email"}"#, "invalid_request"),
            (r#"{"id_token": {"acr": {"essential": true, "value": "urn:mace:incommon:iap:silver"}}}"#, "unmet_authentication_requirements"),
        ] {
            assert_eq!(browser.get(&spa.authorize(&[("claims", wish)])).await.sent_to(CALLBACK)["error"], error, "{wish}");
            spa.post(&app, "/oauth2/par", &[
                ("response_type", "code"), ("redirect_uri", CALLBACK), ("scope", "openid"), ("claims", wish),
                ("code_challenge", CHALLENGE), ("code_challenge_method", "S256"),
            ]).await.expect_oauth(400, error);
        }
        for fine in [r#"{"id_token": {"acr": {"essential": true, "values": ["9", "1"]}}}"#, r#"{"id_token": {"acr": {"value": "9"}}}"#, "{}"] {
            browser.get(&spa.authorize(&[("claims", fine), ("acr_values", "9 8")])).await.returned_code();
        }
        // Without openid there is no such parameter.
        browser.get(&spa.authorize(&[("scope", "profile"), ("claims", "x")])).await.returned_code();
    }
}
