//! What an attacker makes who has one good token and everything that is public.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::{hmac, signature};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::history::{Token, part};
use super::{Chance, Failure, Outcome, now_ms};

/// A forger with a key of their own, which no Chancery ever published.
pub struct Forger {
    key: KeyPair,
    chance: Chance,
}

const KINDS: [&str; 9] = [
    "foreign key under a known kid",
    "foreign key under its own kid",
    "foreign key in the header",
    "alg none",
    "HS256 with the modulus",
    "HS256 with the JWK",
    "tampered claims",
    "tampered signature",
    "no signature",
];

impl Forger {
    pub fn new(chance: Chance) -> Outcome<Self> {
        Ok(Self { key: KeyPair::generate(KeySize::Rsa2048)?, chance })
    }

    /// One forgery, made after a good token. `jwk` is the public half of that token's key.
    pub fn forge(&mut self, good: &Token, jwk: &Value) -> Outcome<Token> {
        let kind = *self.chance.pick(&KINDS);
        let (header, claims) = (part(&good.text, 0)?, part(&good.text, 1)?);
        let mut longer = claims.clone();
        longer["exp"] = json!(claims["exp"].as_i64().unwrap_or(0) + 3600);
        let (signed, signature) = good.text.rsplit_once('.').ok_or_else(|| Failure::new("not a JWT"))?;
        let text = match kind {
            "foreign key under a known kid" => self.sign(&header, &longer)?,
            "foreign key under its own kid" => return self.unknown_kid(good),
            "foreign key in the header" => {
                let mut header = header;
                header["jwk"] = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" });
                self.sign(&header, &longer)?
            }
            "alg none" => {
                let mut header = header;
                header["alg"] = json!("none");
                format!("{}.", message(&header, &longer))
            }
            "HS256 with the modulus" => {
                by_hmac(&header, &longer, &URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap_or_default())?)
            }
            "HS256 with the JWK" => by_hmac(&header, &longer, jwk.to_string().as_bytes()),
            "tampered claims" => format!("{}.{signature}", message(&header, &longer)),
            "tampered signature" => {
                let mut bytes = URL_SAFE_NO_PAD.decode(signature)?;
                let at = self.chance.below(bytes.len());
                bytes[at] ^= 1;
                format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes))
            }
            _ => format!("{signed}."),
        };
        Ok(token(kind, text, &good.kid))
    }

    /// A token that makes whoever refetches on unknown kids do so.
    pub fn unknown_kid(&mut self, good: &Token) -> Outcome<Token> {
        let mut header = part(&good.text, 0)?;
        let kid = format!("unknown-{}", self.chance.below(usize::MAX));
        header["kid"] = json!(kid);
        let text = self.sign(&header, &part(&good.text, 1)?)?;
        Ok(token("foreign key under its own kid", text, &kid))
    }

    fn sign(&self, header: &Value, claims: &Value) -> Outcome<String> {
        let message = message(header, claims);
        let mut bytes = vec![0; self.key.public_modulus_len()];
        let (padding, random) = (&signature::RSA_PKCS1_SHA256, SystemRandom::new());
        self.key.sign(padding, &random, message.as_bytes(), &mut bytes)?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes)))
    }
}

fn token(how: &str, text: String, kid: &str) -> Token {
    Token {
        id: 0,
        text,
        kid: kid.to_owned(),
        iat: 0,
        exp: 0,
        origin: how.to_owned(),
        genuine: false,
        made_at: now_ms(),
    }
}

fn message(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

fn by_hmac(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let mut header = header.clone();
    header["alg"] = json!("HS256");
    let message = message(&header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}
