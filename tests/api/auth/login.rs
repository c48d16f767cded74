use std::sync::Arc;

use chancery::clock::Clock;
use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Database, Kind, PASSWORD, TestApp, kids, on_both, part};

on_both! {
    async fn a_login_is_a_token_response_and_the_user(app: TestApp) {
        app.register("ada@x.test").await;
        let answer = app.login("Ada@x.test").await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let body = answer.json();
        let members: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(
            members,
            ["access_token", "expires_in", "refresh_expires_in", "refresh_token", "scope", "token_type", "user"]
        );
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"], 600);
        assert_eq!(body["refresh_expires_in"], 7 * 86_400);
        assert!(answer.refresh_token().starts_with("crt_"));
    }

    async fn an_access_token_follows_the_profile(app: TestApp) {
        let login = app.newcomer("ada@x.test").await;
        let token = login.access_token();
        let header = part(&token, 0);
        let published = kids(&app.get("/.well-known/jwks.json").await.json());
        assert_eq!(header["alg"], "RS256");
        assert_eq!(header["typ"], "at+jwt");
        assert!(published.contains(&header["kid"].as_str().unwrap().to_owned()));
        let claims = part(&token, 1);
        let now = app.clock.now().timestamp();
        assert_eq!(claims["iss"], "https://auth.test");
        assert_eq!(claims["sub"], login.json()["user"]["id"]);
        assert_eq!(claims["aud"], "chancery");
        assert_eq!(claims["client_id"], "chancery");
        assert_eq!(claims["exp"], now + 600);
        for moment in ["iat", "nbf", "auth_time"] {
            assert_eq!(claims[moment], now);
        }
        assert_eq!(claims["amr"], json!(["pwd"]));
        assert_eq!(claims["roles"], json!([]));
        let members: Vec<&String> = claims.as_object().unwrap().keys().collect();
        assert_eq!(
            members,
            ["amr", "aud", "auth_time", "client_id", "exp", "iat", "iss", "jti", "nbf", "roles", "scope", "sid", "sub"],
            "nothing personal beyond these"
        );
        let again = part(&app.login("ada@x.test").await.access_token(), 1);
        assert_ne!(claims["jti"], again["jti"]);
        assert_eq!(claims["jti"].as_str().unwrap().as_bytes()[14], b'4', "a random UUID: 122 bits");
        assert_ne!(claims["sid"], again["sid"]);
    }

    async fn unknown_wrong_and_disabled_answer_alike(app: TestApp) {
        let admin = app.admin().await;
        let id = app.register("ada@x.test").await.json()["id"].as_str().unwrap().to_owned();
        app.register("bob@x.test").await;
        app.request_as(&admin, Method::PATCH, &format!("/admin/users/{id}"), json!({ "status": "disabled" })).await.expect(200);
        let shape = |answer: crate::support::Answer| {
            let answer = answer.expect_problem(401, "invalid_credentials");
            let mut body: Value = answer.json();
            body["request_id"] = json!(null);
            let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
            names.sort();
            (body, names)
        };
        let unknown = shape(app.try_login("nobody@x.test", PASSWORD).await);
        let wrong = shape(app.try_login("bob@x.test", "not the password").await);
        let disabled = shape(app.try_login("ada@x.test", PASSWORD).await);
        let absurd = shape(app.try_login("no address at all", PASSWORD).await);
        let endless = shape(app.try_login("bob@x.test", &"x".repeat(1000)).await);
        for _ in 0..4 {
            app.try_login("bob@x.test", "not the password").await.expect(401);
        }
        let locked = shape(app.try_login("bob@x.test", PASSWORD).await);
        app.database.execute("UPDATE login_attempts SET failures = 100").await;
        app.advance(TimeDelta::days(2));
        let stopped = shape(app.try_login("bob@x.test", PASSWORD).await);
        for other in [wrong, disabled, absurd, endless, locked, stopped] {
            assert_eq!(unknown, other);
        }
    }

    async fn sixteen_right_logins_at_once_all_succeed(app: TestApp) {
        app.register("ada@x.test").await;
        let answers = join_all((0..16).map(|_| app.login("ada@x.test"))).await;
        assert_eq!(answers.len(), 16);
        assert_eq!(app.database.count("SELECT count(*) FROM sessions").await, 16);
    }

    async fn both_unicode_spellings_of_a_password_log_in(app: TestApp) {
        let body = json!({ "email": "ada@x.test", "password": "scho\u{308}nes wetter" });
        app.post("/auth/register", body).await.expect(201);
        app.try_login("ada@x.test", "sch\u{f6}nes wetter").await.expect(200);
        app.try_login("ada@x.test", "scho\u{308}nes wetter").await.expect(200);
    }

    async fn a_long_password_is_compared_whole(app: TestApp) {
        let long = |last: &str| format!("{}{last}", "a1".repeat(127));
        app.post("/auth/register", json!({ "email": "ada@x.test", "password": long("x") })).await.expect(201);
        app.try_login("ada@x.test", &long("x")).await.expect(200);
        app.try_login("ada@x.test", &long("y")).await.expect(401);
        app.try_login("ada@x.test", &"a1".repeat(40)).await.expect(401);
        // bcrypt would look at 72 bytes only.
        let at_73 = |last: &str| format!("{}{last}", "b2".repeat(36));
        app.post("/auth/register", json!({ "email": "bob@x.test", "password": at_73("x") })).await.expect(201);
        app.try_login("bob@x.test", &at_73("y")).await.expect(401);
        app.try_login("bob@x.test", &at_73("")).await.expect(401);
        app.try_login("bob@x.test", &at_73("x")).await.expect(200);
    }

    /// NUL, which ends a text in C, is in no password: it is refused wherever one is typed.
    async fn a_password_does_not_end_at_a_nul(app: TestApp) {
        let with_nul = json!({ "email": "ada@x.test", "password": format!("{PASSWORD}\0more") });
        app.post("/auth/register", with_nul.clone()).await.expect_problem(400, "invalid_json");
        app.register("ada@x.test").await;
        app.post("/auth/login", with_nul).await.expect_problem(400, "invalid_json");
    }

    async fn equal_passwords_have_different_hashes(app: TestApp) {
        app.register("ada@x.test").await;
        app.register("bob@x.test").await;
        assert_eq!(app.database.count("SELECT count(DISTINCT password_hash) FROM users").await, 2);
    }

    async fn a_planted_cookie_is_not_taken_over_at_login(app: TestApp) {
        let in_cookie = async |email: &str, cookie: &str| {
            let body = json!({ "email": email, "password": PASSWORD, "cookie": true }).to_string();
            let headers = [("content-type", "application/json"), ("cookie", cookie)];
            app.send(Method::POST, "/auth/login", &headers, Some(body)).await.expect(200)
        };
        app.register("eve@x.test").await;
        app.register("ada@x.test").await;
        let eves = in_cookie("eve@x.test", "").await;
        let planted = eves.header("set-cookie").split(';').next().unwrap();
        let adas = in_cookie("ada@x.test", planted).await;
        let (eve, ada) = (part(&eves.access_token(), 1), part(&adas.access_token(), 1));
        assert_ne!(eve["sid"], ada["sid"]);
        assert_eq!(ada["sub"], adas.json()["user"]["id"]);
        assert_ne!(adas.header("set-cookie").split(';').next().unwrap(), planted);
    }

    async fn a_raised_cost_rehashes_at_login(app: TestApp) {
        app.register("ada@x.test").await;
        let hashes = "SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$v=19$m=64,t=1,p=1$%'";
        assert_eq!(app.database.count(hashes).await, 1);
        let stronger = app.another_node(&[("CHANCERY_PASSWORDS__MEMORY_KIB", "128"), ("CHANCERY_PASSWORDS__ITERATIONS", "2")]).await;
        stronger.try_login("ada@x.test", "wrong wrong wrong").await.expect(401);
        assert_eq!(app.database.count(hashes).await, 1);
        stronger.login("ada@x.test").await;
        let rehashed = "SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$v=19$m=128,t=2,p=1$%'";
        assert_eq!(app.database.count(rehashed).await, 1);
        app.login("ada@x.test").await;
        assert_eq!(app.database.count(rehashed).await, 1, "a cheaper node does not weaken it");
    }

    async fn roles_give_their_scopes(app: TestApp) {
        let admin = app.admin().await;
        assert_eq!(part(&admin, 1)["roles"], json!(["admin"]));
        assert_eq!(part(&admin, 1)["scope"], "audit:read clients:read clients:write keys:read keys:rotate users:read users:write");
    }
}

