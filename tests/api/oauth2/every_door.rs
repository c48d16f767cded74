//! Every kind of token, code, cookie and sealed state at every door: each opens its own and no
//! other.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chancery::domain::accounts::User;
use chancery::domain::keys::{Kid, SigningAlgorithm};
use chancery::domain::{ClientId, Email, SessionId};
use chancery::keys::{MasterKeys, recall};
use chancery::store::accounts::users;
use chancery::store::keys::signing_keys;
use chancery::throttle::{Account, KnownDevice, Subject};
use chancery::tokens::{
    BrowserBinding, BrowserToken, DpopNonces, LogoutClaims, LogoutEvents, OpenedPage, PageKind,
    PendingRequest, RefreshKeys, RefreshToken, UserCode, issue_logout_token, open_private_key, verify_hint,
};
use chrono::DateTime;
use uuid::Uuid;

use super::device;
use super::support::{Browser, CALLBACK, CHALLENGE, Registered, public_client, register, service};
use crate::support::{Answer, MASTER_KEY, PASSWORD, TestApp, bearer, on_both, part};

const SESSION_COOKIE: &str = "__Host-chancery_session";
const REFRESH_COOKIE: &str = "__Host-chancery_refresh";
const DEVICE_COOKIE: &str = "__Host-chancery_device";
const PAGE_COOKIE: &str = "__Host-chancery_flow";

/// An enum with the list of its variants.
macro_rules! listed {
    ($(#[$doc:meta])* enum $name:ident { $($variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum $name {
            $($variant),+
        }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant),+];
        }
    };
}

listed! {
    /// What is presented.
    enum Kind {
        AccessToken,
        IdToken,
        LogoutToken,
        RefreshToken,
        OtherRefreshToken,
        LoginAccessToken,
        LoginRefreshToken,
        BrowserCookie,
        KnownDevice,
        AuthorizationCode,
        ClientSecret,
        RegistrationToken,
        RequestUri,
        UserCode,
        DeviceCode,
        AuthorizationPage,
        SignOutPage,
        DevicePage,
        DpopNonce,
        PrivateKey,
    }
}

listed! {
    /// Where something is presented.
    enum Door {
        Userinfo,
        Me,
        Introspection,
        Revocation,
        IdTokenHint,
        HintAtAuthorize,
        HintAtLogout,
        Refresh,
        LoginRefresh,
        LoginRefreshCookie,
        BrowserSession,
        KnownDevice,
        Code,
        ClientSecret,
        Registration,
        RequestUri,
        UserCode,
        DeviceCode,
        SignInForm,
        DeviceForm,
        DpopNonce,
        PrivateKey,
        // The doors that use something up come last.
        SignInLink,
        ConsentForm,
        SignOutForm,
    }
}

impl Door {
    /// What opens here. A logout token is for clients, and opens nowhere.
    fn own(self) -> &'static [Kind] {
        match self {
            Self::Userinfo => &[Kind::AccessToken],
            // An application to which the user gave access is not the user.
            Self::Me => &[Kind::LoginAccessToken],
            // The client that asks is the audience of both access tokens and has one refresh token.
            Self::Introspection => &[Kind::AccessToken, Kind::LoginAccessToken, Kind::OtherRefreshToken],
            Self::Revocation => &[Kind::AccessToken, Kind::RefreshToken],
            Self::IdTokenHint | Self::HintAtAuthorize | Self::HintAtLogout => &[Kind::IdToken],
            Self::Refresh => &[Kind::RefreshToken],
            Self::LoginRefresh | Self::LoginRefreshCookie => &[Kind::LoginRefreshToken],
            Self::BrowserSession => &[Kind::BrowserCookie],
            Self::KnownDevice => &[Kind::KnownDevice],
            Self::Code => &[Kind::AuthorizationCode],
            Self::ClientSecret => &[Kind::ClientSecret],
            Self::Registration => &[Kind::RegistrationToken],
            Self::RequestUri => &[Kind::RequestUri],
            Self::UserCode => &[Kind::UserCode],
            Self::DeviceCode => &[Kind::DeviceCode],
            // A user signs in on the way to a client and on the way to a device.
            Self::SignInForm | Self::SignInLink => &[Kind::AuthorizationPage, Kind::DevicePage],
            Self::ConsentForm => &[Kind::AuthorizationPage],
            Self::SignOutForm => &[Kind::SignOutPage],
            Self::DeviceForm => &[Kind::DevicePage],
            Self::DpopNonce => &[Kind::DpopNonce],
            Self::PrivateKey => &[Kind::PrivateKey],
        }
    }
}

