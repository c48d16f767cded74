use super::authorize::hinted_user;
use crate::app::App;
use crate::domain::clients::Client;
use crate::domain::oauth::{AuthorizationRequest, NonRedirectableError, RedirectTarget};
use crate::domain::{OAuthCode, OAuthError, Parameters};
use crate::flows::keys::LoadKeyringError;
use crate::flows::sessions::{KeyProof, PresentedProof, ProveKeyError, prove_key, proved_key};
use crate::store::StoreError;
use crate::store::oauth::pushed_requests;
use crate::tokens::RequestUri;

/// What shows that a client is who it says belongs to this request alone, and is not kept.
const CREDENTIALS: [&str; 4] = ["client_id", "client_secret", "client_assertion", "client_assertion_type"];
/// The most that is kept of one request, in bytes: it travels in an address when its user signs in.
const LONGEST: usize = 16 * 1024;

/// A request that was pushed, by the name under which it waits.
pub struct PushedRequest {
    pub request_uri: RequestUri,
    /// In seconds.
    pub expires_in: i64,
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PushRequestError {
    #[error(transparent)]
    OAuth(#[from] OAuthError),
    #[error("the operating system gives no randomness")]
    NoRandomness,
    #[error(transparent)]
    Keys(#[from] LoadKeyringError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ProveKeyError> for PushRequestError {
    fn from(error: ProveKeyError) -> Self {
        match error {
            ProveKeyError::Proof(error) => Self::OAuth(error.into()),
            ProveKeyError::Store(error) => Self::Store(error),
        }
    }
}

impl From<NonRedirectableError> for OAuthError {
    fn from(error: NonRedirectableError) -> Self {
        let code = match error {
            NonRedirectableError::NotAllowed => OAuthCode::UnauthorizedClient,
            _ => OAuthCode::InvalidRequest,
        };
        Self::new(code, error.to_string())
    }
}

/// Takes an authorization request from its client itself, and gives it a name (RFC 9126). Whatever could be wrong with it is
/// looked at now, and again when it is used. A key that is proved with it is as good as its `dpop_jkt` (RFC 9449 section 10.1).
pub async fn push_request(
    app: &App,
    client: &Client,
    parameters: &Parameters,
    shown: &PresentedProof,
) -> Result<PushedRequest, PushRequestError> {
    if parameters.get("request_uri").is_some() {
        return Err(OAuthError::invalid_request("a request_uri cannot be pushed").into());
    }
    let own = parameters.iter().filter(|(name, _)| !CREDENTIALS.contains(name));
    let kept = own.chain([("client_id", client.id.as_str())]);
    let kept: Parameters = kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if kept.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > LONGEST {
        return Err(OAuthError::invalid_request("the request is too long").into());
    }
    let proof = proof_of(app, &kept, shown)?;
    let kept = match &proof {
        Some(proof) => with(kept, "dpop_jkt", proof.jkt()),
        None => kept,
    };
    let back = RedirectTarget::find(client, &kept).map_err(OAuthError::from)?;
    let request = AuthorizationRequest::read(client, &kept, back, app.settings.request_rules())?;
    hinted_user(app, client, &request).await??;
    let request_uri = RequestUri::random().ok_or(PushRequestError::NoRandomness)?;
    let life = app.settings.oauth.par_ttl;
    let expires_at = app.clock.now() + life;
    let conn = &mut app.db.write().await?;
    proved_key(conn, proof.as_ref()).await?;
    pushed_requests::insert(conn, &request_uri.digest(), &client.id, &kept, expires_at).await?;
    Ok(PushedRequest { request_uri, expires_in: life.num_seconds() })
}

/// The proof that came with the request, which is of the key that the request names, if it names one.
fn proof_of(app: &App, said: &Parameters, shown: &PresentedProof) -> Result<Option<KeyProof>, OAuthError> {
    if shown.texts.is_empty() {
        return Ok(None);
    }
    let proof = prove_key(app, shown, None)?;
    match said.get("dpop_jkt") {
        Some(jkt) if proof.jkt() != jkt => {
            let text = "dpop_jkt is not the key of the DPoP header";
            Err(OAuthError::new(OAuthCode::InvalidDpopProof, text))
        }
        _ => Ok(Some(proof)),
    }
}

fn with(parameters: Parameters, name: &str, value: &str) -> Parameters {
    let others = parameters.iter().filter(|(other, _)| *other != name);
    others.chain([(name, value)]).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