#[tokio::test]
async fn a_token_for_several_audiences_lists_them() {
    let app = TestApp::start_with(Kind::Sqlite, &[("CHANCERY_TOKENS__AUDIENCE", "chancery,orders")]).await;
    let token = app.newcomer("ada@x.test").await.access_token();
    assert_eq!(part(&token, 1)["aud"], json!(["chancery", "orders"]));
    app.get_as(&token, "/auth/me").await.expect(200);
}

#[tokio::test]
async fn an_access_token_never_outlives_its_session() {
    let settings = [("CHANCERY_SESSIONS__IDLE_TIMEOUT", "1h"), ("CHANCERY_SESSIONS__MAX_LIFETIME", "1h")];
    let app = TestApp::start_with(Kind::Sqlite, &settings).await;
    let login = app.newcomer("ada@x.test").await;
    app.advance(TimeDelta::minutes(55));
    let refreshed = app.refresh(&login.refresh_token()).await.expect(200);
    assert_eq!(refreshed.json()["expires_in"], 300);
    assert_eq!(refreshed.json()["refresh_expires_in"], 300);
}

#[tokio::test]
async fn when_every_hashing_thread_is_busy_the_answer_is_to_come_back() {
    let settings = [
        ("CHANCERY_PASSWORDS__MAX_QUEUED", "1"),
        ("CHANCERY_PASSWORDS__MEMORY_KIB", "65536"),
        ("CHANCERY_PASSWORDS__ITERATIONS", "4"),
    ];
    let app = TestApp::start_with(Kind::Sqlite, &settings).await;
    let flood = join_all((0..30).map(|_| app.try_login("ada@x.test", PASSWORD)));
    let (answers, jwks) = tokio::join!(flood, app.get("/.well-known/jwks.json"));
    jwks.expect(200);
    let busy = answers.into_iter().filter(|answer| answer.status == 503).collect::<Vec<_>>();
    assert!(!busy.is_empty());
    for answer in busy {
        assert_eq!(answer.header("retry-after"), "2");
        answer.expect_problem(503, "busy");
    }
    app.try_login("ada@x.test", PASSWORD).await.expect(401);
}

