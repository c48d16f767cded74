use chrono::TimeDelta;
use reqwest::Method;

use crate::support::{TestApp, bearer, on_both};

on_both! {
    async fn me_is_the_tokens_user(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        assert_eq!(app.get_as(&login.access_token(), "/auth/me").await.expect(200).json(), login.json()["user"]);
    }

    async fn an_expired_token_is_refused_after_the_leeway(app: TestApp) {
        let token = app.newcomer("ada@x.test").await.access_token();
        app.advance(TimeDelta::seconds(659));
        app.get_as(&token, "/auth/me").await.expect(200);
        app.advance(TimeDelta::seconds(1));
        let refused = app.get_as(&token, "/auth/me").await.expect_problem(401, "invalid_token");
        assert_eq!(refused.header("www-authenticate"), r#"Bearer error="invalid_token""#);
    }

    async fn only_one_bearer_header_counts(app: TestApp) {
        let token = app.newcomer("ada@x.test").await.access_token();
        let none = app.get("/auth/me").await.expect_problem(401, "token_required");
        assert_eq!(none.header("www-authenticate"), "Bearer");
        app.get(&format!("/auth/me?access_token={token}")).await.expect_problem(401, "token_required");
        let ask = async |values: &[&str]| {
            let headers: Vec<(&str, &str)> = values.iter().map(|value| ("authorization", *value)).collect();
            app.send(Method::GET, "/auth/me", &headers, None).await
        };
        ask(&[&format!("bearer {token}")]).await.expect(200);
        ask(&["Basic YTpi"]).await.expect_problem(401, "token_required");
        ask(&["Bearer"]).await.expect_problem(401, "token_required");
        ask(&["Bearer x y"]).await.expect_problem(401, "invalid_token");
        ask(&["Bearer caf\u{e9}"]).await.expect_problem(401, "invalid_token");
        ask(&[&bearer(&token), &bearer(&token)]).await.expect_problem(401, "invalid_token");
    }

    async fn a_deleted_user_is_nobody(app: TestApp) {
        let admin = app.admin().await;
        let login = app.newcomer("ada@x.test").await;
        let id = login.json()["user"]["id"].as_str().unwrap().to_owned();
        app.delete_as(&admin, &format!("/admin/users/{id}")).await.expect(204);
        app.get_as(&login.access_token(), "/auth/me").await.expect_problem(401, "invalid_token");
        app.refresh(&login.refresh_token()).await.expect_problem(401, "invalid_grant");
        let again = app.register("ada@x.test").await;
        assert_ne!(again.json()["id"], id, "an id is never used again");
    }
}
