//! The client that the suite plays: it keeps a secret and knows nothing of PKCE. After every step it checks what the suite checks
//! after every step.

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chancery::domain::Scopes;
use chancery::domain::clients::{Client, ClientAuthMethod, GrantType, RedirectUri};
use chrono::TimeDelta;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};

use crate::oauth2::support::{Browser, Registered, client, post_form, register};
use crate::support::{Answer, Kind, PASSWORD, TestApp, part};

pub const ISSUER: &str = "https://auth.test";
pub const BACK: &str = "https://suite.test/test/a/chancery/callback";
pub const BYE: &str = "https://suite.test/test/a/chancery/post_logout_redirect";
pub const NONCE: &str = "Kq3vB81xTz";

/// The settings that `docs/conformance.md` tells operators to make.
const SETTINGS: [(&str, &str); 3] = [
    ("CHANCERY_OAUTH__NONCE_OPTIONAL", "true"),
    ("CHANCERY_OAUTH__REGISTRATION", "open"),
    ("CHANCERY_OAUTH__BACKCHANNEL_PRIVATE_NETWORKS", "true"),
];

pub async fn server(kind: Kind) -> TestApp {
    TestApp::start_with(kind, &SETTINGS).await
}

/// Runs a module on both databases, for each response mode that some plan has it with.
macro_rules! modules {
    (form_post in $modes:expr; $($(#[$meta:meta])* async fn $name:ident($suite:ident: $type:ty) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(#[$meta])*
            async fn module($suite: $type) $body

            async fn each_plan(kind: $crate::support::Kind) {
                let app = $crate::conformance::suite::server(kind).await;
                for form_post in $modes {
                    module(Suite::new(&app, form_post).await).await;
                }
            }

            #[tokio::test]
            async fn sqlite() {
                each_plan($crate::support::Kind::Sqlite).await;
            }

            #[tokio::test]
            async fn postgres() {
                each_plan($crate::support::Kind::Postgres).await;
            }
        }
    )+};
}
pub(super) use modules;

/// A run of one module: a user, a browser without cookies, and a client.
pub struct Suite<'a> {
    pub app: &'a TestApp,
    pub browser: Browser<'a>,
    pub client: Registered,
    pub email: String,
    form_post: bool,
    /// What the next request says as `state`, and must come back.
    state: RefCell<String>,
}

/// Whether the user may be shown a page to sign in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Page {
    Must,
    MustNot,
    May,
}

/// What the token endpoint gave, with the ID token read.
pub struct Tokens {
    pub answer: Answer,
    pub id: Value,
}

impl Tokens {
    pub fn id_token(&self) -> String {
        self.answer.json()["id_token"].as_str().expect("an ID token").to_owned()
    }
}

/// A client as an operator registers it for the suite.
pub fn suite_client(app: &TestApp, id: &str) -> Client {
    Client {
        auth_method: ClientAuthMethod::SecretBasic,
        grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
        redirect_uris: vec![RedirectUri::parse(BACK).unwrap()],
        post_logout_redirect_uris: vec![RedirectUri::parse(BYE).unwrap()],
        scopes: Scopes::of_users(),
        require_pkce: false,
        ..client(app, id)
    }
}

impl<'a> Suite<'a> {
    pub async fn new(app: &'a TestApp, form_post: bool) -> Self {
        let name = if form_post { "form-post" } else { "basic" };
        let client = register(app, &suite_client(app, name)).await;
        Self::with(app, client, name, form_post).await
    }

    /// With a client of its own.
    pub async fn with(app: &'a TestApp, client: Registered, user: &str, form_post: bool) -> Self {
        let email = format!("{user}@x.test");
        let account = json!({ "email": email, "password": PASSWORD, "name": "Demo T. User" });
        app.post("/auth/register", account).await.expect(201);
        let (browser, state) = (Browser::new(app), RefCell::new("aZ3kQ9bT1x".to_owned()));
        Self { app, browser, client, email, form_post, state }
    }

    /// The same run with another client.
    pub fn played_by(self, client: Registered) -> Self {
        Self { client, ..self }
    }

    /// From now on with a `state` as long as some clients have it.
    pub fn long_state(&self) {
        *self.state.borrow_mut() = format!("{}-._~", "qW8eR7tY6u".repeat(13)[..124].to_owned());
    }

