use actix_web::body::to_bytes;
use actix_web::test::TestRequest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::policy::Policy;
use super::*;
use crate::settings::Settings;

const FLOW: &str = "f.10w~x";
const ORIGIN: &str = "https://app.example.com";

fn settings(environment: &[(&str, &str)]) -> Settings {
    Settings::load(None, environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
        .unwrap()
}

/// Every page, with `text` wherever somebody else's words go, and its name.
fn pages(text: &str) -> Vec<(&'static str, HtmlPage)> {
    let scopes = ["openid", "profile", "email", "offline_access", text].map(str::to_owned);
    let (pending, client, email, user, name, return_origin) = (text, text, text, text, text, ORIGIN);
    let sign_in = |message, email| {
        SignIn { pending, client, email, message, may_sign_up: true, return_origin }.page(StatusCode::OK)
    };
    let sign_up = |message| {
        SignUp { pending, client, email, name, message, retry_after: None, min_length: 8, return_origin }
            .page(StatusCode::OK)
    };
    let fields = [("code", text), (text, text)];
    vec![
        ("sign_in", sign_in(None, email)),
        ("sign_in_empty", sign_in(None, "")),
        ("sign_in_wrong", sign_in(Some(Message::WrongCredentials), email)),
        ("sign_in_busy", sign_in(Some(Message::Busy), email)),
        ("sign_up", sign_up(None)),
        ("sign_up_refused", sign_up(Some(text.to_owned()))),
        ("consent", Consent { pending, client, user, scopes: &scopes, return_origin }.page()),
        ("consent_bare", Consent { pending, client, user, scopes: &[], return_origin: "" }.page()),
        ("device", Device { pending, code: text, message: None }.page()),
        ("device_confirm", DeviceConfirm { pending, client, user, code: text, scopes: &scopes }.page()),
        ("device_allowed", DeviceDone { allowed: true }.page()),
        ("device_denied", DeviceDone { allowed: false }.page()),
        ("sign_out", SignOut { pending, user, client: Some(client), return_origin }.page()),
        ("sign_out_here", SignOut { pending, user, client: None, return_origin: "" }.page()),
        ("signed_out", SignedOut {}.page()),
        ("fault", fault(text).page()),
        ("form_post", FormPost { action: "https://app.example.com/cb", fields: &fields }.page()),
    ]
}

fn fault(text: &str) -> Fault<'_> {
    Fault { status: StatusCode::BAD_REQUEST, title: text, explanation: text, request_id: Uuid::nil() }
}

fn policy_of(response: &HttpResponse) -> String {
    response.headers().get(header::CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap().to_owned()
}

async fn html_of(response: HttpResponse) -> String {
    String::from_utf8(to_bytes(response.into_body()).await.unwrap().to_vec()).unwrap()
}

async fn html(page: HtmlPage) -> String {
    html_of(page.respond(&settings(&[]))).await
}

/// What stands between `start` and `end`, wherever they come.
fn between<'h>(html: &'h str, start: &str, end: &str) -> Vec<&'h str> {
    html.split(start).skip(1).map(|rest| rest.split(end).next().unwrap()).collect()
}

#[actix_web::test]
async fn nobodys_words_become_anything_but_text() {
    let hostile = "\"><script>alert(1)</script>'{{7*7}}{% raw %}\r\nSet-Cookie: x=y\u{0}&amp;--><!--";
    for (name, page) in pages(hostile) {
        let response = page.respond(&settings(&[("CHANCERY_PAGES__NAME", "<b>&\"Müller\"{{7*7}}")]));
        let policy = policy_of(&response);
        let html = html_of(response).await;
        let scripts = usize::from(name == "form_post");
        assert_eq!(html.matches("<script").count(), scripts, "{name}: {html}");
        for never in ["\"><sc", "49", "<b>", "<!--", "alert(1)</", "'{{"] {
            assert!(!html.contains(never), "{name}: {never}");
        }
        assert!(!policy.contains("alert"), "{name}: {policy}");
        assert!(html.contains("&lt;b&gt;&amp;&quot;Müller&quot;{{7*7}}"), "{name}");
        let is_told_nothing = ["signed_out", "device_allowed", "device_denied"].contains(&name);
        assert!(is_told_nothing || html.contains("&lt;script&gt;alert(1)"), "{name}");
    }
}

#[actix_web::test]
async fn nothing_is_loaded_from_elsewhere() {
    let settings = settings(&[("CHANCERY_SERVER__ISSUER", "https://id.example.com/auth")]);
    for (name, page) in pages("x") {
        let html = html_of(page.respond(&settings)).await;
        let loaded = [between(&html, "src=\"", "\""), between(&html, "href=\"", "\"")].concat();
        assert_eq!(loaded.len(), 2, "{name}: {loaded:?}");
        for address in loaded {
            let is_ours = address.starts_with("&#x2f;auth/pages/style.css?v=")
                || address.starts_with("data:image/svg+xml,");
            assert!(is_ours, "{name}: {address}");
        }
        for never in ["<link rel=\"preload", "url(", "@import", " onload=", "style=", "<iframe", "<style"] {
            assert!(!html.contains(never), "{name}: {never}");
        }
    }
    for never in ["url(", "@import", "//", "expression"] {
        assert!(!STYLE.contains(never), "{never}");
    }
    assert!(STYLE.len() < 8 * 1024);
}

