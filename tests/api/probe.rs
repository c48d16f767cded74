//! `chancery probe` against services that verify well and services that do not.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use actix_web::http::header;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{Chancery, Database, Kind, MASTER_KEY, kids, part};

const ISSUER: &str = "https://auth.test";

/// How a service verifies; all but the first are mistakes somebody made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    Correct,
    AcceptsAlgNone,
    IgnoresExp,
    IgnoresAud,
    IgnoresTyp,
    NeverRefetches,
    BreaksOnBadTokens,
    AsksNobody,
}

/// A service on a port of its own, which fetches the key set from `issuer_address` and keeps it for a second.
struct Service {
    habit: Habit,
    jwks_uri: String,
    http: reqwest::Client,
    keys: Mutex<Option<(Instant, HashMap<String, DecodingKey>)>>,
}

impl Service {
    /// Serves until the tests end. Gives an address that needs a token.
    fn start(habit: Habit, issuer_address: &str) -> String {
        let service = web::Data::new(Self {
            habit,
            jwks_uri: format!("{issuer_address}/.well-known/jwks.json"),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            keys: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/orders", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let app = move || App::new().app_data(service.clone()).route("/orders", web::get().to(orders));
            let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap();
            actix_web::rt::System::new().block_on(server.run()).unwrap();
        });
        address
    }

    async fn trusts(&self, token: &str) -> bool {
        let head = part(token, 0);
        if head["alg"] == "none" {
            return self.habit == Habit::AcceptsAlgNone;
        }
        if (head["typ"] != "at+jwt" && self.habit != Habit::IgnoresTyp) || head.get("crit").is_some() {
            return false;
        }
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&["chancery"]);
        validation.validate_nbf = true;
        validation.validate_exp = self.habit != Habit::IgnoresExp;
        validation.validate_aud = self.habit != Habit::IgnoresAud;
        validation.leeway = 5;
        match self.key(head["kid"].as_str().unwrap()).await {
            Some(key) => decode::<Value>(token, &key, &validation).is_ok(),
            None => false,
        }
    }

    async fn key(&self, kid: &str) -> Option<DecodingKey> {
        let known = match &*self.keys.lock().unwrap() {
            Some((_, keys)) if self.habit == Habit::NeverRefetches => return keys.get(kid).cloned(),
            Some((at, keys)) if at.elapsed() < Duration::from_secs(1) => keys.get(kid).cloned(),
            _ => None,
        };
        if known.is_some() {
            return known;
        }
        let answer = self.http.get(&self.jwks_uri).send().await.ok()?;
        let set: JwkSet = answer.json().await.ok()?;
        let by_kid = |jwk: &jsonwebtoken::jwk::Jwk| {
            Some((jwk.common.key_id.clone()?, DecodingKey::from_jwk(jwk).ok()?))
        };
        let keys: HashMap<_, _> = set.keys.iter().filter_map(by_kid).collect();
        let key = keys.get(kid).cloned();
        *self.keys.lock().unwrap() = Some((Instant::now(), keys));
        key
    }
}

async fn orders(request: HttpRequest, service: web::Data<Service>) -> HttpResponse {
    let token = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap());
    let Some(token) = token.and_then(|value| value.strip_prefix("Bearer ")) else {
        let open = service.habit == Habit::AsksNobody;
        return if open { HttpResponse::Ok().finish() } else { HttpResponse::Unauthorized().finish() };
    };
    match service.trusts(token).await {
        true => HttpResponse::Ok().finish(),
        false if service.habit == Habit::BreaksOnBadTokens => HttpResponse::InternalServerError().finish(),
        false => HttpResponse::Unauthorized().body("no\u{1b}[31m"),
    }
}

/// An issuer whose every bound is a matter of seconds.
fn issuer(folder: &Path, database: &Database) -> Chancery {
    Chancery::new(folder)
        .with("DATABASE_URL", &database.url())
        .with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY)
        .with("CHANCERY_SERVER__ISSUER", ISSUER)
        .with("CHANCERY_KEYS__REFRESH_INTERVAL", "200ms")
        .with("CHANCERY_KEYS__JWKS_MAX_AGE", "1s")
        .with("CHANCERY_KEYS__VERIFIER_CACHE_TTL", "10s")
}

/// Exit code, report, and what was said on standard error.
fn probe(chancery: &Chancery, url: &str, more: &[&str]) -> (i32, Value, String) {
    let output = chancery.run(&[&["probe", url, "--every", "100ms", "-o", "json"], more].concat(), "");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap(), report, String::from_utf8(output.stderr).unwrap())
}

fn sent(report: &Value, verdict: &str) -> Vec<String> {
    let cases = report["cases"].as_array().unwrap().iter().filter(|case| case["verdict"] == verdict);
    cases.map(|case| case["sent"].as_str().unwrap().to_owned()).collect()
}

async fn published(address: &str) -> usize {
    let answer = reqwest::get(format!("{address}/.well-known/jwks.json")).await.unwrap();
    kids(&answer.json().await.unwrap()).len()
}

