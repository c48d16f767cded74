//! What happened: every token, every key set a verifier held, every verdict. Written while a drill runs, judged afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{Failure, Outcome};

/// A token somebody may present.
#[derive(Debug)]
pub struct Token {
    pub id: usize,
    pub text: String,
    pub kid: String,
    pub iat: i64,
    pub exp: i64,
    /// Which node answered with it, or how it was forged.
    pub origin: String,
    pub genuine: bool,
    pub made_at: i64,
}

/// A key set as a verifier got it.
#[derive(Debug)]
pub struct SetSeen {
    pub node: String,
    pub asked_at: i64,
    pub kids: Vec<String>,
}

/// What a verifier said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Accepted,
    UnknownKid,
    BadSignature,
    NotOurs,
    Expired,
    NotYetValid,
    /// It could not get any key set.
    NoKeys,
    /// A server refused it, and does not say why.
    Answered401,
    /// A server's answer was neither yes nor no.
    Strange(u16),
}

/// One verification.
#[derive(Debug)]
pub struct Check {
    pub token: Arc<Token>,
    pub verifier: usize,
    pub asked_at: i64,
    pub at: i64,
    pub verdict: Verdict,
    /// Which of the sets seen it held.
    pub held: Option<usize>,
}

/// Shared by everyone who takes part in a drill.
#[derive(Default)]
pub struct History(Mutex<Records>);

#[derive(Default)]
pub struct Records {
    pub tokens: Vec<Arc<Token>>,
    pub sets: Vec<SetSeen>,
    pub checks: Vec<Check>,
    pub failed_fetches: Vec<String>,
    /// What went wrong outside of a verification.
    pub complaints: Vec<String>,
    /// The keys as /admin/keys told of them, by kid; later tellings replace earlier ones.
    pub keys: BTreeMap<String, Value>,
    /// Public keys as published, by kid.
    pub published: BTreeMap<String, Value>,
}

impl History {
    pub fn open(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn complain(&self, what: impl Into<String>) {
        self.open().complaints.push(what.into());
    }

    /// Records a token that a node answered with.
    pub fn issued(&self, text: &str, node: &str, made_at: i64) -> Outcome<Arc<Token>> {
        let (header, claims) = (part(text, 0)?, part(text, 1)?);
        let kid = header["kid"].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| {
            claims[name].as_i64().ok_or_else(|| Failure::new(format!("a token of {node} has no {name}")))
        };
        let (iat, exp, nbf) = (number("iat")?, number("exp")?, number("nbf")?);
        if nbf != iat {
            self.complain(format!("{node} gave a token with iat {iat} and nbf {nbf}"));
        }
        Ok(self.add(Token {
            id: 0,
            text: text.to_owned(),
            kid,
            iat,
            exp,
            origin: node.to_owned(),
            genuine: true,
            made_at,
        }))
    }

    /// Records any token, and numbers it.
    pub fn add(&self, token: Token) -> Arc<Token> {
        let mut records = self.open();
        let token = Arc::new(Token { id: records.tokens.len(), ..token });
        records.tokens.push(Arc::clone(&token));
        token
    }

    pub fn keys_told(&self, keys: &[Value]) {
        let mut records = self.open();
        for key in keys {
            records.keys.insert(key["kid"].as_str().unwrap_or_default().to_owned(), key.clone());
        }
    }
}

/// Header (0) or claims (1) of a token, unverified.
pub fn part(token: &str, at: usize) -> Outcome<Value> {
    let text = token.split('.').nth(at).ok_or_else(|| Failure::new("not a JWT"))?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text)?)?)
}