struct World<'a> {
    app: &'a TestApp,
    browser: Browser<'a>,
    spa: Registered,
    service: Registered,
    /// Introspects the tokens for the server's own audience.
    web: Registered,
    tv: Registered,
    /// The path at which an application manages its registration.
    registration: String,
    ada: User,
    current: (Kid, SigningAlgorithm, String),
    shown: Vec<(Kind, String)>,
}

impl<'a> World<'a> {
    async fn build(app: &'a TestApp) -> Self {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(app).await, Browser::new(app));
        let service = service(app, "robot", "keys:read", &["stock"]).await;
        let web = super::support::service(app, "web", "openid offline_access", &["chancery"]).await;
        let tv = register(app, &device::television(app, "tv")).await;
        let mut shown = Vec::new();
        let mut show = |kind, text: &str| shown.push((kind, text.to_owned()));

        let open_page = browser.get(&spa.authorize(&[])).await.page(200);
        show(Kind::AuthorizationPage, &open_page.flow());
        let exchanged = browser.code(&spa, "ada@x.test", &[("scope", "openid offline_access")]).await;
        let tokens = spa.exchange(app, &exchanged).await.expect(200).json();
        let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
        show(Kind::AccessToken, &token("access_token"));
        show(Kind::IdToken, &token("id_token"));
        show(Kind::RefreshToken, &token("refresh_token"));
        let own = [("scope", "openid offline_access")];
        let code = browser.get(&web.authorize(&own)).await.returned_code();
        show(Kind::OtherRefreshToken, &web.exchange(app, &code).await.expect(200).refresh_token());
        let login = app.login("ada@x.test").await;
        show(Kind::LoginAccessToken, &login.access_token());
        show(Kind::LoginRefreshToken, &login.refresh_token());
        show(Kind::AuthorizationCode, &browser.get(&spa.authorize(&[])).await.returned_code());
        show(Kind::BrowserCookie, &browser.cookie(SESSION_COOKIE).unwrap());
        show(Kind::KnownDevice, &browser.cookie(DEVICE_COOKIE).unwrap());
        show(Kind::ClientSecret, service.secret.as_deref().unwrap());
        show(Kind::SignOutPage, &browser.get("/oauth2/logout").await.page(200).flow());
        let codes = device::begin(app, &tv, "openid").await;
        show(Kind::DeviceCode, &codes.device);
        show(Kind::UserCode, &codes.user);
        // The page on which a user decides about a device.
        let page = browser.get("/device").await.page(200);
        let confirm =
            browser.post("/device", &[("flow", &page.flow()), ("user_code", &codes.user)]).await.page(200);
        show(Kind::DevicePage, &confirm.flow());
        let pushed = [
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("scope", "openid"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let pushed = spa.post(app, "/oauth2/par", &pushed).await.expect(201).json();
        show(Kind::RequestUri, pushed["request_uri"].as_str().unwrap());
        let application = serde_json::json!({ "redirect_uris": [CALLBACK], "client_name": "Orders" });
        let registered = app.post("/oauth2/register", application).await.expect(201).json();
        show(Kind::RegistrationToken, registered["registration_access_token"].as_str().unwrap());
        let registration = registered["registration_client_uri"].as_str().unwrap();
        let registration = registration.strip_prefix("https://auth.test").unwrap().to_owned();
        show(Kind::DpopNonce, &DpopNonces(&app.app.master_keys).current(app.clock.now()));

        let claims = part(&token("id_token"), 1);
        let claims = LogoutClaims {
            iss: "https://auth.test".to_owned(),
            sub: claims["sub"].as_str().unwrap().to_owned(),
            aud: "spa".to_owned(),
            iat: app.clock.now().timestamp(),
            exp: app.clock.now().timestamp() + 120,
            jti: Uuid::new_v4(),
            events: LogoutEvents::default(),
            sid: claims["sid"].as_str().unwrap().to_owned(),
        };
        let keyring = app.app.keyring.load_full().unwrap();
        let logout_token = issue_logout_token(keyring.signer().unwrap(), &claims).unwrap();
        show(Kind::LogoutToken, logout_token.expose());

        let conn = &mut app.app.db.read().await.unwrap();
        let ada = users::by_email(conn, &Email::parse("ada@x.test").unwrap()).await.unwrap().unwrap();
        let stored = signing_keys::all(conn).await.unwrap();
        let current = stored.into_iter().find(|stored| stored.key.activated_at.is_some()).unwrap();
        let sealed = current.sealed.unwrap();
        show(Kind::PrivateKey, &URL_SAFE_NO_PAD.encode(&sealed.ciphertext));
        let current = (current.key.kid, current.key.alg, sealed.master_key_id);
        Self { app, browser, spa, service, web, tv, registration, ada, current, shown }
    }

    fn shown(&self, kind: Kind) -> &str {
        &self.shown.iter().find(|(shown, _)| *shown == kind).unwrap().1
    }

    async fn token_of_a_new_session(&self, kind: Kind) -> String {
        let own = [("scope", "openid offline_access")];
        let code = self.browser.get(&self.spa.authorize(&own)).await.returned_code();
        let tokens = self.spa.exchange(self.app, &code).await.expect(200);
        if kind == Kind::AccessToken { tokens.access_token() } else { tokens.refresh_token() }
    }

    /// Whether a door opens for a text.
    async fn opens(&self, door: Door, text: &str) -> bool {
        let Self { app, browser, .. } = self;
        let post = async |path: &str, form: &[(&str, &str)]| {
            browser.post(path, &[&[("flow", text)], form].concat()).await
        };
        match door {
            Door::Userinfo => app.get_as(text, "/oauth2/userinfo").await.status == 200,
            Door::Me => app.get_as(text, "/auth/me").await.status == 200,
            Door::Introspection => {
                let answer = self.web.post(app, "/oauth2/introspect", &[("token", text)]).await.expect(200);
                answer.json()["active"] == true
            }
            // Every token is answered with 200, so only the sessions show what was revoked.
            Door::Revocation => {
                let revoked = "SELECT count(*) FROM sessions WHERE revoked_at IS NOT NULL";
                let before = app.database.count(revoked).await;
                self.spa.post(app, "/oauth2/revoke", &[("token", text)]).await.expect(200);
                app.database.count(revoked).await > before
            }
            Door::HintAtAuthorize => {
                let silent = [("prompt", "none"), ("id_token_hint", text)];
                browser.get(&self.spa.authorize(&silent)).await.sent_to(CALLBACK).contains_key("code")
            }
            // In a browser without a session, so that no page asks.
            Door::HintAtLogout => {
                let bye = "https://app.test/bye";
                let query =
                    super::support::encode(&[("id_token_hint", text), ("post_logout_redirect_uri", bye)]);
                let answer = Browser::new(app).get(&format!("/oauth2/logout?{query}")).await;
                answer.header("location").starts_with(bye)
            }
            Door::IdTokenHint => {
                let keyring = app.app.keyring.load_full().unwrap();
                verify_hint(text, &keyring, "https://auth.test").is_ok()
            }
            Door::Refresh => self.spa.refresh(app, text).await.status == 200,
            Door::LoginRefresh => app.refresh(text).await.status == 200,
            Door::LoginRefreshCookie => {
                let cookie = format!("{REFRESH_COOKIE}={text}");
                let headers = [("cookie", &*cookie), ("origin", "https://auth.test")];
                app.send(reqwest::Method::POST, "/auth/refresh", &headers, None).await.status == 200
            }
            Door::BrowserSession => {
                let other = Browser::new(app);
                other.set_cookie(SESSION_COOKIE, text);
                other
                    .get(&self.spa.authorize(&[("prompt", "none")]))
                    .await
                    .sent_to(CALLBACK)
                    .contains_key("code")
            }
            Door::KnownDevice => self.knows_device(&app.app.master_keys, text),
            Door::Code => self.spa.exchange(app, text).await.status == 200,
            Door::ClientSecret => {
                let client = Registered { id: self.service.id.clone(), secret: Some(text.to_owned()) };
                client.token(app, &[("grant_type", "client_credentials")]).await.status == 200
            }
            Door::Registration => {
                let headers = [("authorization", &*bearer(text))];
                app.send(reqwest::Method::GET, &self.registration, &headers, None).await.status == 200
            }
            Door::RequestUri => {
                let query = super::support::encode(&[("client_id", "spa"), ("request_uri", text)]);
                let answer = Browser::new(app).get(&format!("/oauth2/authorize?{query}")).await;
                answer.header("location").starts_with("/sign-in?flow=")
            }
            Door::UserCode => {
                let page = browser.get("/device").await.page(200);
                let answer = browser.post("/device", &[("flow", &page.flow()), ("user_code", text)]).await;
                answer.status == 200
            }
            Door::DeviceCode => {
                let form = [("grant_type", device::DEVICE_CODE), ("device_code", text)];
                self.tv.token(app, &form).await.json()["error"] == "authorization_pending"
            }
            Door::SignInForm => is_page(&post("/sign-in", &[("show", "1")]).await),
            Door::SignInLink => {
                let query = super::support::encode(&[("flow", text)]);
                let answer = browser.get(&format!("/sign-in?{query}")).await;
                is_page(&answer) || answer.header("location").starts_with(CALLBACK)
            }
            Door::ConsentForm => {
                post("/consent", &[("decision", "allow")]).await.header("location").starts_with(CALLBACK)
            }
            Door::SignOutForm => post("/oauth2/logout", &[("decision", "sign_out")]).await.status != 400,
            // A wrong code is answered on the page; another page's state does not get that far.
            Door::DeviceForm => post("/device", &[("user_code", "BBBB-BBBB")]).await.status == 422,
            Door::DpopNonce => DpopNonces(&app.app.master_keys).is_good(text, app.clock.now()),
            Door::PrivateKey => {
                let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec());
                let (kid, alg, master_key_id) = &self.current;
                open_private_key(&app.app.master_keys, kid, *alg, master_key_id, &bytes).is_ok()
            }
        }
    }

    fn knows_device(&self, master_keys: &MasterKeys, text: &str) -> bool {
        let account = Account::new(&self.ada.email, Some(&self.ada));
        KnownDevice::parse(text, master_keys, &account).is_some()
    }
}

/// A page, and not the one that says there is nothing to continue.
fn is_page(answer: &Answer) -> bool {
    answer.status == 200 && answer.header("content-type").starts_with("text/html")
}

async fn with_registration(app: TestApp) -> TestApp {
    let (database, clock) = (std::sync::Arc::clone(&app.database), app.clock.clone());
    app.stop().await;
    TestApp::start_on(database, clock, &[("CHANCERY_OAUTH__REGISTRATION", "open")]).await
}

on_both! {
    async fn every_kind_opens_its_own_door_only(app: TestApp) {
        let app = with_registration(app).await;
        let world = World::build(&app).await;
        for kind in Kind::ALL {
            let times = world.shown.iter().filter(|(shown, _)| shown == kind).count();
            assert_eq!(times, 1, "{kind:?} is presented");
        }
        for door in Door::ALL {
            for (kind, text) in world.shown.iter().filter(|(kind, _)| !door.own().contains(kind)) {
                assert!(!world.opens(*door, text).await, "{kind:?} opens {door:?}");
            }
        }
        // What was presented at the wrong doors is still good at its own.
        for door in Door::ALL {
            for kind in door.own() {
                let text = match (door, kind) {
                    // A page gives one code, so the second door gets a page of its own.
                    (Door::SignInLink, Kind::AuthorizationPage) => {
                        app.advance(chrono::TimeDelta::seconds(1));
                        let page = world.browser.get(&world.spa.authorize(&[("prompt", "login")])).await.page(200);
                        page.flow()
                    }
                    // A session ends once, so each of its tokens gets a session of its own.
                    (Door::Revocation, _) => world.token_of_a_new_session(*kind).await,
                    _ => world.shown(*kind).to_owned(),
                };
                assert!(world.opens(*door, &text).await, "{kind:?} does not open {door:?}");
            }
        }
    }

    async fn what_is_made_under_a_master_key_opens_for_its_own_row_browser_and_session_only(app: TestApp) {
        let app = with_registration(app).await;
        let world = World::build(&app).await;
        let (ours, others) = (&app.app.master_keys, MasterKeys::parse(["test:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="]).unwrap());

        let refresh = RefreshToken::parse(world.shown(Kind::RefreshToken)).unwrap();
        let spa = ClientId::parse("spa").unwrap();
        assert!(RefreshKeys(ours).is_genuine(&refresh, &spa) && !RefreshKeys(&others).is_genuine(&refresh, &spa));
        let tv = ClientId::parse("tv").unwrap();
        assert!(!RefreshKeys(ours).is_genuine(&refresh, &tv), "another client");

        let cookie = world.shown(Kind::BrowserCookie);
        let session = BrowserToken::open(ours, cookie);
        assert!(session.is_some() && BrowserToken::open(&others, cookie).is_none());

        let device = world.shown(Kind::KnownDevice);
        assert!(world.knows_device(ours, device) && !world.knows_device(&others, device));
        let bob = Email::parse("bob@x.test").unwrap();
        assert!(KnownDevice::parse(device, ours, &Account::new(&bob, None)).is_none(), "another account");

        let nonce = world.shown(Kind::DpopNonce);
        let is_good = |master_keys| DpopNonces(master_keys).is_good(nonce, app.clock.now());
        assert!(is_good(ours) && !is_good(&others));
        let code = UserCode::parse(world.shown(Kind::UserCode)).unwrap();
        assert_ne!(code.mac(ours.first()), code.mac(others.first()));

        let sealed = URL_SAFE_NO_PAD.decode(world.shown(Kind::PrivateKey)).unwrap();
        let (kid, alg, id) = &world.current;
        let open = |master_keys: &MasterKeys, kid: &Kid, alg, id: &str| open_private_key(master_keys, kid, alg, id, &sealed).is_ok();
        assert!(open(ours, kid, *alg, id));
        assert!(!open(&others, kid, *alg, id), "another master key of that name");
        assert!(!open(ours, kid, *alg, "another"), "a master key that is not configured");
        assert!(!open(ours, &Kid::new("another".to_owned()), *alg, id), "another row");
        assert!(!open(ours, kid, SigningAlgorithm::Ps256, id), "another algorithm");

        let browser = world.browser.cookie(PAGE_COOKIE).unwrap();
        for (kind, page) in [(Kind::AuthorizationPage, PageKind::Authorization), (Kind::SignOutPage, PageKind::SignOut), (Kind::DevicePage, PageKind::Device)] {
            let text = world.shown(kind);
            let opens = |master_keys, browser: &str, session| {
                let opened = PendingRequest::open(master_keys, page, BrowserBinding::new(browser, session), text);
                matches!(opened, Some(OpenedPage::Here(_)))
            };
            assert!(opens(ours, &browser, session), "{kind:?}");
            assert!(!opens(&others, &browser, session), "{kind:?} under another master key");
            assert!(!opens(ours, &"0".repeat(64), session), "{kind:?} in another browser");
            let in_another_session = opens(ours, &browser, Some(SessionId(Uuid::from_u128(1))));
            assert_eq!(in_another_session, page != PageKind::SignOut, "{kind:?}");
        }
    }

    async fn a_page_that_asks_before_it_signs_out_belongs_to_its_session(app: TestApp) {
        for name in ["ada@x.test", "bob@x.test"] {
            app.register(name).await;
        }
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        let page = browser.get("/oauth2/logout?client_id=spa&state=s").await.page(200);
        app.advance(chrono::TimeDelta::seconds(1));
        let other = browser.get(&spa.authorize(&[("prompt", "login")])).await.page(200);
        browser.sign_in(&other, "bob@x.test", PASSWORD).await.returned_code();
        // Ada's page is still open in another tab. It asks again, and names Bob.
        let form = |page: &Answer| [("flow", page.flow()), ("decision", "sign_out".to_owned())];
        let sign_out = async |page: &Answer| {
            let form = form(page);
            let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            browser.post("/oauth2/logout", &form).await
        };
        let moved = sign_out(&page).await;
        assert_eq!(moved.header("location"), "/oauth2/logout?client_id=spa&state=s");
        let asked = browser.get(moved.header("location")).await.page(200);
        assert!(asked.text.contains("bob@x.test"), "{}", asked.text);
        // So does a page that stood open too long.
        app.advance(chrono::TimeDelta::minutes(31));
        let moved = sign_out(&asked).await;
        let asked = browser.get(moved.header("location")).await.page(200);
        sign_out(&asked).await.page(200);
        assert_eq!(browser.cookie(SESSION_COOKIE), None);
    }

    async fn pages_of_0_1_0_lead_to_a_page_that_says_where_to_begin(app: TestApp) {
        app.register("ada@x.test").await;
        let (spa, browser) = (public_client(&app).await, Browser::new(&app));
        browser.code(&spa, "ada@x.test", &[]).await;
        // In the browser in which they stood open.
        browser.set_cookie(PAGE_COOKIE, &BROWSER_OF_0_1_0.repeat(4));
        for page in PAGES_OF_0_1_0 {
            for (path, form) in [
                ("/sign-in", [("show", "1")]),
                ("/sign-up", [("show", "1")]),
                ("/consent", [("decision", "allow")]),
                ("/oauth2/logout", [("decision", "sign_out")]),
                ("/device", [("decision", "allow")]),
            ] {
                let answer = browser.post(path, &[&[("flow", page)], &form[..]].concat()).await.page(400);
                assert!(answer.text.contains("begin there again"), "{}", answer.text);
            }
            browser.get(&format!("/sign-in?flow={page}")).await.page(400);
        }
        assert!(browser.cookie(SESSION_COOKIE).is_some());
    }
}

/// What follows was made by the code of 0.1.0 (commit 652dabe) under this master key.
const MASTER_KEY_OF_0_1_0: &str = "one:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const SESSION_OF_0_1_0: u128 = 0x0192_0000_0000_7000_8000_0000_0000_0007;
const PRIVATE_KEY_OF_0_1_0: &str = "CfpmCDPxmulLsGELBnmhKvglxm7DScPC32X+s2joRE9db3vXaJuP20FVVmA=";
const REFRESH_TOKEN_OF_0_1_0: &str = "crt_AQGSAAAAAHAAgAAAAAAAAAcAAAAAAAAAA0tzkkO7mTfPLHjrPi8kSvtgk4zq";
const BROWSER_COOKIE_OF_0_1_0: &str = "cbs_AZIAAAAAcACAAAAAAAAAB6h5PxAgfFVQBdt52ojc1uA";
const KNOWN_DEVICE_OF_0_1_0: &str = "7DTX4MpnSmiREXnlkOyjdMBhW1s8moEVxylUChcP-Do";
const ACCOUNT_OF_0_1_0: &str = "c8Mo5F4/aImq6N8Repd2k0g5/KrKlL15lvLNq/GZZo0=";
const DEVICE_SUBJECT_OF_0_1_0: &str = "j/kywBRyGw9yDqBo6IJxn+L+/bUVVUaEpa4U3vYmvSA=";
const USER_CODE_MAC_OF_0_1_0: &str = "OBsCxbGdKVCZoxWSHJBKvKWh8hzvCNXLLxGiNuHn/o4=";
const DPOP_NONCE_OF_0_1_0: &str = "x-KXWzSYiSfJbgtNMsFqoQ";
const LAST_GOOD_FILE_OF_0_1_0: &str = r#"{"document":"{\"body\":\"{\\\"keys\\\":[{\\\"kid\\\":\\\"a\\\"},{\\\"kid\\\":\\\"b\\\"}]}\",\"etag\":\"\\\"LdFPt8keqH7nCRuXvCAgKA\\\"\",\"published_until\":\"1970-01-01T00:00:00Z\",\"algorithms\":[\"RS256\"],\"max_age_s\":300,\"next_change\":\"1970-01-31T00:00:00Z\",\"no_cache_until\":null}","issuer":"https://auth.test","master_key_id":"one","mac":"oSI/I5w9CHr2soALYDKRcK4iWGGidSf7MaWYGnUCWj4="}"#;
const BROWSER_OF_0_1_0: &str = "0123456789abcdef";
/// Asked, pushed, sign-out, device.
const PAGES_OF_0_1_0: [&str; 4] = [
    "c6mbziK2vqhEEaDJOM8FlHZh4nEDpnCS-0EbmZ9Y-f0cBY0enwb5nS4UKr_WCCL1j3T52f5OKHfwI-Rrr1ElMH_UsM1YaVcYiaWPtGVWaEIVdDBQXxoFoSb6pkX_yb6T58baI1cnwWyCznAXEu1OARg-q3COgrgODu0JQgGnZA7aBRAAVsFytatGKX5CFyVG3qX6fRdY576VFele0jVRd8tXt1WwJgWPN0RFLb5sMp11hInN5TKkkL1tnrxdS58zW4Ek4mBcvcEbOkDTjNZ--QLOJG-pLM5QIxkQ_SdedyW964FSOcIAatK6t7ElsXsPEe9aMEgL6RR1qbxlq7TezB7CSg5KlgTq29_K0BCrX07Kc7abTh5GJmr9VpF3eNdGR_YBrmAZnvHUZ_4uzctBLI2Dtb9d7w",
    "vS9r0WuvkDg_5Bpd61_eBB5Ni5XRx8OgFV3Go1UJnuxBbP61UUu5i7DPJkO0HMu6Jb1h4C-yaR0O2m3Yvyi3bzYLRYIs8OKrW1q-Q-KCJxyyxWFs58WpoyC87UCKOpTBh_CqxBdZ6ggfzc7jxjCxkYAEiZe3tt1ZfTjkZ5ggcgwSwtb2LOVBZuU8AA1ZEoWZW9SJRgomNlKTuIwE2nXtNjf-H0zzu0JTzhg3pdjNKnBBok-08Xf2zcS8_SxCU-kUQmgiX7VZScbDGsQcaBrAMN0LkXXRo38yywaAvrfyffOZEs2y4Nxm1WNKHTR-o32NDYtJThVP1Rmxe-KeUQLSpEM1tyIw7Pn9mwbyZNMUmU2usuBDdKbWqHT8dmCleptA8aijIm0YYNfkLrLRgjz5qxVX947zagY",
    "RNK_Jw1aSu0S53jzg3In8KmUijU5FgUzDOShabDSrjCR-z9idfaBVq9lFTuC3oXy00xAEBDAhEvJT3hoEL1A0u8eL78pp9e5-KBFfOZe0bmofDbEPhb071O0utZpIJD2dTjqR0D9errItIAEyja34OqrJY-YO_sxxdvtpa_5hn__MQVFIS6gBdUJGw6vUZY9U9iAPb7S8khzVUTTrjrcbLHGP8f3rrr7o8p7Hmcj7V4qZbWFuOSSdgpKomCpJEJUOBmc_cjDxWp1gPbMjZspHVW8K57Rb4eoabl2wtkMAo627NHD1Ph-wjmTuuzrHKvUHg4g4qmD-yIsiAxFQK4VZE02El1-K85kVybLYKikloTHYEyhN2OcoBU_YFBjHNEPeLLny_41u0W4L-kOqvP7vhb9Vod05eDi",
    "j_RLKvC8hC98RvPRgv2iN7DHQxbig1lcUPrXXBRBDvI2ZGnIN6ZZhOEp2cNJ6F6qhOvacROy6RX7-YIQVV6dRcfWJ-kn5uhfaeKf6NBKtFOfi93jl1BrFBDlSb8UMMZHx2M8OYPpnbAzoTgplt0P0XipPGEe4IOpZBpDvRnHm5rmDzwgGbTwbekOK7EKUN4-7fUkB25KTNk1CElvfUU4T_EZhiOCUVFFh78cEOWl4_d_BJVQUE1w_IK8VmTg0u6nDxTq8E7DdWEN4wn5jZHRDl0qoFZ86MloSDITWK6tNe_mMQriLLjfVGYt9NC2vRsb85Ho34LJxT8fd4_-Y1gSMHAdObv1oYlTcrB0gKlPjQi7UFlVUD1Q1c9Y9Fan1Rta5VmS_3iEqgAULXsIWjpH_qlvITN-BTY",
];

#[test]
fn what_0_1_0_stored_and_gave_to_browsers_opens_byte_for_byte() {
    assert_eq!(
        MASTER_KEY_OF_0_1_0.split_once(':').unwrap().1,
        MASTER_KEY.split_once(':').unwrap().1,
        "the pages below are presented to nodes that could open them"
    );
    let master_keys = MasterKeys::parse([MASTER_KEY_OF_0_1_0]).unwrap();
    let session = SessionId(Uuid::from_u128(SESSION_OF_0_1_0));

    let sealed = STANDARD.decode(PRIVATE_KEY_OF_0_1_0).unwrap();
    let kid = Kid::new("kid-of-0.1.0".to_owned());
    let opened = open_private_key(&master_keys, &kid, SigningAlgorithm::Rs256, "one", &sealed).unwrap();
    assert_eq!(opened.expose(), b"the private half");

    let client = ClientId::parse("spa").unwrap();
    let refresh = RefreshToken::parse(REFRESH_TOKEN_OF_0_1_0).unwrap();
    assert_eq!((refresh.session, refresh.generation), (session, 3));
    assert!(RefreshKeys(&master_keys).is_genuine(&refresh, &client));
    let again = RefreshKeys(&master_keys).token(session, 3, &client, Some("one"));
    assert_eq!(again.expose(), REFRESH_TOKEN_OF_0_1_0);

    assert_eq!(BrowserToken::open(&master_keys, BROWSER_COOKIE_OF_0_1_0), Some(session));
    assert_eq!(BrowserToken::of(&master_keys, session).expose(), BROWSER_COOKIE_OF_0_1_0);

    let email = Email::parse("ada@x.test").unwrap();
    let account = Account::new(&email, None);
    let device = KnownDevice::parse(KNOWN_DEVICE_OF_0_1_0, &master_keys, &account).unwrap();
    assert_eq!(device.token(&master_keys, &account).expose(), KNOWN_DEVICE_OF_0_1_0);
    assert_eq!(STANDARD.encode(Subject::account(&master_keys, &account).as_bytes()), ACCOUNT_OF_0_1_0);
    let subject = Subject::device(&master_keys, &account, device);
    assert_eq!(STANDARD.encode(subject.as_bytes()), DEVICE_SUBJECT_OF_0_1_0);

    let code = UserCode::parse("WDJB-MJHT").unwrap();
    assert_eq!(STANDARD.encode(code.mac(master_keys.first())), USER_CODE_MAC_OF_0_1_0);
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    assert_eq!(DpopNonces(&master_keys).current(now), DPOP_NONCE_OF_0_1_0);

    let document = recall(&master_keys, "https://auth.test", LAST_GOOD_FILE_OF_0_1_0).unwrap();
    assert_eq!(document.body, r#"{"keys":[{"kid":"a"},{"kid":"b"}]}"#);
    let kept = chancery::keys::keep(&master_keys, "https://auth.test", &document);
    let mac = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["mac"].clone();
    assert_eq!(mac(&kept), mac(LAST_GOOD_FILE_OF_0_1_0));
}
