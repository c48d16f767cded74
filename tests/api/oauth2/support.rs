//! A client and a browser, as these tests need them: forms are found in pages and filled in, cookies are kept, nothing is followed
//! unasked.

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chancery::domain::clients::{Client, ClientAuthMethod, GrantType, RedirectUri};
use chancery::domain::{ClientId, DisplayName, Scopes};
use chancery::store::clients;
use chancery::tokens::ClientSecret;
use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, PASSWORD, TestApp};

pub const CALLBACK: &str = "https://app.test/cb";
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A registered client, with its secret.
pub struct Registered {
    pub id: String,
    pub secret: Option<String>,
}

/// A public web application that needs no consent.
pub fn client(app: &TestApp, id: &str) -> Client {
    let (id, name) = (ClientId::parse(id).unwrap(), DisplayName::parse("Orders & Sons").unwrap());
    Client {
        redirect_uris: vec![RedirectUri::parse(CALLBACK).unwrap()],
        post_logout_redirect_uris: vec![RedirectUri::parse("https://app.test/bye").unwrap()],
        scopes: Scopes::parse("openid profile email offline_access keys:read").unwrap(),
        require_consent: false,
        ..Client::new(id, name, ClientAuthMethod::None, app.clock.now())
    }
}

pub async fn register(app: &TestApp, client: &Client) -> Registered {
    client.check(app.app.settings.tokens.access_token_ttl).unwrap();
    let mut tx = app.app.db.begin().await.unwrap();
    assert!(clients::insert(&mut tx, client).await.unwrap());
    let secret = client.has_secret().then(|| ClientSecret::random().unwrap());
    if let Some(secret) = &secret {
        clients::add_secret(&mut tx, &client.id, &secret.digest(), app.clock.now()).await.unwrap();
    }
    tx.commit().await.unwrap();
    Registered { id: client.id.to_string(), secret: secret.map(|secret| secret.expose().to_owned()) }
}

pub async fn public_client(app: &TestApp) -> Registered {
    register(app, &client(app, "spa")).await
}

/// A service with a secret, which may also act for itself.
pub async fn service(app: &TestApp, id: &str, scopes: &str, audiences: &[&str]) -> Registered {
    let wanted = Client {
        auth_method: ClientAuthMethod::SecretBasic,
        grant_types: GrantType::ALL.iter().copied().collect(),
        scopes: Scopes::parse(scopes).unwrap(),
        audiences: audiences.iter().map(|audience| (*audience).to_owned()).collect(),
        exchange_audiences: vec!["stock".to_owned()],
        ..client(app, id)
    };
    register(app, &wanted).await
}

impl Registered {
    /// A form to an endpoint that clients use, with this client's credentials.
    pub async fn post(&self, app: &TestApp, path: &str, form: &[(&str, &str)]) -> Answer {
        self.post_with(app, path, &[], form).await
    }

    /// The same with headers of its own.
    pub async fn post_with(
        &self,
        app: &TestApp,
        path: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> Answer {
        match &self.secret {
            Some(secret) => {
                let basic = format!("Basic {}", STANDARD.encode(format!("{}:{secret}", self.id)));
                post_form(app, path, &[headers, &[("authorization", &basic)]].concat(), form).await
            }
            None => {
                let with_id = [form, &[("client_id", self.id.as_str())]].concat();
                post_form(app, path, headers, &with_id).await
            }
        }
    }

    pub async fn token(&self, app: &TestApp, form: &[(&str, &str)]) -> Answer {
        self.post(app, "/oauth2/token", form).await
    }

    pub async fn exchange(&self, app: &TestApp, code: &str) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.token(app, &form).await
    }

