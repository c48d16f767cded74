use reqwest::Method;
use serde_json::json;

use crate::support::{TestApp, bearer, on_both};

on_both! {
    async fn logging_out_ends_this_session_at_once(app: TestApp) {
        let here = app.newcomer("ada@x.test").await;
        let there = app.login("ada@x.test").await;
        app.send(Method::POST, "/auth/logout", &[("authorization", &bearer(&here.access_token()))], None).await.expect(204);
        app.get_as(&here.access_token(), "/auth/me").await.expect_problem(401, "invalid_token");
        app.refresh(&here.refresh_token()).await.expect_problem(401, "invalid_grant");
        app.post_as(&here.access_token(), "/auth/logout", json!({})).await.expect_problem(401, "invalid_token");
        app.get_as(&there.access_token(), "/auth/me").await.expect(200);
        app.refresh(&there.refresh_token()).await.expect(200);
    }

    async fn logging_out_everywhere_ends_all_of_the_users_sessions_and_nobody_elses(app: TestApp) {
        let here = app.newcomer("ada@x.test").await;
        let there = app.login("ada@x.test").await;
        let other = app.newcomer("bob@x.test").await;
        app.post_as(&here.access_token(), "/auth/logout", json!({ "all": true })).await.expect(204);
        for gone in [here, there] {
            app.get_as(&gone.access_token(), "/auth/me").await.expect_problem(401, "invalid_token");
            app.refresh(&gone.refresh_token()).await.expect_problem(401, "invalid_grant");
        }
        app.refresh(&other.refresh_token()).await.expect(200);
    }
}
