use futures_util::future::join_all;
use serde_json::json;

use crate::support::{PASSWORD, TestApp, on_both};

const NEW: &str = "a different password";

on_both! {
    async fn a_changed_password_replaces_the_old_and_ends_the_other_sessions(app: TestApp) {
        let here = app.newcomer("ada@x.test").await;
        let there = app.login("ada@x.test").await;
        let body = json!({ "current_password": PASSWORD, "new_password": NEW });
        app.post_as(&here.access_token(), "/auth/password", body).await.expect(204);
        app.try_login("ada@x.test", PASSWORD).await.expect_problem(401, "invalid_credentials");
        app.try_login("ada@x.test", NEW).await.expect(200);
        app.refresh(&there.refresh_token()).await.expect_problem(401, "invalid_grant");
        app.get_as(&there.access_token(), "/auth/me").await.expect_problem(401, "invalid_token");
        app.refresh(&here.refresh_token()).await.expect(200);
        assert_eq!(app.database.count("SELECT count(*) FROM audit WHERE event = 'password_changed'").await, 1);
    }

    async fn the_current_password_is_needed_and_the_new_one_must_be_good(app: TestApp) {
        let token = app.newcomer("ada@x.test").await.access_token();
        let change = async |current: &str, new: &str| {
            app.post_as(&token, "/auth/password", json!({ "current_password": current, "new_password": new })).await
        };
        change("wrong wrong wrong", NEW).await.expect_problem(403, "wrong_password");
        change(PASSWORD, "short").await.expect_problem(422, "password_too_short");
        change(PASSWORD, "password1").await.expect_problem(422, "password_common");
        app.login("ada@x.test").await;
    }

    async fn of_two_changes_at_once_one_comes_too_late(app: TestApp) {
        let token = app.newcomer("ada@x.test").await.access_token();
        app.advance(chrono::TimeDelta::seconds(1));
        let changes = (0..4).map(|at| {
            let body = json!({ "current_password": PASSWORD, "new_password": format!("new password number {at}") });
            app.post_as(&token, "/auth/password", body)
        });
        let done = join_all(changes).await.into_iter().filter(|answer| answer.status == 204).count();
        assert_eq!(done, 1);
    }
}
