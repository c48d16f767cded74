//! Whatever is sent, the answer is a problem that says what is wrong, and never a 500.

use reqwest::Method;
use serde_json::json;

use crate::support::{PASSWORD, TestApp, on_both};

const JSON: (&str, &str) = ("content-type", "application/json");

on_both! {
    async fn malformed_bodies_are_told_apart(app: TestApp) {
        let login = async |body: &str| app.send(Method::POST, "/auth/login", &[JSON], Some(body.to_owned())).await;
        for body in [
            "", "{", "[]", "null", "\"x\"", "{\"email\":1,\"password\":2}", "{\"email\":\"a@x.test\"}",
            "{\"email\":\"a@x.test\",\"password\":\"x\",\"password\":\"y\"}",
            "{\"email\":\"a\\u0000@x.test\",\"password\":\"x\"}",
            "{\"email\":\"a@x.test\",\"password\":\"\\ud800\"}",
            "{\"email\":\"a@x.test\",\"password\":\"x\"} trailing",
            "{\"email\":\"a@x.test\",\"password\":\"x\",\"cookie\":\"yes\"}",
        ] {
            login(body).await.expect_problem(400, "invalid_json");
        }
        login(&"[".repeat(60_000)).await.expect_problem(400, "invalid_json");
        app.register("a@x.test").await;
        login(&json!(["a@x.test", PASSWORD, false]).to_string()).await.expect_problem(400, "invalid_json");
        let quoting = login(r#"{"email":"a@x.test","password":"hunter2 hunter2","cookie":"hunter2 hunter2"}"#).await;
        assert!(!quoting.text.contains("hunter2"));
    }

    async fn bodies_of_another_type_or_size_are_refused(app: TestApp) {
        let body = json!({ "email": "a@x.test", "password": PASSWORD }).to_string();
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            let headers = [("content-type", kind)];
            app.send(Method::POST, "/auth/login", &headers, Some(body.clone())).await.expect_problem(415, "unsupported_media_type");
        }
        app.send(Method::POST, "/auth/login", &[], None).await.expect_problem(415, "unsupported_media_type");
        let utf8 = [("content-type", "application/json; charset=utf-8")];
        app.send(Method::POST, "/auth/login", &utf8, Some(body)).await.expect_problem(401, "invalid_credentials");
        let large = json!({ "email": "a@x.test", "password": "x".repeat(1 << 20) });
        app.post("/auth/login", large).await.expect_problem(413, "payload_too_large");
    }

    async fn every_route_reads_bodies_alike(app: TestApp) {
        let auth = format!("Bearer {}", app.admin().await);
        let document = serde_json::to_value(chancery::http::openapi_document()).unwrap();
        let deep = |levels: usize| format!(r#"{{"nobody_knows_this":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
        let mut asked = 0;
        // Under /oauth2 errors are OAuth's; tests/api/oauth2/register.rs asks the same there.
        let paths = document["paths"].as_object().unwrap().iter().filter(|(path, _)| !path.starts_with("/oauth2/"));
        for (path, item) in paths {
            let path = path.replace("/clients/{id}", "/clients/nobody").replace("{id}", "00000000-0000-4000-8000-000000000000").replace("{kid}", "unknown");
            for (method, _) in item.as_object().unwrap().iter().filter(|(_, operation)| operation["requestBody"]["content"]["application/json"].is_object()) {
                for (body, told) in [
                    ("{", "not well-formed"), ("[]", "a list is no object"), ("\"\"", "wrong type"), ("7", "wrong type"),
                    (r#"{"a":1,"a":2}"#, "given twice"), (r#"{"nobody_knows_this":1}"#, "unknown field"),
                    (r#"{"name":"\u0000"}"#, "NUL"), (r#"{"reason":"x\u0000y"}"#, "NUL"), (r#"{"password":"\ud800"}"#, "not well-formed"),
                    (r#"{"email":1e999}"#, ""), (r#"{"name":99999999999999999999}"#, ""),
                    (&deep(32), "unknown field"), (&deep(33), "nested too deeply"),
                ] {
                    let headers = [JSON, ("authorization", auth.as_str())];
                    let answer = app.send(method.to_uppercase().parse().unwrap(), &path, &headers, Some(body.to_owned())).await;
                    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_json"), "{method} {path} {body}: {}", answer.text);
                    assert!(answer.text.contains(told), "{method} {path} {body}: {}", answer.text);
                }
                asked += 1;
            }
        }
        assert!(asked >= 9);
    }

    async fn a_nul_in_an_address_is_the_id_of_nothing(app: TestApp) {
        let admin = app.admin().await;
        for path in ["/admin/keys/%00/propagation", "/admin/users/%00", "/admin/keys/%FF/propagation"] {
            app.get_as(&admin, path).await.expect_problem(404, "not_found");
        }
        app.post_as(&admin, "/admin/keys/a%00b/revoke", json!({ "reason": "x" })).await.expect_problem(404, "not_found");
        app.delete_as(&admin, "/auth/sessions/%00").await.expect_problem(404, "not_found");
    }

    async fn headers_have_a_limit_together(app: TestApp) {
        let headers = |count: usize| vec![("x-padding", "x".repeat(987)); count];
        let ask = async |count: usize| {
            let headers = headers(count);
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            app.send(Method::GET, "/.well-known/jwks.json", &headers, None).await
        };
        ask(15).await.expect(200);
        ask(17).await.expect_problem(431, "headers_too_large");
        ask(80).await.expect_problem(431, "headers_too_large");
        // In the words of whoever asks, and so that an app in a browser may read them.
        let headers = headers(17);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = app.send(Method::POST, "/oauth2/token", &headers, None).await.expect_oauth(431, "invalid_request");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let answer = app.send(Method::POST, "/auth/login", &headers, None).await.expect_problem(431, "headers_too_large");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }

    async fn an_unknown_path_and_a_wrong_method_are_told_apart(app: TestApp) {
        app.get("/").await.expect_problem(404, "not_found");
        app.get("/auth").await.expect_problem(404, "not_found");
        for nothing in ["/debug", "/debug/pprof/", "/actuator/env", "/.env", "/server-status"] {
            app.get(nothing).await.expect_problem(404, "not_found");
        }
        app.get("/auth/login/").await.expect_problem(404, "not_found");
        for (method, path, allow) in [
            (Method::GET, "/auth/login", "POST"),
            (Method::DELETE, "/auth/me", "HEAD, GET"),
            (Method::PUT, "/auth/sessions/x", "DELETE"),
            (Method::GET, "/admin/keys/rotate", "POST"),
            (Method::POST, "/.well-known/jwks.json", "HEAD, GET, OPTIONS"),
            (Method::PUT, "/admin/users", "HEAD, GET, POST"),
            ("BREW".parse().unwrap(), "/auth/login", "POST"),
        ] {
            let refused = app.send(method, path, &[], None).await.expect_problem(405, "method_not_allowed");
            assert_eq!(refused.header("allow"), allow, "{path}");
        }
    }

    async fn every_answer_has_the_security_headers(app: TestApp) {
        let answers = [
            app.get("/health/live").await,
            app.get("/nowhere").await,
            app.get("/auth/me").await,
            app.get("/.well-known/jwks.json").await,
            app.try_login("a@x.test", PASSWORD).await,
        ];
        for answer in answers {
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("x-frame-options"), "DENY");
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
            assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
            assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
            assert!(!answer.header("cache-control").is_empty());
            assert_eq!(answer.header("x-request-id").len(), 36);
        }
    }

    async fn a_refused_preflight_is_a_problem_too(app: TestApp) {
        for (origin, method) in [("https://evil.test", "POST"), ("https://auth.test", "BREW")] {
            let asks = [("origin", origin), ("access-control-request-method", method)];
            let refused = app.send(Method::OPTIONS, "/auth/login", &asks, None).await;
            refused.expect_problem(403, "origin_not_allowed");
        }
    }

    async fn words_that_are_no_methods_are_counted_as_one(app: TestApp) {
        for word in ["BREW", "X-INVENTED"] {
            app.send(word.parse().unwrap(), "/auth/login", &[], None).await.expect(405);
        }
        let metrics = app.get("/metrics").await.text;
        assert!(metrics.contains("method=\"other\"") && !metrics.contains("INVENTED"));
    }

    async fn strange_but_legal_text_goes_through(app: TestApp) {
        let name = "\u{202e}\u{1f469}\u{200d}\u{1f680} O'Brien; DROP TABLE users --";
        let body = json!({ "email": "o'brien+tag@x.test", "password": "\u{1f510}\u{1f511} ' OR 1=1 --", "name": name });
        let user = app.post("/auth/register", body).await.expect(201).json();
        assert_eq!(user["name"], name);
        app.try_login("O'Brien+tag@X.test", "\u{1f510}\u{1f511} ' OR 1=1 --").await.expect(200);
    }
}

/// Bytes as they are, past any client library.
mod raw {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use crate::support::{Kind, TestApp};

    fn send(address: &str, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).unwrap_or(0);
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn broken_requests_are_refused_and_the_server_goes_on() {
        let app = TestApp::start(Kind::Sqlite).await;
        let login = "POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
        let cases: Vec<(Vec<u8>, &[&str])> = vec![
            (b"GET / HTTP/9.9\r\n\r\n".to_vec(), &["HTTP/1.1 400"]),
            (b"\xff\xfe\xfd\r\n\r\n".to_vec(), &["HTTP/1.1 400"]),
            (b"GET /a\x00b HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), &["HTTP/1.1 400"]),
            (b"GET /%00%ff%2e%2e/ HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), &["HTTP/1.1 404"]),
            (b"GET /admin/users/%ff HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), &["HTTP/1.1 401", "HTTP/1.1 404"]),
            (format!("{login}content-length: x\r\n\r\n{{}}").into_bytes(), &["HTTP/1.1 400"]),
            (
                format!("{login}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{{}}").into_bytes(),
                &["HTTP/1.1 400"],
            ),
            (format!("{login}content-length: 99999999999\r\n\r\n{{}}").into_bytes(), &["HTTP/1.1 413"]),
            (format!("{login}transfer-encoding: chunked\r\n\r\nzz\r\n").into_bytes(), &["HTTP/1.1 400"]),
            (
                format!(
                    "GET /auth/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
                    "x".repeat(9000)
                )
                .into_bytes(),
                &["HTTP/1.1 401"],
            ),
        ];
        for (bytes, expected) in cases {
            let answer = send(&app.address, &bytes);
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            assert!(expected.iter().any(|start| answer.starts_with(start)), "{shown:?} got {answer:?}");
        }
        app.get("/health/live").await.expect(200);
    }

    /// The answer and whether the connection was closed after it.
    fn answers(address: &str, bytes: &[u8]) -> (String, bool) {
        let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let closed = stream.read_to_end(&mut answer).is_ok();
        (String::from_utf8_lossy(&answer).into_owned(), closed)
    }

    /// Whatever a proxy in front could read as another number of requests than we do.
    #[tokio::test(flavor = "multi_thread")]
    async fn requests_that_two_servers_could_read_differently_are_refused() {
        let app = TestApp::start(Kind::Sqlite).await;
        let login = "POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
        let smuggled = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
        for framing in [
            "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
            "content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
            "content-length: 2, 3\r\n\r\n{}",
            "content-length: +2\r\n\r\n{}",
            "content-length: -2\r\n\r\n{}",
            "content-length: 0x2\r\n\r\n{}",
            "content-length: 18446744073709551618\r\n\r\n{}",
            "content-length : 2\r\n\r\n{}",
            "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
            "transfer-encoding: gzip, chunked, identity\r\n\r\n0\r\n\r\n",
            "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
            "transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            "x-folded: one\r\n two\r\ncontent-length: 2\r\n\r\n{}",
            "x-bare\rcr: one\r\ncontent-length: 2\r\n\r\n{}",
            "transfer-encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n2;x\n{}\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n",
        ] {
            let (answer, closed) = answers(&app.address, format!("{login}{framing}{smuggled}").as_bytes());
            assert!(answer.starts_with("HTTP/1.1 400"), "{framing:?} got {answer:?}");
            assert!(closed && answer.matches("HTTP/1.1 ").count() == 1, "{framing:?} got {answer:?}");
        }
        app.get("/health/live").await.expect(200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_body_that_does_not_end_is_given_up() {
        let app = TestApp::start(Kind::Sqlite).await;
        let login = "POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
        let piece = "x".repeat(4096);
        let flood = format!("1000\r\n{piece}\r\n").repeat(17);
        let cases = [
            ("transfer-encoding: chunked\r\n\r\n1\r\n{\r\n".to_owned(), "HTTP/1.1 408"),
            ("transfer-encoding: chunked\r\n\r\n".to_owned(), "HTTP/1.1 408"),
            ("content-length: 100\r\n\r\n{}".to_owned(), "HTTP/1.1 408"),
            // Refused as soon as it is known to be too large, and not when it has all come.
            (format!("transfer-encoding: chunked\r\n\r\n{flood}"), "HTTP/1.1 413"),
            ("content-length: 10485760\r\n\r\n{".to_owned(), "HTTP/1.1 413"),
        ];
        let asking = cases.map(|(body, status)| {
            let (address, bytes) = (app.address.clone(), format!("{login}{body}").into_bytes());
            std::thread::spawn(move || (answers(&address, &bytes), status))
        });
        for asked in asking {
            let ((answer, _), status) = asked.join().unwrap();
            assert!(answer.starts_with(status), "{answer}");
        }
        // A lone LF ends a line of the head, as RFC 9112 section 2.2 allows.
        let head = b"GET /health/live HTTP/1.1\nhost: x\nconnection: close\n\n";
        let (answer, closed) = answers(&app.address, head);
        assert!(answer.starts_with("HTTP/1.1 200") && closed, "{answer}");
        // Two bytes too many are the next request, and no good one.
        let (answer, closed) =
            answers(&app.address, format!("{login}content-length: 2\r\n\r\n{{}}xx\r\n\r\n").as_bytes());
        let statuses: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect();
        assert_eq!((statuses, closed), (vec!["400", "400"], true), "{answer}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_head_that_is_too_large_is_not_read_to_its_end() {
        let app = TestApp::start(Kind::Sqlite).await;
        let many = "x-many: y\r\n".repeat(200);
        let heads = [
            format!("GET / HTTP/1.1\r\nhost: x\r\nx-padding: {}\r\n\r\n", "x".repeat(20_000)),
            format!("GET / HTTP/1.1\r\nhost: x\r\nx-padding: {}", "x".repeat(200_000)),
            format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n"),
        ];
        for head in heads {
            let answer = send(&app.address, head.as_bytes());
            assert!(answer.starts_with("HTTP/1.1 431"), "{} bytes got {answer:?}", head.len());
        }
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_told_so_under_its_own_id() {
    use crate::support::Kind;
    let settings = [
        ("CHANCERY_SERVER__REQUEST_TIMEOUT", "100ms"),
        ("CHANCERY_PASSWORDS__MEMORY_KIB", "262144"),
        ("CHANCERY_PASSWORDS__ITERATIONS", "8"),
    ];
    let app = TestApp::start_with(Kind::Sqlite, &settings).await;
    let late = app.try_login("ada@x.test", PASSWORD).await.expect_problem(503, "timed_out");
    assert_eq!(late.header("retry-after"), "2");
    assert_eq!(late.header("x-content-type-options"), "nosniff");
}
