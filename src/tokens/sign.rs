use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::keys::{Signer, SignerError};

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

/// Signs claims: header `alg`, `typ`, `kid`, in JWS compact serialisation (RFC 7515 section 7.1).
pub(super) fn sign(signer: &Signer, typ: &str, claims: &impl Serialize) -> Result<String, SignerError> {
    let header = Header { alg: signer.alg().as_str(), typ, kid: signer.kid().as_str() };
    // Strings, integers and lists of them always serialise.
    let header = serde_json::to_vec(&header).unwrap_or_default();
    let payload = serde_json::to_vec(claims).unwrap_or_default();
    let mut token = String::with_capacity((header.len() + payload.len()) * 4 / 3 + 700);
    URL_SAFE_NO_PAD.encode_string(header, &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = signer.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}
