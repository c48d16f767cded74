use chrono::TimeDelta;

use super::support::{Browser, CALLBACK, client, encode, post_form, public_client, register};
use crate::support::{TestApp, on_both};

const BYE: &str = "https://app.test/bye";

fn logout(parameters: &[(&str, &str)]) -> String {
    format!("/oauth2/logout?{}", encode(parameters))
}

on_both! {
    async fn with_an_id_token_the_user_is_signed_out_and_comes_back(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let online = spa.exchange(&app, &code).await.expect(200);
        let code = browser.get(&spa.authorize(&[("scope", "openid offline_access")])).await.returned_code();
        let offline = spa.exchange(&app, &code).await.expect(200);
        let cookie = browser.cookie("__Host-chancery_session").unwrap();
        // It may be old, if it is genuine.
        app.advance(TimeDelta::hours(1));
        let hint = online.json()["id_token"].as_str().unwrap().to_owned();
        let back = browser.get(&logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE), ("state", "s t")])).await.sent_to(BYE);
        assert_eq!(back["state"], "s t");
        assert_eq!(browser.cookie("__Host-chancery_session"), None);
        browser.set_cookie("__Host-chancery_session", &cookie);
        assert_eq!(browser.get(&spa.authorize(&[("prompt", "none")])).await.sent_to(CALLBACK)["error"], "login_required", "the cookie is dead");
        spa.refresh(&app, &online.refresh_token()).await.expect_oauth(400, "invalid_grant");
        app.get_as(&online.access_token(), "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
        spa.refresh(&app, &offline.refresh_token()).await.expect(200);
        // Signed out already: nothing to ask.
        browser.get(&logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)])).await.sent_to(BYE);
    }

    async fn an_id_token_is_a_hint_after_its_key_has_left_the_set_and_not_after_it_was_revoked(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let hint = spa.exchange(&app, &code).await.expect(200).json()["id_token"].as_str().unwrap().to_owned();
        let kid = crate::support::part(&hint, 0)["kid"].as_str().unwrap().to_owned();
        let admin = app.admin().await;
        app.post_as(&admin, "/admin/keys/rotate", serde_json::json!({ "force": true, "reason": "test" })).await.expect(200);
        app.advance(TimeDelta::hours(1));
        chancery::flows::keys::load_keyring(&app.app).await.unwrap();
        let set = app.get("/.well-known/jwks.json").await.json();
        assert!(!crate::support::kids(&set).contains(&kid), "it has left the set");
        let ask = logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)]);
        app.database.execute(&format!("UPDATE signing_keys SET revoked_at = retires_at WHERE kid = '{kid}'")).await;
        chancery::flows::keys::load_keyring(&app.app).await.unwrap();
        browser.get(&ask).await.page(200);
        app.database.execute(&format!("UPDATE signing_keys SET revoked_at = NULL WHERE kid = '{kid}'")).await;
        chancery::flows::keys::load_keyring(&app.app).await.unwrap();
        browser.get(&ask).await.sent_to(BYE);
        assert_eq!(browser.cookie("__Host-chancery_session"), None);
    }

    async fn without_one_the_user_is_asked(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        let page = browser.get(&logout(&[("client_id", "spa"), ("post_logout_redirect_uri", BYE), ("state", "x")])).await.page(200);
        assert!(page.text.contains("ada@x.test"), "{}", page.text);
        browser.get(&spa.authorize(&[])).await.returned_code();
        // Another site's form, and another browser's page.
        let stranger = Browser::new(&app);
        let theirs = [("flow", page.flow()), ("decision", "sign_out".to_owned())];
        let theirs: Vec<(&str, &str)> = theirs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        stranger.post("/oauth2/logout", &theirs).await.page(400);
        browser.post("/oauth2/logout", &[("flow", "x"), ("decision", "sign_out")]).await.page(400);
        browser.post("/oauth2/logout", &[("flow", &page.flow()), ("decision", "stay")]).await.page(200);
        browser.get(&spa.authorize(&[])).await.returned_code();
        let back = browser.post("/oauth2/logout", &theirs).await.sent_to(BYE);
        assert_eq!(back["state"], "x");
        browser.get(&spa.authorize(&[])).await.page(200);
        // Nobody is there, and nowhere to go.
        browser.get("/oauth2/logout").await.page(200);
    }

    /// Beginning again with the client's hint would sign out without asking.
    async fn a_user_who_stays_on_an_expired_page_is_not_signed_out(app: TestApp) {
        app.register("ada@x.test").await;
        app.register("bob@x.test").await;
        let (spa, other, browser) = (public_client(&app).await, Browser::new(&app), Browser::new(&app));
        let code = other.code(&spa, "ada@x.test", &[]).await;
        let hint = spa.exchange(&app, &code).await.expect(200).json()["id_token"].as_str().unwrap().to_owned();
        browser.code(&spa, "bob@x.test", &[]).await;
        // The hint names another user than the one who is signed in, so the page asks.
        let page = browser.get(&logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)])).await.page(200);
        app.advance(TimeDelta::seconds(1));
        browser.code(&spa, "ada@x.test", &[("prompt", "login")]).await;
        app.advance(TimeDelta::minutes(31));
        let kept = browser.post("/oauth2/logout", &[("flow", &page.flow()), ("decision", "stay")]).await.page(200);
        assert!(kept.text.contains("still signed in"), "{}", kept.text);
        browser.get(&spa.authorize(&[])).await.returned_code();
    }

    async fn a_form_of_another_site_signs_nobody_out_and_a_clients_form_does(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let hint = spa.exchange(&app, &code).await.expect(200).json()["id_token"].as_str().unwrap().to_owned();
        // The browser leaves its cookies at home.
        let form = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", BYE)];
        let moved = post_form(&app, "/oauth2/logout", &[], &form).await;
        assert_eq!((moved.status.as_u16(), moved.header("set-cookie")), (303, ""));
        browser.get(&spa.authorize(&[])).await.returned_code();
        browser.get(moved.header("location")).await.sent_to(BYE);
        browser.get(&spa.authorize(&[])).await.page(200);
        let nobody = app.get("/oauth2/logout").await.page(200);
        assert_eq!(nobody.header("set-cookie"), "", "who has shown no cookie loses none");
    }

    async fn without_offline_access_an_application_goes_on_as_long_as_the_browser(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let online = spa.exchange(&app, &code).await.expect(200);
        let code = browser.get(&spa.authorize(&[("scope", "openid offline_access")])).await.returned_code();
        let offline = spa.exchange(&app, &code).await.expect(200);
        app.advance(TimeDelta::hours(13));
        spa.refresh(&app, &online.refresh_token()).await.expect_oauth(400, "invalid_grant");
        spa.refresh(&app, &offline.refresh_token()).await.expect(200);
    }

    async fn who_has_lost_the_browser_can_still_end_what_the_client_has(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let tokens = spa.exchange(&app, &code).await.expect(200);
        let hint = tokens.json()["id_token"].as_str().unwrap().to_owned();
        Browser::new(&app).get(&logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)])).await.sent_to(BYE);
        spa.refresh(&app, &tokens.refresh_token()).await.expect_oauth(400, "invalid_grant");
    }

    async fn what_is_not_sure_leads_nowhere_and_ends_nothing(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        register(&app, &client(&app, "other")).await;
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let tokens = spa.exchange(&app, &code).await.expect(200);
        let hint = tokens.json()["id_token"].as_str().unwrap().to_owned();
        let (altered, unsigned) = (format!("{}AAAA", &hint[..hint.len() - 4]), format!("{}.", hint.rsplit_once('.').unwrap().0));
        // What is no ID token of ours is as none: the user is asked, and goes nowhere afterwards.
        for none in [&altered, &unsigned, &tokens.access_token()] {
            let ask = logout(&[("id_token_hint", none), ("post_logout_redirect_uri", BYE), ("client_id", "spa")]);
            let page = browser.get(&ask).await.page(200);
            assert!(page.text.contains("sign_out") && !page.text.contains("app.test"), "{}", page.text);
        }
        let cases: [&[(&str, &str)]; 5] = [
            &[("id_token_hint", &hint), ("client_id", "other")],
            &[("id_token_hint", &hint), ("post_logout_redirect_uri", "https://evil.test/")],
            &[("post_logout_redirect_uri", BYE)],
            &[("client_id", "nobody"), ("post_logout_redirect_uri", BYE)],
            &[("id_token_hint", &hint), ("state", "a"), ("state", "b")],
        ];
        for parameters in cases {
            browser.get(&logout(parameters)).await.page(400);
            let moved = browser.post("/oauth2/logout", parameters).await;
            assert_eq!(moved.status, 303);
            browser.get(moved.header("location")).await.page(400);
        }
        browser.get(&spa.authorize(&[])).await.returned_code();
        // Somebody else's ID token asks, and does not decide.
        app.register("bob@x.test").await;
        let bob = Browser::new(&app);
        bob.code(&spa, "bob@x.test", &[]).await;
        bob.get(&logout(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)])).await.page(200);
        bob.get(&spa.authorize(&[])).await.returned_code();
    }

    async fn a_user_sees_and_ends_their_browsers_sessions(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let tokens = spa.exchange(&app, &code).await.expect(200);
        let listed = app.get_as(&login.access_token(), "/auth/sessions").await.expect(200).json();
        let sessions = listed["sessions"].as_array().unwrap();
        let of = |client: &str| sessions.iter().find(|session| session["client_id"] == client).unwrap()["id"].as_str().unwrap().to_owned();
        assert_eq!(sessions.len(), 3, "{listed}");
        let (own, theirs) = (of("chancery:browser"), of("spa"));
        assert_ne!(own, theirs);
        app.delete_as(&login.access_token(), &format!("/auth/sessions/{own}")).await.expect(204);
        browser.get(&spa.authorize(&[])).await.page(200);
        spa.refresh(&app, &tokens.refresh_token()).await.expect_oauth(400, "invalid_grant");
    }
}
