use chancery::domain::clients::Client;
use chrono::TimeDelta;
use futures_util::future::join_all;

use super::support::{Browser, claims, client, public_client, register};
use crate::support::{TestApp, on_both};

on_both! {
    async fn a_refresh_gives_the_next_tokens_of_the_same_session(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let first = spa.exchange(&app, &code).await.expect(200);
        app.advance(TimeDelta::minutes(5));
        let second = spa.refresh(&app, &first.refresh_token()).await.expect(200);
        assert_ne!(first.refresh_token(), second.refresh_token());
        let (before, after) = (claims(first.json()["id_token"].as_str().unwrap()), claims(second.json()["id_token"].as_str().unwrap()));
        for same in ["iss", "sub", "aud", "auth_time", "sid"] {
            assert_eq!(before[same], after[same], "{same}");
        }
        assert!(after.get("nonce").is_none() && after["iat"].as_i64() > before["iat"].as_i64());
        assert_eq!(second.json()["scope"], "email openid profile");
        // The parent again, within the grace, and later.
        let again = spa.refresh(&app, &first.refresh_token()).await.expect(200);
        assert_eq!(again.refresh_token(), second.refresh_token());
        app.advance(TimeDelta::seconds(10));
        spa.refresh(&app, &first.refresh_token()).await.expect_oauth(400, "invalid_grant");
        spa.refresh(&app, &second.refresh_token()).await.expect_oauth(400, "invalid_grant");
    }

    async fn less_may_be_asked_for_and_more_may_not(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let tokens = spa.exchange(&app, &code).await.expect(200);
        let ask = async |token: &str, scope: &str| {
            spa.token(&app, &[("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)]).await
        };
        // A refusal does not use the token up.
        for wider in ["openid keys:read", "users:write", "openid offline_access", "no\"scope"] {
            ask(&tokens.refresh_token(), wider).await.expect_oauth(400, "invalid_scope");
        }
        let narrow = ask(&tokens.refresh_token(), "openid").await.expect(200);
        assert_eq!(narrow.json()["scope"], "openid");
        let info = app.get_as(&narrow.access_token(), "/oauth2/userinfo").await.expect(200).json();
        assert!(info.get("email").is_none(), "{info}");
        let whole = spa.refresh(&app, &narrow.refresh_token()).await.expect(200);
        assert_eq!(whole.json()["scope"], "email openid profile");
    }

    async fn another_clients_token_is_refused_and_its_session_untouched(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        let other = register(&app, &client(&app, "other")).await;
        let code = browser.code(&spa, "ada@x.test", &[]).await;
        let tokens = spa.exchange(&app, &code).await.expect(200);
        other.refresh(&app, &tokens.refresh_token()).await.expect_oauth(400, "invalid_grant");
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event = 'refresh_wrong_client'").await, 1);
        let login = app.login("ada@x.test").await;
        spa.refresh(&app, &login.refresh_token()).await.expect_oauth(400, "invalid_grant");
        spa.refresh(&app, &tokens.refresh_token()).await.expect(200);
        app.refresh(&login.refresh_token()).await.expect(200);
    }

    async fn a_client_may_have_a_grace_of_its_own(app: TestApp) {
        app.register("ada@x.test").await;
        let wanted = Client { refresh_grace: Some(TimeDelta::zero()), ..client(&app, "strict") };
        let (strict, browser) = (register(&app, &wanted).await, Browser::new(&app));
        let code = browser.code(&strict, "ada@x.test", &[]).await;
        let tokens = strict.exchange(&app, &code).await.expect(200);
        let token = tokens.refresh_token();
        let answers = join_all((0..16).map(|_| strict.refresh(&app, &token))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        let winner = answers.into_iter().find(|answer| answer.status == 200).unwrap();
        strict.refresh(&app, &winner.refresh_token()).await.expect_oauth(400, "invalid_grant");
    }

    async fn who_may_not_act_any_more_refreshes_nothing(app: TestApp) {
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        for (name, change) in [
            ("ada@x.test", "UPDATE users SET status = 'disabled' WHERE email = 'ada@x.test'"),
            ("bob@x.test", "DELETE FROM users WHERE email = 'bob@x.test'"),
        ] {
            app.register(name).await;
            let code = Browser::new(&app).code(&spa, name, &[]).await;
            let tokens = spa.exchange(&app, &code).await.expect(200);
            app.database.execute(change).await;
            spa.refresh(&app, &tokens.refresh_token()).await.expect_oauth(400, "invalid_grant");
        }
        drop(browser);
    }
}