    pub fn response_mode(&self) -> Option<&'static str> {
        self.form_post.then_some("form_post")
    }

    /// The address the suite sends the browser to. `-` leaves a parameter out.
    pub fn request(&self, own: &[(&str, &str)]) -> String {
        let state = self.state.borrow();
        let mut asked =
            vec![("redirect_uri", BACK), ("scope", "openid"), ("nonce", NONCE), ("state", &state)];
        asked.extend([("code_challenge", "-"), ("code_challenge_method", "-")]);
        asked.push(("response_mode", self.response_mode().unwrap_or("-")));
        self.client.authorize(&[&asked[..], own].concat())
    }

    /// The user goes where the suite sends them, does what pages ask for, and comes back.
    pub async fn authorize(&self, own: &[(&str, &str)]) -> BTreeMap<String, String> {
        self.walk(own, Page::May).await
    }

    /// The same with a page to sign in, which the suite wants a picture of.
    pub async fn signing_in(&self, own: &[(&str, &str)]) -> BTreeMap<String, String> {
        self.walk(own, Page::Must).await
    }

    /// The same without any page.
    pub async fn silently(&self, own: &[(&str, &str)]) -> BTreeMap<String, String> {
        self.walk(own, Page::MustNot).await
    }

    async fn walk(&self, own: &[(&str, &str)], page: Page) -> BTreeMap<String, String> {
        let answer = self.browser.get(&self.request(own)).await;
        self.finish(answer, page).await
    }

    /// Whatever stands between an answer and the client.
    pub async fn follow(&self, answer: Answer) -> BTreeMap<String, String> {
        self.finish(answer, Page::May).await
    }

    async fn finish(&self, answer: Answer, page: Page) -> BTreeMap<String, String> {
        let asks_who = answer.text.contains("name=\"password\"");
        assert!(page == Page::May || asks_who == (page == Page::Must), "{} {}", answer.status, answer.text);
        let answer = match asks_who {
            true => self.browser.sign_in(&answer, &self.email, PASSWORD).await,
            false => answer,
        };
        let answer = match answer.text.contains("name=\"decision\"") {
            true => self.browser.post("/consent", &[("flow", &answer.flow()), ("decision", "allow")]).await,
            false => answer,
        };
        self.callback(&answer)
    }

    /// What reaches the redirect URI, in the way that was asked for and in no other.
    pub fn callback(&self, answer: &Answer) -> BTreeMap<String, String> {
        match self.form_post {
            false => answer.sent_to(BACK),
            true => posted(answer),
        }
    }

    /// An answer that is no error, and its code.
    pub fn code(&self, back: &BTreeMap<String, String>) -> String {
        assert!(!back.contains_key("error"), "{back:?}");
        self.is_of_this_request(back);
        let code = back["code"].clone();
        assert!(code.len() >= 16 && entropy(&code) > 96.0, "{code}");
        code
    }

    /// An answer that is an error, and which.
    pub fn error(&self, back: &BTreeMap<String, String>) -> String {
        self.is_of_this_request(back);
        assert!(!back.contains_key("code"), "{back:?}");
        for name in back.keys() {
            assert!(
                ["error", "error_description", "error_uri", "state", "iss"].contains(&name.as_str()),
                "{name}"
            );
        }
        assert!(back.get("error_description").is_none_or(|text| is_error_text(text)), "{back:?}");
        back["error"].clone()
    }

    fn is_of_this_request(&self, back: &BTreeMap<String, String>) {
        assert_eq!((&back["state"], &back["iss"]), (&*self.state.borrow(), &ISSUER.to_owned()));
    }

    /// The form of a token request that has no PKCE.
    pub async fn token(&self, form: &[(&str, &str)]) -> Answer {
        let secret = self.client.secret.as_ref().expect("a client with a secret");
        let basic = format!("Basic {}", STANDARD.encode(format!("{}:{secret}", self.client.id)));
        post_form(self.app, "/oauth2/token", &[("authorization", &basic)], form).await
    }

    pub async fn exchange(&self, code: &str) -> Answer {
        self.token(&[("grant_type", "authorization_code"), ("code", code), ("redirect_uri", BACK)]).await
    }

    /// The code's tokens, and a request with them.
    pub async fn tokens(&self, code: &str) -> Tokens {
        let tokens = self.read(self.exchange(code).await, Some(NONCE)).await;
        assert_eq!(self.userinfo(&tokens).await["sub"], tokens.id["sub"]);
        tokens
    }

    /// A whole sign-in.
    pub async fn sign_in(&self, own: &[(&str, &str)]) -> Tokens {
        let back = self.authorize(own).await;
        self.tokens(&self.code(&back)).await
    }

    pub async fn userinfo(&self, tokens: &Tokens) -> Value {
        let info = self.app.get_as(&tokens.answer.access_token(), "/oauth2/userinfo").await.expect(200);
        assert!(info.header("content-type").starts_with("application/json"));
        info.json()
    }

    /// A good answer of the token endpoint.
    pub async fn read(&self, answer: Answer, nonce: Option<&str>) -> Tokens {
        let answer = answer.expect(200);
        assert!(answer.header("content-type").starts_with("application/json"));
        assert_eq!(answer.header("cache-control"), "no-store");
        let body = answer.json();
        assert_eq!(body["token_type"].as_str().map(str::to_ascii_lowercase).as_deref(), Some("bearer"));
        assert!(body["expires_in"].as_i64().is_some_and(|seconds| seconds > 0), "{body}");
        let access = answer.access_token();
        assert!(entropy(&access) > 96.0 && access.bytes().all(|b| (0x20..0x7f).contains(&b)));
        let id = self.id_claims(body["id_token"].as_str().expect("an ID token"), &access, nonce).await;
        Tokens { answer, id }
    }

    /// An ID token's claims, after what the suite checks of each (OpenID Connect Core sections 2 and 3.1.3.7).
    async fn id_claims(&self, id_token: &str, access_token: &str, nonce: Option<&str>) -> Value {
        let keys = self.app.get("/.well-known/jwks.json").await.expect(200).json();
        let keys: JwkSet = serde_json::from_value(keys).unwrap();
        let kid = part(id_token, 0)["kid"].as_str().expect("a kid").to_owned();
        let key = DecodingKey::from_jwk(keys.find(&kid).expect("a published key")).unwrap();
        let mut rules = Validation::new(Algorithm::RS256);
        rules.set_audience(&[&self.client.id]);
        rules.set_issuer(&[ISSUER]);
        let claims = decode::<Value>(id_token, &key, &rules).unwrap().claims;
        let now = self.app.clock.now().timestamp();
        let at = |name: &str| claims[name].as_i64().unwrap_or_else(|| panic!("{name} in {claims}"));
        assert!(at("exp") > now && (at("iat") - now).abs() <= 300 && at("auth_time") <= now + 1, "{claims}");
        assert_eq!(claims.get("nonce").and_then(Value::as_str), nonce);
        assert!(claims["sub"].as_str().is_some_and(|sub| (1..=255).contains(&sub.len()) && sub.is_ascii()));
        assert_ne!(claims["acr"], "");
        let hash = chancery::tokens::at_hash(chancery::domain::keys::SigningAlgorithm::Rs256, access_token);
        assert_eq!(claims["at_hash"], hash);
        // Nothing of the user's, which is for userinfo, and nothing that nobody knows.
        let usual =
            ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "sid"];
        for name in claims.as_object().unwrap().keys() {
            assert!(usual.contains(&name.as_str()), "{name}");
        }
        claims
    }

    /// Time goes by, for programs that would wait.
    pub fn wait(&self, seconds: i64) {
        self.app.advance(TimeDelta::seconds(seconds));
    }
}

