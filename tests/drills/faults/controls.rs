//! The checker is shown journals with one thing wrong in each: it must find that and nothing else, and nothing in the one where
//! all is well. Otherwise it would be blind, and every other drill of this group worth nothing.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chancery::domain::keys::SigningAlgorithm;
use chancery::keys::GeneratedKey;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::checker::{Bounds, Findings, Searched, check, hex, search};
use crate::support::cluster::{AUDIENCE, ISSUER};
use crate::support::journal::{Access, Ask, Entry, Gave, Nodes, Pages, Published, Refresh, Reply, Window};
use crate::support::{Outcome, ensure};

const HOUR: i64 = 3_600_000;

/// A wrong thing, and which of the seven it breaks.
type Control = (u8, &'static str, fn(&mut Tale));

const CONTROLS: &[Control] = &[
    (1, "a good refresh token was refused", |tale| tale.refresh(9000, 3, 401)),
    (1, "a session was gone at the end", |tale| {
        tale.pages.entries.retain(|entry| entry.asked_at < 20_000 || !is_refresh(entry));
    }),
    (1, "an account was gone at the end", |tale| tale.at_the_end().reply = answered(401, None)),
    (1, "the access token of a living session was refused", |tale| tale.look(4000, 401)),
    (2, "a token had two successors", |tale| {
        let mut other = tale.gave(2);
        other.refresh.text = "another".into();
        tale.add(2100, Ask::Refresh(tale.token(1)), answered(200, Some(other)));
    }),
    (2, "a token was good although its successor had been used", |tale| tale.refresh(3900, 1, 200)),
    (2, "a token was good an hour later", |tale| {
        tale.pages.entries.retain(|entry| !is_refresh(entry));
        tale.refresh(2000, 1, 200);
        tale.refresh(HOUR, 1, 200);
        tale.refresh(HOUR + 1000, 2, 200);
        tale.at_the_end().asked_at = HOUR + 2000;
        tale.at_the_end().answered_at = HOUR + 2010;
        tale.pages.after_from = HOUR;
    }),
    (2, "one address was registered twice", |tale| {
        tale.add(500, Ask::Register { password: "p".into() }, answered(201, None));
    }),
    (3, "a session went on after its logout", |tale| tale.look_dead(12_000, 200)),
    (3, "a disabled user logged in", |tale| {
        let disabled = Ask::Disable { admin: tale.access(), id: String::new() };
        tale.pages.entries.push(Entry { who: "banned".into(), ..entry(1000, disabled, answered(200, None)) });
        let login = Ask::LogIn { password: "p".into() };
        tale.pages.entries.push(Entry { who: "banned".into(), ..entry(9000, login, answered(200, None)) });
    }),
    (4, "a key left the set too early", |tale| tale.publish(5000, &["another"])),
    (4, "a token's signature is another key's", |tale| tale.forge()),
    (5, "a node told of two next keys", |tale| {
        tale.pages.keys_told.insert((1, 2), 1);
    }),
    (6, "a 500", |tale| tale.look(4000, 500)),
    (6, "503 in fair weather", |tale| tale.look(4000, 503)),
    (6, "503 long after the fault", |tale| {
        let window =
            Window { what: "a fault".into(), from: 0, until: 500, refuses: Nodes::All, loses: Nodes::None };
        tale.pages.windows.push(window);
        tale.look(4000, 503);
    }),
    (6, "503 of a node that the fault did not touch", |tale| {
        let (refuses, loses) = (Nodes::Only(2), Nodes::None);
        tale.pages.windows.push(Window { what: "a fault".into(), from: 0, until: HOUR, refuses, loses });
        tale.look(4000, 503);
    }),
    (6, "no answer from a node that was well", |tale| tale.lose(4000)),
    (6, "an answer after 6 s", |tale| tale.pages.entries[2].answered_at += 6000),
    (6, "a slow key set", |tale| tale.pages.key_set_took = vec![80_000; 200]),
    (7, "a refresh token in a log", |tale| {
        let text = tale.token(2).text;
        tale.places[0].bytes.extend_from_slice(text.as_bytes());
    }),
    (7, "a password in a refusal", |tale| tale.pages.refusals += "the password of the tale"),
    (7, "a password in the dump, as bytes", |tale| {
        tale.places[0].bytes.extend_from_slice(hex(PASSWORD.as_bytes()).as_bytes());
    }),
];

const PASSWORD: &str = "the password of the tale";

pub fn controls() -> Outcome<String> {
    let told = Tale::new().findings();
    ensure!(
        told.broken().is_empty(),
        "in a journal where all is well it finds {:?}",
        told.verdict().err().map(|why| why.to_string())
    );
    for (invariant, what, spoil) in CONTROLS {
        let mut tale = Tale::new();
        spoil(&mut tale);
        let found = tale.findings();
        let said = found.verdict().err().map(|why| why.to_string()).unwrap_or_default();
        ensure!(
            found.broken() == [*invariant],
            "{what}: it should find {invariant}, and finds {:?}{said}",
            found.broken()
        );
    }
    Ok(format!(
        "{} journals with one thing wrong, each found; nothing found in the one without",
        CONTROLS.len()
    ))
}

/// A small true story: one user with one session that goes on, and one that was logged out.
struct Tale {
    pages: Pages,
    places: Vec<Searched>,
    sid: Uuid,
    dead: Gave,
    signer: Signer,
}

fn answered(status: u16, gave: Option<Gave>) -> Reply {
    Reply::Answered { status, retry_after: status == 503, gave }
}

fn entry(at: i64, ask: Ask, reply: Reply) -> Entry {
    Entry { who: "tale@drill.test".into(), node: 0, asked_at: at, answered_at: at + 10, ask, reply }
}

fn is_refresh(entry: &Entry) -> bool {
    matches!(entry.ask, Ask::Refresh(_))
}

impl Tale {
    fn new() -> Self {
        let (signer, sid) = (Signer::new(include_bytes!("../../api/support/rsa-1.der")), Uuid::from_u128(1));
        let dead = signer.gave(Uuid::from_u128(2), 1);
        let pages = Pages { after_from: 20_000, key_set_took: vec![2000; 200], ..Pages::default() };
        let places =
            vec![Searched { name: "a log".to_owned(), bytes: b"nothing to see here, all is well".to_vec() }];
        let mut tale = Self { pages, places, sid, dead, signer };
        let password: Arc<str> = PASSWORD.into();
        let login = || Ask::LogIn { password: Arc::clone(&password) };
        tale.add(100, Ask::Register { password: Arc::clone(&password) }, answered(201, None));
        tale.add(1000, login(), answered(200, Some(tale.gave(1))));
        tale.add(1200, login(), answered(200, Some(tale.dead.clone())));
        tale.refresh(2000, 1, 200);
        tale.refresh(3000, 2, 200);
        tale.add(5000, Ask::LogOut { access: tale.dead.access.clone(), all: false }, answered(204, None));
        tale.look_dead(11_000, 401);
        tale.refresh(21_000, 3, 200);
        tale.add(22_000, login(), answered(200, Some(tale.signer.gave(Uuid::from_u128(3), 1))));
        tale.publish(1500, &[KID]);
        tale.publish(6000, &[KID]);
        tale.pages.keys_told.insert((1, 1), 3);
        tale
    }

    fn findings(&self) -> Findings {
        let mut findings = check(&self.pages, &Bounds::default());
        search(&self.pages, &[], &self.places, &mut findings);
        findings
    }

    fn add(&mut self, at: i64, ask: Ask, reply: Reply) {
        self.pages.entries.push(entry(at, ask, reply));
    }

    fn gave(&self, generation: i64) -> Gave {
        self.signer.gave(self.sid, generation)
    }

    fn token(&self, generation: i64) -> Refresh {
        self.gave(generation).refresh
    }

    fn access(&self) -> Access {
        self.gave(1).access
    }

    fn refresh(&mut self, at: i64, presented: i64, status: u16) {
        let gave = (status == 200).then(|| self.gave(presented + 1));
        self.add(at, Ask::Refresh(self.token(presented)), answered(status, gave));
    }

    fn look(&mut self, at: i64, status: u16) {
        self.add(at, Ask::Me(self.access()), answered(status, None));
    }

    fn look_dead(&mut self, at: i64, status: u16) {
        self.add(at, Ask::Me(self.dead.access.clone()), answered(status, None));
    }

    fn lose(&mut self, at: i64) {
        self.add(at, Ask::Me(self.access()), Reply::Lost("reset".to_owned()));
    }

    /// The login after everything.
    fn at_the_end(&mut self) -> &mut Entry {
        self.pages.entries.iter_mut().rfind(|entry| matches!(entry.ask, Ask::LogIn { .. })).expect("a login")
    }

    fn publish(&mut self, at: i64, kids: &[&str]) {
        let keys: Vec<_> = kids.iter().map(|kid| self.signer.jwk(kid)).collect();
        self.pages.sets.push(json!({ "keys": keys }));
        let set = self.pages.sets.len() - 1;
        self.pages.fetches.push(Published { node: 0, asked_at: at, answered_at: at + 2, set });
    }

    fn forge(&mut self) {
        let other = Signer::new(include_bytes!("../../api/support/rsa-2.der"));
        let forged = other.gave(self.sid, 2).access;
        let Reply::Answered { gave: Some(gave), .. } = &mut self.pages.entries[3].reply else { return };
        gave.access = forged;
    }
}

const KID: &str = "the-key-of-the-tale";
const LIFE_S: i64 = 30;

/// A key whose tokens are good for the first half minute of the tale.
struct Signer {
    signer: chancery::keys::Signer,
    public: Value,
}

impl Signer {
    fn new(der: &[u8]) -> Self {
        let generated = GeneratedKey::from_pkcs8(SigningAlgorithm::Rs256, der).expect("a key");
        let signer = chancery::keys::Signer::from_pkcs8(generated.kid.clone(), SigningAlgorithm::Rs256, der);
        Self { signer: signer.expect("a key"), public: generated.public_jwk }
    }

    fn jwk(&self, kid: &str) -> Value {
        let mut jwk = self.public.clone();
        jwk["kid"] = kid.into();
        jwk
    }

    fn gave(&self, sid: Uuid, generation: i64) -> Gave {
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = encode(json!({ "alg": "RS256", "typ": "at+jwt", "kid": KID }));
        let claims =
            json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "tale", "sid": sid, "nbf": 0, "exp": LIFE_S });
        let signed = format!("{header}.{}", encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.signer.sign(signed.as_bytes()).expect("a signature"));
        Gave {
            access: Access {
                text: format!("{signed}.{signature}").into(),
                sid,
                kid: KID.to_owned(),
                exp: LIFE_S,
            },
            refresh: Refresh {
                text: format!("crt_of_the_tale_{sid}_{generation:04}").into(),
                sid,
                generation,
            },
        }
    }
}
