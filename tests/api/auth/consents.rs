use chancery::domain::clients::Client;

use crate::oauth2::support::{Browser, client, register};
use crate::support::{PASSWORD, TestApp, on_both};

on_both! {
    async fn a_user_sees_what_applications_have_and_takes_it_back(app: TestApp) {
        let login = app.newcomer("ada@x.test").await.access_token();
        let wanted = Client { require_consent: true, ..client(&app, "third") };
        let (third, browser) = (register(&app, &wanted).await, Browser::new(&app));
        let page = browser.get(&third.authorize(&[])).await.page(200);
        let page = browser.sign_in(&page, "ada@x.test", PASSWORD).await.page(200);
        let back = browser.post("/consent", &[("flow", &page.flow()), ("decision", "allow")]).await;
        let tokens = third.exchange(&app, &back.returned_code()).await.expect(200);
        let list = app.get_as(&login, "/auth/consents").await.expect(200).json();
        let given = &list["consents"][0];
        assert_eq!((&given["client_id"], &given["scope"]), (&"third".into(), &"email openid profile".into()), "{list}");
        assert_eq!(given["client_name"], "Orders & Sons");
        // Nobody else's, and not by the application itself.
        let bob = app.newcomer("bob@x.test").await.access_token();
        app.delete_as(&bob, "/auth/consents/third").await.expect_problem(404, "not_found");
        app.delete_as(&tokens.access_token(), "/auth/consents/third").await.expect_problem(403, "insufficient_scope");
        third.refresh(&app, &tokens.refresh_token()).await.expect(200);
        let waiting = browser.get(&third.authorize(&[])).await.returned_code();
        app.delete_as(&login, "/auth/consents/third").await.expect(204);
        third.exchange(&app, &waiting).await.expect_oauth(400, "invalid_grant");
        third.refresh(&app, &tokens.refresh_token()).await.expect_oauth(400, "invalid_grant");
        app.get_as(&tokens.access_token(), "/oauth2/userinfo").await.expect_oauth(401, "invalid_token");
        assert_eq!(app.get_as(&login, "/auth/consents").await.json()["consents"], serde_json::json!([]));
        app.delete_as(&login, "/auth/consents/third").await.expect_problem(404, "not_found");
        app.delete_as(&login, "/auth/consents/chancery").await.expect_problem(404, "not_found");
        browser.get(&third.authorize(&[])).await.page(200);
        app.get_as(&login, "/auth/me").await.expect(200);
    }
}