#[actix_web::test]
async fn a_browser_may_do_with_a_page_what_the_page_needs() {
    let all = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'";
    let end = "; frame-ancestors 'none'; base-uri 'none'";
    let plain = settings(&[]);
    for (name, page) in pages("x") {
        let has_target = !["consent_bare", "sign_out_here", "signed_out", "fault"].contains(&name)
            && !name.starts_with("device");
        let response = page.respond(&plain);
        assert_eq!(response.headers().get("cache-control").unwrap(), "no-store", "{name}");
        assert_eq!(response.headers().get("content-type").unwrap(), "text/html; charset=utf-8", "{name}");
        if name != "form_post" {
            let target = if has_target { " https://app.example.com https:" } else { "" };
            assert_eq!(policy_of(&response), format!("{all}{target}{end}"), "{name}");
        }
    }
    let with_logo = settings(&[("CHANCERY_PAGES__LOGO", "https://cdn.example.com:8443/logo.svg?v=2")]);
    let response = SignedOut {}.page().respond(&with_logo);
    let images = "img-src 'self' data: https://cdn.example.com:8443; form-action";
    assert!(policy_of(&response).contains(images), "{}", policy_of(&response));
    let html = html_of(response).await;
    assert!(html.contains(
        "<img class=\"logo\" src=\"https:&#x2f;&#x2f;cdn.example.com:8443&#x2f;logo.svg?v=2\" alt=\"\">"
    ));
    let inline = settings(&[("CHANCERY_PAGES__LOGO", "data:image/png;base64,iVBORw0KGgo=")]);
    assert_eq!(policy_of(&SignedOut {}.page().respond(&inline)), format!("{all}{end}"));
}

#[test]
fn an_origin_cannot_write_into_the_policy() {
    let policy =
        |origin: &str| Policy { form_to: &[origin.to_owned()], script: None, logo: None }.to_string();
    let none = policy("");
    for hostile in
        ["https://a;script-src *", "https://a.test;x", "https://a.test,x", "*", "'unsafe-inline'", "a\nb"]
    {
        assert_eq!(policy(hostile), none, "{hostile}");
    }
    for (origin, named) in [
        ("https://a.test:8443", "https://a.test:8443"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9 http://localhost:* http://127.0.0.1:*"),
        ("http://[::1]:9", "http: http://localhost:* http://127.0.0.1:*"),
        ("com.example.app:", "com.example.app:"),
    ] {
        assert!(policy(origin).contains(&format!("form-action 'self' {named}; frame")), "{origin}");
    }
}

#[actix_web::test]
async fn every_form_belongs_to_its_flow_and_goes_to_where_it_should() {
    let settings = settings(&[("CHANCERY_SERVER__ISSUER", "https://id.example.com/auth")]);
    for (name, page) in pages(FLOW) {
        let html = html_of(page.respond(&settings)).await;
        let forms = between(&html, "<form", "</form>");
        for form in &forms {
            let pending = format!("<input type=\"hidden\" name=\"flow\" value=\"{FLOW}\">");
            assert!(name == "form_post" || form.contains(&pending), "{name}: {form}");
            assert!(form.contains("method=\"post\"") && form.contains("<button"), "{name}: {form}");
        }
        let mut said: Vec<String> = Vec::new();
        for form in &forms {
            let action = between(form, "action=\"", "\"")[0].replace("&#x2f;", "/");
            let buttons = between(form, "<button", ">");
            said.extend(buttons.iter().map(|button| match between(button, "name=\"", "\"")[..] {
                [name] => format!("{action} {name}={}", between(button, "value=\"", "\"")[0]),
                _ => action.clone(),
            }));
        }
        let sign_in = vec!["/auth/sign-in", "/auth/sign-in cancel=1", "/auth/sign-up show=1"];
        let expected = match name {
            "consent" | "consent_bare" => {
                vec!["/auth/sign-in switch=1", "/auth/consent decision=allow", "/auth/consent decision=deny"]
            }
            "sign_up" | "sign_up_refused" => vec!["/auth/sign-up", "/auth/sign-in show=1"],
            "sign_out" | "sign_out_here" => {
                vec!["/auth/oauth2/logout decision=sign_out", "/auth/oauth2/logout decision=stay"]
            }
            "device" => vec!["/auth/device"],
            "device_confirm" => {
                vec!["/auth/sign-in switch=1", "/auth/device decision=allow", "/auth/device decision=deny"]
            }
            "form_post" => vec!["https://app.example.com/cb"],
            "signed_out" | "fault" | "device_allowed" | "device_denied" => vec![],
            _ => sign_in,
        };
        assert_eq!(said, expected, "{name}");
    }
}

#[actix_web::test]
async fn the_one_script_is_the_one_the_policy_allows() {
    let response = FormPost { action: "http://127.0.0.1:3000/cb", fields: &[("state", "a\nb")] }
        .page()
        .respond(&settings(&[]));
    let policy = policy_of(&response);
    let html = html_of(response).await;
    let [script] = between(&html, "<script>", "</script>")[..] else { panic!("{html}") };
    let hash = BASE64_STANDARD.encode(policy::sha256(script));
    assert!(
        policy.starts_with(&format!("default-src 'none'; script-src 'sha256-{hash}'; style-src")),
        "{policy}"
    );
    let to = "form-action 'self' http://127.0.0.1:3000 https: http://localhost:* http://127.0.0.1:*; ";
    assert!(policy.contains(to), "{policy}");
    assert!(html.contains("<input type=\"hidden\" name=\"state\" value=\"a\nb\">"), "{html}");
    let nowhere = FormPost { action: "javascript:alert(1)", fields: &[] }.page().respond(&settings(&[]));
    assert!(policy_of(&nowhere).contains("form-action 'self'; "));
}

#[actix_web::test]
async fn every_page_can_be_heard_as_well_as_seen() {
    for (name, page) in pages("Ada") {
        let html = html(page).await;
        assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"), "{name}");
        let title = between(&html, "<title>", "</title>")[0];
        assert!(title.ends_with(" · Chancery") && title.len() > 12, "{name}: {title}");
        assert_eq!(html.matches("<h1>").count(), 1, "{name}");
        assert_eq!(html.matches("<main").count(), 1, "{name}");
        let ids = between(&html, " id=\"", "\"");
        for input in between(&html, "<input", ">").iter().filter(|input| !input.contains("hidden")) {
            let id = between(input, " id=\"", "\"")[0];
            assert_eq!(html.matches(&format!("<label for=\"{id}\">")).count(), 1, "{name}: {id}");
            assert!(input.contains(" autocomplete="), "{name}: {id}");
        }
        for reference in ["aria-describedby=\"", "aria-labelledby=\""] {
            for id in between(&html, reference, "\"").iter().flat_map(|ids| ids.split(' ')) {
                assert!(ids.contains(&id), "{name}: {id}");
            }
        }
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ids.len(), "{name}: {ids:?}");
        assert!(html.matches("autofocus").count() <= 1, "{name}");
        assert_eq!(title.starts_with("Error: "), html.contains("role=\"alert\""), "{name}");
    }
}

