use super::begin_session::{NewSession, begin_session, browser_user, end_reused};
use super::{GrantError, IdTokenOptions, TokenSet, granted_resources};
use crate::app::App;
use crate::domain::clients::Client;
use crate::domain::oauth::{AuthorizationCode, CodeVerifier};
use crate::domain::operations::AuditContext;
use crate::domain::{OAuthCode, OAuthError, Parameters, Thumbprint};
use crate::flows::keys::fresh_keyring;
use crate::flows::sessions::{KeyProof, proved_key};
use crate::store::Tx;
use crate::store::accounts::users;
use crate::store::oauth::authorization_codes;
use crate::tokens::{AuthorizationCodeSecret, challenge_of};

/// A code for tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.6). The code is used up whatever becomes of it: who shows one
/// with a wrong verifier may be a thief, and gets no second try.
pub(super) async fn redeem(
    app: &App,
    client: &Client,
    parameters: &Parameters,
    proof: Option<&KeyProof>,
    context: &AuditContext,
) -> Result<TokenSet, GrantError> {
    let digest = AuthorizationCodeSecret::digest_of(parameters.require("code")?);
    let keyring = fresh_keyring(app).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    // First of all the user is held, so that whatever ends their sessions comes before this one or sees it.
    if let Some(user) = authorization_codes::user_of(&mut tx, &digest, &client.id).await? {
        users::lock_for_update(&mut tx, user).await?;
    }
    let Some(code) = authorization_codes::consume(&mut tx, &digest, &client.id, now).await? else {
        return refuse_used(app, tx, client, &digest, context).await;
    };
    let key = proved_key(&mut tx, proof).await?;
    let checked = match check(app, client, &code, parameters, key) {
        Ok(resources) => {
            browser_user(app, &mut tx, code.browser).await?.map(|browser_user| (browser_user, resources))
        }
        Err(error) => Err(error),
    };
    let (browser_user, resources) = match checked {
        Ok(checked) => checked,
        // Without the key nobody gains anything by trying, so the code stays for who has it and forgot to show it.
        Err(error) if error.code == OAuthCode::InvalidDpopProof => return Err(error.into()),
        Err(error) => {
            tx.commit().await?;
            return Err(error.into());
        }
    };
    let id_token = IdTokenOptions { nonce: code.nonce, claims: code.id_claims };
    let new_session =
        NewSession { session: code.session, granted: code.granted, resources, id_token, key, now };
    let token_set = begin_session(app, &mut tx, &keyring, client, browser_user, new_session, context).await?;
    tx.commit().await?;
    Ok(token_set)
}

/// What the token request must bring. Returns the resources it names.
fn check<'p>(
    app: &App,
    client: &Client,
    code: &AuthorizationCode,
    parameters: &'p Parameters,
    key: Option<&Thumbprint>,
) -> Result<Vec<&'p str>, OAuthError> {
    let wrong = |text| Err(OAuthError::invalid_grant(text));
    let named = parameters.get("redirect_uri");
    let is_same = match named {
        Some(named) => named == code.redirect_uri.as_str(),
        None => !code.redirect_uri_was_sent,
    };
    if !is_same {
        return wrong("redirect_uri is not the one of the authorization request");
    }
    match (&code.challenge, parameters.get("code_verifier")) {
        (Some(challenge), Some(verifier)) => {
            let verifier = CodeVerifier::parse(verifier);
            if verifier.is_none_or(|verifier| challenge_of(&verifier) != challenge.as_str()) {
                return wrong("code_verifier is wrong");
            }
        }
        (Some(_), None) => return wrong("code_verifier is missing"),
        // Somebody took the challenge out of the request (RFC 9700 section 4.8.2).
        (None, Some(_)) => return wrong("code_verifier is there, and no code_challenge was"),
        (None, None) => {}
    }
    match (&code.dpop_jkt, key) {
        (Some(_), None) => {
            let text = "the code is bound to a key; send a DPoP header";
            return Err(OAuthError::new(OAuthCode::InvalidDpopProof, text));
        }
        (Some(bound), Some(key)) if bound != key => return wrong("the code is bound to another key"),
        _ => {}
    }
    granted_resources(app, client, parameters, &code.granted)
}

/// A code that was used before ends what came of it: one of the two who had it is a thief (RFC 6749 section 4.1.2).
async fn refuse_used(
    app: &App,
    mut tx: Tx,
    client: &Client,
    digest: &[u8],
    context: &AuditContext,
) -> Result<TokenSet, GrantError> {
    let now = app.clock.now();
    if let Some(session) = authorization_codes::session_of_used(&mut tx, digest, &client.id).await? {
        end_reused(&mut tx, client, session, context, now).await?;
    }
    tx.commit().await?;
    Err(OAuthError::invalid_grant("the code is unknown, expired or used").into())
}