/// The form that a page posts to the client by itself (OAuth 2.0 Form Post Response Mode).
fn posted(answer: &Answer) -> BTreeMap<String, String> {
    assert_eq!((answer.status.as_u16(), answer.header("location")), (200, ""), "{}", answer.text);
    let plain = |text: &str| {
        let text = text.replace("&#x2f;", "/").replace("&#x27;", "'").replace("&quot;", "\"");
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    };
    let form = answer.text.split("<form ").nth(1).and_then(|rest| rest.split("</form>").next()).unwrap();
    let (head, fields) = form.split_once('>').unwrap();
    assert_eq!(plain(head), format!("method=\"post\" action=\"{BACK}\""));
    assert!(answer.text.contains("<script>"), "it posts itself");
    let fields = fields.split("<input type=\"hidden\" name=\"").skip(1);
    let fields = fields.map(|field| field.split_once("\" value=\"").unwrap());
    fields.map(|(name, rest)| (plain(name), plain(rest.split('"').next().unwrap()))).collect()
}

/// Shannon's entropy in bits, as if letters followed each other by chance.
pub fn entropy(text: &str) -> f64 {
    let count = |letter: char| text.chars().filter(|other| *other == letter).count();
    let length = text.chars().count();
    #[expect(clippy::cast_precision_loss, reason = "tokens are short")]
    text.chars().map(|letter| (length as f64 / count(letter) as f64).log2()).sum()
}

/// RFC 6749 section 5.2.
pub fn is_error_text(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
