//! HTTPS by this server itself, and the address of its own for operators.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use reqwest::{Certificate, Client, ClientBuilder};
use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::support::{Chancery, Serving, eventually};

const NAME: &str = "auth.test";

fn pair() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed([NAME.to_owned()]).unwrap()
}

fn write(folder: &Path, certificate: &str, key: &str) {
    fs::write(folder.join("cert.pem"), certificate).unwrap();
    fs::write(folder.join("key.pem"), key).unwrap();
}

fn program(folder: &Path) -> Chancery {
    Chancery::new(folder)
        .with("CHANCERY_SERVER__TLS_CERTIFICATE", "cert.pem")
        .with("CHANCERY_SERVER__TLS_KEY", "key.pem")
        .with("CHANCERY_SERVER__ISSUER", "https://auth.test")
}

fn serving() -> (TempDir, CertifiedKey<KeyPair>, Serving) {
    let (folder, pair) = (tempdir().unwrap(), pair());
    write(folder.path(), &pair.cert.pem(), &pair.signing_key.serialize_pem());
    let serving = program(folder.path()).serve();
    assert!(serving.address.starts_with("https://"));
    (folder, pair, serving)
}

fn socket(serving: &Serving) -> SocketAddr {
    serving.address.rsplit('/').next().unwrap().parse().unwrap()
}

/// A client that trusts this certificate and no other.
fn trusting(pair: &CertifiedKey<KeyPair>, serving: &Serving) -> ClientBuilder {
    let certificate = Certificate::from_der(pair.cert.der()).unwrap();
    let at = socket(serving);
    Client::builder().no_proxy().tls_certs_only([certificate]).resolve(NAME, at).pool_max_idle_per_host(0)
}

fn url(serving: &Serving, path: &str) -> String {
    format!("https://{NAME}:{}{path}", socket(serving).port())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_trusts_the_certificate_is_served() {
    let (folder, pair, serving) = serving();
    for version in [reqwest::tls::Version::TLS_1_2, reqwest::tls::Version::TLS_1_3] {
        let client =
            trusting(&pair, &serving).tls_version_min(version).tls_version_max(version).build().unwrap();
        let answer = client.get(url(&serving, "/.well-known/jwks.json")).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_11));
        assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
    }
    let client = trusting(&pair, &serving).build().unwrap();
    let credentials = json!({ "email": "ada@x.test", "password": "correct horse battery" });
    for (path, status) in [("/auth/register", 201), ("/auth/login", 200)] {
        assert_eq!(
            client.post(url(&serving, path)).json(&credentials).send().await.unwrap().status(),
            status
        );
    }
    let stranger =
        Client::builder().no_proxy().tls_certs_only([]).resolve(NAME, socket(&serving)).build().unwrap();
    assert!(stranger.get(url(&serving, "/health/live")).send().await.unwrap_err().is_connect());
    let port = socket(&serving).port().to_string();
    let healthy = program(folder.path()).with("CHANCERY_SERVER__LISTEN", &format!("127.0.0.1:{port}"));
    assert!(healthy.run(&["healthcheck"], "").status.success());
    assert_eq!(serving.terminate(), Some(0));
}

