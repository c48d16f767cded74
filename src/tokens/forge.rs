//! Tokens that every service must refuse: what an attacker makes of public things and of tokens meant for others. They are
//! composed by hand, for no library would write most of them.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::TYP;
use super::access::{AccessClaims, AccessToken, Audience};
use crate::keys::{Signer, SignerError};

/// One way to make a token that is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// Signed by a key that nobody published, and saying so.
    UnknownKey,
    /// Signed by that key, under the kid of one that is published.
    ForeignKeyUnderOurKid,
    /// Not signed (RFC 8725 section 2.1).
    NoAlgorithm,
    /// HS256, with the public key as the secret everybody knows (RFC 8725 section 2.1).
    PublicKeyAsSecret,
    /// The header names another algorithm than the signature is of.
    OtherAlgorithm,
    AlteredSignature,
    /// Good until 10 minutes ago.
    Expired,
    /// Good in 10 minutes.
    NotYetValid,
    OtherAudience,
    OtherIssuer,
    /// `typ: JWT`, as any JWT has that is no access token (RFC 9068 section 4, RFC 8725 section 3.11).
    OtherType,
    /// The header brings the key to check it with (RFC 8725 section 3.10).
    EmbeddedKey,
    /// The header says that an extension nobody knows must be understood (RFC 7515 section 4.1.11).
    UnknownCritical,
}

impl Forgery {
    pub const ALL: [Self; 13] = [
        Self::UnknownKey,
        Self::ForeignKeyUnderOurKid,
        Self::NoAlgorithm,
        Self::PublicKeyAsSecret,
        Self::OtherAlgorithm,
        Self::AlteredSignature,
        Self::Expired,
        Self::NotYetValid,
        Self::OtherAudience,
        Self::OtherIssuer,
        Self::OtherType,
        Self::EmbeddedKey,
        Self::UnknownCritical,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownKey => "key never published",
            Self::ForeignKeyUnderOurKid => "key never published, under the current kid",
            Self::NoAlgorithm => "alg none, no signature",
            Self::PublicKeyAsSecret => "HS256 with the public key as the secret",
            Self::OtherAlgorithm => "another alg in the header",
            Self::AlteredSignature => "altered signature",
            Self::Expired => "expired 10 minutes ago",
            Self::NotYetValid => "not valid for 10 more minutes",
            Self::OtherAudience => "another audience",
            Self::OtherIssuer => "another issuer",
            Self::OtherType => "typ JWT, not at+jwt",
            Self::EmbeddedKey => "the forger's own key in the header",
            Self::UnknownCritical => "unknown critical header",
        }
    }
}

/// Both halves of a key.
#[derive(Clone, Copy)]
pub struct SigningMaterial<'a> {
    pub signer: &'a Signer,
    pub public_jwk: &'a Value,
}

/// Spoils a token: `claims` are good ones, `ours` is a key the service trusts, `theirs` one that nobody does.
pub fn forge(
    forgery: Forgery,
    mut claims: AccessClaims,
    ours: SigningMaterial<'_>,
    theirs: SigningMaterial<'_>,
) -> Result<AccessToken, SignerError> {
    let (mut header, mut by) = (header(ours.signer), ours.signer);
    let now = claims.iat;
    match forgery {
        Forgery::UnknownKey => (header, by) = (self::header(theirs.signer), theirs.signer),
        Forgery::ForeignKeyUnderOurKid => by = theirs.signer,
        Forgery::NoAlgorithm => {
            header["alg"] = json!("none");
            return compose(&header, &claims, |_| Ok(Vec::new()));
        }
        Forgery::PublicKeyAsSecret => {
            header["alg"] = json!("HS256");
            let secret = ours.signer.public_key_pem().unwrap_or_else(|| ours.public_jwk.to_string());
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            return compose(&header, &claims, |message| Ok(hmac::sign(&key, message).as_ref().to_vec()));
        }
        Forgery::OtherAlgorithm => {
            header["alg"] = json!(if header["alg"] == "RS256" { "RS512" } else { "RS256" });
        }
        Forgery::AlteredSignature => {
            return compose(&header, &claims, |message| {
                let mut signature = by.sign(message)?;
                let middle = signature.len() / 2;
                signature.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 1);
                Ok(signature)
            });
        }
        Forgery::Expired => {
            (claims.iat, claims.nbf, claims.auth_time, claims.exp) =
                (now - 900, Some(now - 900), Some(now - 900), now - 600);
        }
        Forgery::NotYetValid => (claims.nbf, claims.exp) = (Some(now + 600), now + 900),
        Forgery::OtherAudience => claims.aud = Audience::One("https://another-service.invalid".to_owned()),
        Forgery::OtherIssuer => "https://another-issuer.invalid".clone_into(&mut claims.iss),
        Forgery::OtherType => header["typ"] = json!("JWT"),
        Forgery::EmbeddedKey => {
            (header, by) = (self::header(theirs.signer), theirs.signer);
            header["jwk"] = theirs.public_jwk.clone();
        }
        Forgery::UnknownCritical => {
            header["crit"] = json!(["chancery-probe"]);
            header["chancery-probe"] = json!(true);
        }
    }
    compose(&header, &claims, |message| by.sign(message))
}

fn header(signer: &Signer) -> Value {
    json!({ "alg": signer.alg().as_str(), "typ": TYP, "kid": signer.kid().as_str() })
}

/// JWS compact serialisation (RFC 7515 section 7.1).
fn compose(
    header: &Value,
    claims: &AccessClaims,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, SignerError>,
) -> Result<AccessToken, SignerError> {
    let payload = serde_json::to_vec(claims).unwrap_or_default();
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes())?);
    Ok(AccessToken::composed(format!("{message}.{signature}")))
}