#[actix_web::test]
async fn what_is_wrong_is_said_where_it_is_wrong() {
    let page = |message, email| {
        let sign_in =
            SignIn { pending: FLOW, client: "Orders", email, message, may_sign_up: false, return_origin: "" };
        html(sign_in.page(StatusCode::UNAUTHORIZED))
    };
    let wrong = page(Some(Message::WrongCredentials), "ada@example.com").await;
    assert!(wrong.contains(" role=\"alert\">E-mail or password is wrong.</p>"));
    assert_eq!(wrong.matches("aria-describedby=\"message\" aria-invalid=\"true\"").count(), 2);
    assert!(wrong.contains("value=\"ada@example.com\"") && !wrong.contains("Create an account"));
    let many = page(Some(Message::TooManyAttempts { seconds: 61 }), "").await;
    assert!(many.contains("Try again in 61 seconds.") && !many.contains("aria-invalid"));
    let device = |message| html(Device { pending: FLOW, code: "X", message }.page());
    let wrong = device(Some(DeviceMessage::WrongCode)).await;
    assert!(wrong.contains("role=\"alert\">No device waits") && wrong.contains("aria-invalid=\"true\""));
    let many = device(Some(DeviceMessage::TooManyAttempts { seconds: 61 })).await;
    assert!(many.contains("Try again in 61 seconds.") && !many.contains("aria-invalid"));
    let first = page(None, "").await;
    assert!(
        !first.contains("alert") && !first.contains("aria-invalid") && !first.contains("aria-describedby"),
        "{first}"
    );
    for (seconds, words) in [
        (-1, "1 second"),
        (0, "1 second"),
        (90, "90 seconds"),
        (91, "2 minutes"),
        (7200, "2 hours"),
        (i64::MAX, "h"),
    ] {
        assert!(in_words(seconds).contains(words), "{seconds}: {}", in_words(seconds));
    }
}

#[actix_web::test]
async fn a_page_has_the_status_it_is_given() {
    assert_eq!(fault("x").page().respond(&settings(&[])).status(), StatusCode::BAD_REQUEST);
    for (name, page) in pages("x").into_iter().filter(|(name, _)| *name != "fault") {
        assert_eq!(page.respond(&settings(&[])).status(), StatusCode::OK, "{name}");
    }
}

#[actix_web::test]
async fn the_style_is_fetched_once() {
    let first = style(TestRequest::get().to_http_request()).await;
    let header = |name: &str| first.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/css; charset=utf-8");
    assert_eq!(header("cache-control"), "public, max-age=3600");
    let again = TestRequest::get().insert_header(("if-none-match", header("etag"))).to_http_request();
    let again = style(again).await;
    assert_eq!((again.status(), html_of(again).await), (StatusCode::NOT_MODIFIED, String::new()));
    assert_eq!(html_of(first).await, STYLE);
}