/// With the real clock, which parallel requests read a moment apart, and the budget of five.
async fn parallel_logins_by_the_real_clock(kind: Kind) {
    let database = Arc::new(Database::create(kind).await);
    let app = TestApp::start_on(Arc::clone(&database), Clock::system(), &[]).await;
    let other = TestApp::start_on(database, Clock::system(), &[]).await;
    app.register("ada@x.test").await;
    for _ in 0..10 {
        let nodes = [&app, &other];
        join_all((0..16).map(|at| nodes[at % 2].login("ada@x.test"))).await;
    }
    assert_eq!(app.database.count("SELECT count(*) FROM sessions").await, 160);
}

#[tokio::test]
async fn parallel_logins_by_the_real_clock_sqlite() {
    parallel_logins_by_the_real_clock(Kind::Sqlite).await;
}

#[tokio::test]
async fn parallel_logins_by_the_real_clock_postgres() {
    parallel_logins_by_the_real_clock(Kind::Postgres).await;
}

/// With a hash that takes far longer than a request may, so that whatever is answered otherwise was answered without one.
#[tokio::test]
async fn what_no_password_can_be_is_refused_without_hashing() {
    let settings = [
        ("CHANCERY_SERVER__REQUEST_TIMEOUT", "1s"),
        ("CHANCERY_PASSWORDS__MEMORY_KIB", "262144"),
        ("CHANCERY_PASSWORDS__ITERATIONS", "16"),
    ];
    let app = TestApp::start_with(Kind::Sqlite, &settings).await;
    for length in [257, 1000, 60_000] {
        let endless = "x".repeat(length);
        app.try_login("ada@x.test", &endless).await.expect_problem(401, "invalid_credentials");
        let body = json!({ "email": "ada@x.test", "password": endless });
        app.post("/auth/register", body).await.expect_problem(422, "password_too_long");
    }
    for megabytes in [1, 10] {
        let body = json!({ "email": "ada@x.test", "password": "x".repeat(megabytes << 20) });
        app.post("/auth/login", body.clone()).await.expect_problem(413, "payload_too_large");
        app.post("/auth/register", body).await.expect_problem(413, "payload_too_large");
    }
    assert_eq!(app.database.count("SELECT count(*) FROM login_attempts").await, 0);
    app.try_login("ada@x.test", PASSWORD).await.expect_problem(503, "timed_out");
}