    pub async fn refresh(&self, app: &TestApp, token: &str) -> Answer {
        self.token(app, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// The address a client sends its users to.
    pub fn authorize(&self, own: &[(&str, &str)]) -> String {
        let mut parameters: BTreeMap<&str, &str> = BTreeMap::from([
            ("client_id", self.id.as_str()),
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("scope", "openid profile email"),
            ("state", "st/at e&\u{e9}"),
            ("nonce", "n-0S6_WzA2Mj"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        parameters.extend(own.iter().copied());
        parameters.retain(|_, value| *value != "-");
        format!("/oauth2/authorize?{}", encode(&parameters.into_iter().collect::<Vec<_>>()))
    }
}

pub fn encode(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

pub async fn post_form(app: &TestApp, path: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Answer {
    let headers = [headers, &[("content-type", "application/x-www-form-urlencoded")]].concat();
    app.send(Method::POST, path, &headers, Some(encode(form))).await
}

impl Answer {
    #[track_caller]
    pub fn expect_oauth(self, status: u16, error: &str) -> Self {
        assert_eq!(
            (self.status.as_u16(), &self.json()["error"]),
            (status, &Value::from(error)),
            "{}",
            self.text
        );
        assert!(self.header("content-type").starts_with("application/json"));
        assert_eq!(self.header("cache-control"), "no-store");
        self
    }

    /// The parameters of the address the browser is sent to.
    #[track_caller]
    pub fn sent_to(&self, address: &str) -> BTreeMap<String, String> {
        assert_eq!(self.status.as_u16(), 303, "{}", self.text);
        let location = self.header("location");
        let (base, query) = location.split_once('?').unwrap_or((location, ""));
        assert_eq!(base, address, "{location}");
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// The code with which the browser is sent back.
    #[track_caller]
    pub fn returned_code(&self) -> String {
        let parameters = self.sent_to(CALLBACK);
        parameters.get("code").unwrap_or_else(|| panic!("{parameters:?}")).clone()
    }

    /// A page that people see.
    #[track_caller]
    pub fn page(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert!(self.header("content-type").starts_with("text/html"), "{}", self.text);
        let policy = self.header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(self.header("x-frame-options"), "DENY");
        assert_eq!(self.header("referrer-policy"), "no-referrer");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("location"), "");
        self
    }

    /// The sealed request in a page's form.
    #[track_caller]
    pub fn flow(&self) -> String {
        let found = self.text.split("name=\"flow\"").nth(1).and_then(|rest| rest.split('"').nth(1));
        found.unwrap_or_else(|| panic!("no flow in {}", self.text)).to_owned()
    }
}

/// A browser: it keeps cookies and follows nothing.
pub struct Browser<'a> {
    pub app: &'a TestApp,
    cookies: RefCell<BTreeMap<String, String>>,
}

impl<'a> Browser<'a> {
    pub fn new(app: &'a TestApp) -> Self {
        Self { app, cookies: RefCell::default() }
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.borrow().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, Some(encode(form))).await
    }

    async fn send(&self, method: Method, path: &str, form: Option<String>) -> Answer {
        let cookies: Vec<String> =
            self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = Vec::new();
        if !cookies.is_empty() {
            headers.push(("cookie", cookies.as_str()));
        }
        if form.is_some() {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let answer = self.app.send(method, path, &headers, form).await;
        for set in answer.headers.get_all("set-cookie") {
            let set = set.to_str().unwrap();
            let (name, rest) = set.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            for part in ["HttpOnly", "Secure", "Path=/"] {
                assert!(set.contains(part), "{set}");
            }
            assert!(name.starts_with("__Host-") && !set.contains("Domain"), "{set}");
            let mut kept = self.cookies.borrow_mut();
            if value.is_empty() {
                kept.remove(name)
            } else {
                kept.insert(name.to_owned(), value.to_owned())
            };
        }
        answer
    }

    /// Types credentials into the page.
    pub async fn sign_in(&self, page: &Answer, email: &str, password: &str) -> Answer {
        self.post("/sign-in", &[("flow", &page.flow()), ("email", email), ("password", password)]).await
    }

    /// Goes to the client's address, signs in, and comes back with a code.
    pub async fn code(&self, client: &Registered, email: &str, own: &[(&str, &str)]) -> String {
        let page = self.get(&client.authorize(own)).await.page(200);
        let back = self.sign_in(&page, email, PASSWORD).await;
        back.returned_code()
    }
}

pub fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