/// A TLS 1.1 hello, as an old client writes it.
#[tokio::test]
async fn tls_before_1_2_is_refused() {
    let (_folder, _, serving) = serving();
    let hello = {
        let mut body = vec![3, 2];
        body.extend([7; 32]);
        body.push(0);
        // RSA and ECDHE with CBC, all that TLS 1.1 has.
        body.extend([0, 6, 0xc0, 0x14, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
        let mut message = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
        message.extend(body);
        let mut record = vec![0x16, 3, 1, 0, u8::try_from(message.len()).unwrap()];
        record.extend(message);
        record
    };
    let mut stream = TcpStream::connect(socket(&serving)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(&hello).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    // An alert, fatal: protocol_version or handshake_failure.
    assert_eq!((answer[0], answer[5]), (0x15, 2), "{answer:?}");
    assert!(matches!(answer[6], 70 | 40), "{answer:?}");
    let mut plain = TcpStream::connect(socket(&serving)).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    plain.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "plain HTTP is not served");
}

/// A TLS 1.2 hello that offers what nobody should agree to any more, and is otherwise as a client writes it.
#[tokio::test]
async fn weak_suites_are_refused() {
    let (_folder, _, serving) = serving();
    let hello = |suites: &[[u8; 2]]| {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(0);
        body.extend([0, u8::try_from(suites.len() * 2).unwrap()]);
        body.extend(suites.concat());
        body.extend([1, 0]);
        // Groups: P-256. Point formats. Signatures: ECDSA and RSA with SHA-256. The master secret is extended.
        let extensions: &[u8] =
            &[0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 6, 0, 4, 4, 3, 4, 1, 0, 23, 0, 0];
        body.extend([0, u8::try_from(extensions.len()).unwrap()]);
        body.extend(extensions);
        let mut message = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
        message.extend(body);
        let mut record = vec![0x16, 3, 1, 0, u8::try_from(message.len()).unwrap()];
        record.extend(message);
        record
    };
    let ask = |suites: &[[u8; 2]]| {
        let mut stream = TcpStream::connect(socket(&serving)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(&hello(suites)).unwrap();
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).unwrap();
        answer
    };
    // ECDHE with AES-GCM: a server hello, so it is the suites that make the difference.
    assert_eq!(ask(&[[0xc0, 0x2b]])[0], 0x16);
    for weak in [
        [0xc0, 0x09], // ECDHE, AES-128-CBC, SHA-1
        [0xc0, 0x23], // ECDHE, AES-128-CBC, SHA-256
        [0x00, 0x9c], // RSA key exchange, AES-128-GCM
        [0x00, 0x2f], // RSA key exchange, AES-128-CBC
        [0xc0, 0x08], // 3DES
        [0xc0, 0x07], // RC4
        [0xc0, 0x06], // no encryption
        [0x00, 0x03], // export
        [0xc0, 0x18], // no certificate
    ] {
        let answer = ask(&[weak]);
        assert_eq!((answer[0], answer[5], answer[6]), (0x15, 2, 40), "{weak:x?}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_served_after_sighup_and_a_broken_one_never_is() {
    let (folder, old, serving) = serving();
    let hang_up = || {
        let pid = serving.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    };
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    let is_served = async |pair: &CertifiedKey<KeyPair>| {
        let client = trusting(pair, &serving).build().unwrap();
        client.get(url(&serving, "/health/live")).send().await.is_ok()
    };
    assert!(is_served(&old).await);
    let held = trusting(&old, &serving).pool_max_idle_per_host(1).build().unwrap();
    held.get(url(&serving, "/health/live")).send().await.unwrap();

    let new = pair();
    for (certificate, key) in [
        (new.cert.pem(), old.signing_key.serialize_pem()),
        (new.cert.pem(), String::new()),
        ("garbage".to_owned(), new.signing_key.serialize_pem()),
    ] {
        write(folder.path(), &certificate, &key);
        let before = log().matches("tls_certificate_kept").count();
        hang_up();
        eventually("the broken pair is noticed", async || {
            log().matches("tls_certificate_kept").count() > before
        })
        .await;
        assert!(is_served(&old).await, "the old pair is served on");
    }
    write(folder.path(), &new.cert.pem(), &new.signing_key.serialize_pem());
    hang_up();
    eventually("the new pair is served", async || is_served(&new).await).await;
    assert!(!is_served(&old).await);
    assert!(log().contains("tls_certificate_loaded"));
    held.get(url(&serving, "/health/live")).send().await.expect("an open connection lives on");
}

#[test]
fn files_that_do_not_fit_stop_the_start_and_are_named() {
    let (one, two) = (pair(), pair());
    let bad: [(&str, String, String, &str); 4] = [
        ("mismatch", one.cert.pem(), two.signing_key.serialize_pem(), "is not the key of the certificate"),
        ("no certificate", String::new(), one.signing_key.serialize_pem(), "holds no certificate"),
        ("no key", one.cert.pem(), one.cert.pem(), "server.tls_key"),
        (
            "broken",
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".to_owned(),
            one.signing_key.serialize_pem(),
            "server.tls_certificate",
        ),
    ];
    for (what, certificate, key, told) in bad {
        let folder = tempdir().unwrap();
        write(folder.path(), &certificate, &key);
        for command in [["serve"].as_slice(), &["config", "check"]] {
            let ended = program(folder.path()).run(command, "");
            let said = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(2), "{what}: {said}");
            assert!(said.contains(told), "{what}: {said}");
            assert!(!said.contains("PRIVATE KEY"), "{said}");
        }
        assert!(!folder.path().join("data").exists(), "nothing was written");
    }
    let folder = tempdir().unwrap();
    let half =
        Chancery::new(folder.path()).with("CHANCERY_SERVER__TLS_CERTIFICATE", "cert.pem").run(&["serve"], "");
    assert_eq!(half.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&half.stderr).contains("server.tls_key"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_may_have_an_address_of_their_own() {
    let folder = tempdir().unwrap();
    let serving = Chancery::new(folder.path()).with("CHANCERY_SERVER__ADMIN_LISTEN", "127.0.0.1:0").serve();
    let operators = serving.said.lines().find(|line| line.trim_start().starts_with("operators")).unwrap();
    let operators = operators.split_whitespace().last().unwrap().to_owned();
    let status = async |base: &str, path: &str| {
        Client::new().get(format!("{base}{path}")).send().await.unwrap().status().as_u16()
    };
    // Whether it is there for somebody without a token: 401 or 405 is, 404 is not.
    let open = [
        ("/.well-known/jwks.json", 200, 404),
        ("/auth/me", 401, 404),
        ("/auth/login", 405, 404),
        ("/admin/keys", 404, 401),
        ("/admin/users", 404, 401),
        ("/metrics", 404, 200),
        ("/health/live", 200, 200),
        ("/health/ready", 200, 200),
        ("/openapi.json", 200, 200),
        ("/docs/", 200, 200),
    ];
    for (path, public, own) in open {
        assert_eq!(
            (status(&serving.address, path).await, status(&operators, path).await),
            (public, own),
            "{path}"
        );
    }
    assert_eq!(serving.terminate(), Some(0));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let folder = tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, key) in [
        ("CHANCERY_SERVER__LISTEN", "server.listen"),
        ("CHANCERY_SERVER__ADMIN_LISTEN", "server.admin_listen"),
    ] {
        let ended = Chancery::new(folder.path()).with(variable, &address).run(&["serve"], "");
        assert_eq!(ended.status.code(), Some(1));
        assert!(
            String::from_utf8_lossy(&ended.stderr).contains(&format!("{key}: cannot listen on {address}"))
        );
    }
    assert!(!folder.path().join("data").exists(), "nothing was written");
    let same = Chancery::new(folder.path())
        .with("CHANCERY_SERVER__LISTEN", "127.0.0.1:9")
        .with("CHANCERY_SERVER__ADMIN_LISTEN", "127.0.0.1:9")
        .run(&["config", "check"], "");
    assert_eq!(same.status.code(), Some(2));
    let wrong = Chancery::new(folder.path())
        .with("CHANCERY_SERVER__FORWARDED_HEADER", "x-real-ip")
        .run(&["config", "check"], "");
    assert_eq!(wrong.status.code(), Some(2));
}