#[tokio::test]
async fn a_correct_service_gets_everything_right() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let (folder, database) = (tempdir().unwrap(), Database::create(kind).await);
        let chancery = issuer(folder.path(), &database);
        let migrated = chancery.run(&["migrate"], "");
        assert!(migrated.status.success());
        let serving = chancery.serve();
        let url = Service::start(Habit::Correct, &serving.address);

        let (code, report, said) = probe(&chancery, &url, &[]);
        assert_eq!((code, said.as_str()), (0, ""), "{report}");
        assert_eq!(report["ok"], true);
        assert_eq!(sent(&report, "right").len(), report["cases"].as_array().unwrap().len());
        assert_eq!(sent(&report, "right").len(), 2 + 13 + 3);
        assert!(report["took_new_key_s"].as_f64().unwrap() < 8.0, "{report}");
        assert!(report["held_removed_key_s"].as_f64().unwrap() < 8.0, "{report}");
        // Nothing of it is left but what the audit table tells.
        assert_eq!(published(&serving.address).await, 2);
        assert_eq!(database.count("SELECT count(*) FROM signing_keys WHERE revoked_at IS NOT NULL").await, 0);
        let told = "SELECT count(*) FROM audit WHERE event = 'probe_key' AND actor = 'operator:cli'";
        assert_eq!(database.count(told).await, 2);

        let table = chancery.run(&["probe", &url, "--every", "100ms", "--busy"], "");
        let table = String::from_utf8(table.stdout).unwrap();
        for line in ["It took a new key after", "It held a removed key for", "gets everything right"] {
            assert!(table.contains(line), "{table}");
        }
        assert_eq!(serving.terminate(), Some(0));
    }
}

#[tokio::test]
async fn what_a_service_gets_wrong_is_named() {
    let (folder, database) = (tempdir().unwrap(), Database::create(Kind::Sqlite).await);
    let chancery = issuer(folder.path(), &database);
    let serving = chancery.serve();
    let wrong = |habit: Habit, more: &[&str]| {
        let (code, report, said) = probe(&chancery, &Service::start(habit, &serving.address), more);
        assert_eq!((code, &report["ok"]), (1, &Value::Bool(false)), "{report}");
        assert!(said.contains(report["summary"].as_str().unwrap()), "{said}");
        (sent(&report, "wrong"), report)
    };
    let (named, _) = wrong(Habit::AcceptsAlgNone, &["--quick"]);
    assert_eq!(named, ["alg none, no signature"]);
    let (named, _) = wrong(Habit::IgnoresExp, &["--quick"]);
    assert_eq!(named, ["expired 10 minutes ago"]);
    let (named, _) = wrong(Habit::IgnoresAud, &["--quick"]);
    assert_eq!(named, ["another audience"]);

    let (named, report) = wrong(Habit::NeverRefetches, &["--wait", "2s"]);
    assert_eq!(named, ["key published just now"]);
    assert_eq!(report["took_new_key_s"], Value::Null);

    let (named, report) = wrong(Habit::BreaksOnBadTokens, &["--quick"]);
    assert_eq!(named.len(), 13, "{report}");
    assert!(report["cases"][2]["note"].as_str().unwrap().starts_with("It answered 500"), "{report}");

    let (named, report) = wrong(Habit::AsksNobody, &[]);
    assert_eq!(named, ["no token"]);
    assert!(report["summary"].as_str().unwrap().contains("not protected"), "{report}");

    let (named, report) = wrong(Habit::Correct, &["--audience", "somebody-else"]);
    assert_eq!(named, ["current key"]);
    let summary = report["summary"].as_str().unwrap();
    assert!(summary.contains("401 no") && summary.contains("--audience"), "{summary}");
    assert!(!summary.contains('\u{1b}'), "nothing a terminal would obey: {summary}");

    let lax = Service::start(Habit::IgnoresTyp, &serving.address);
    let (code, report, _) = probe(&chancery, &lax, &["--quick"]);
    assert_eq!((code, sent(&report, "warning")), (0, vec!["typ JWT, not at+jwt".to_owned()]), "{report}");

    for usage in [&["ftp://x.test/"][..], &["http://x.test/", "--header", "Authorization: x"], &["orders"]] {
        assert_eq!(chancery.run(&[&["probe"], usage].concat(), "").status.code(), Some(2), "{usage:?}");
    }
}

#[tokio::test]
async fn a_probe_that_is_stopped_takes_its_key_back() {
    let (folder, database) = (tempdir().unwrap(), Database::create(Kind::Sqlite).await);
    let chancery = issuer(folder.path(), &database);
    let serving = chancery.serve();
    let url = Service::start(Habit::NeverRefetches, &serving.address);
    let mut child = chancery.command(&["probe", &url]).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while published(&serving.address).await == 2 {
        assert!(begun.elapsed() < Duration::from_secs(15), "no key was published");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let left = "SELECT count(*) FROM audit WHERE event = 'probe_key' AND detail LIKE '%taken back%'";
    assert_eq!(database.count(left).await, 1);
    let begun = Instant::now();
    while published(&serving.address).await != 2 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the key is published still");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
