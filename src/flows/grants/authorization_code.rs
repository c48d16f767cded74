use super::super::browser_session::Present;
use super::super::issue_tokens::{ClientWish, issue_client_tokens};
use super::super::load_keyring::fresh_keyring;
use super::super::prove_key::KeyProof;
use super::{GrantError, Granted, granted};
use chrono::{DateTime, Utc};

use crate::app::App;
use crate::domain::{
    Actor, AuditEvent, AuthorizationCode, Client, CodeVerifier, OAuthCode, OAuthError, Origin, Parameters,
    Session, Thumbprint, User, scope,
};
use crate::store::{Tx, audit, authorization_codes, sessions, users};
use crate::tokens::{Code, challenge_of};

/// A code for tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.6). The code is used up whatever becomes of it: who shows one
/// with a wrong verifier may be a thief, and gets no second try.
pub(super) async fn grant(
    app: &App,
    client: &Client,
    parameters: &Parameters,
    proof: Option<&KeyProof>,
    origin: &Origin,
) -> Result<Granted, GrantError> {
    let digest = Code::digest_of(parameters.require("code")?);
    let keyring = fresh_keyring(app).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    // First of all the user is held, so that whatever ends their sessions comes before this one or sees it.
    if let Some(user) = authorization_codes::user_of(&mut tx, &digest, &client.id).await? {
        users::hold(&mut tx, user).await?;
    }
    let Some(code) = authorization_codes::consume(&mut tx, &digest, &client.id, now).await? else {
        return refuse_used(app, tx, client, &digest, origin).await;
    };
    let key = match proof {
        Some(proof) => Some(proof.use_up(&mut tx).await?),
        None => None,
    };
    let checked = match check(app, client, &code, parameters, key) {
        Ok(()) => present(app, &mut tx, &code).await?,
        Err(error) => Err(error),
    };
    let Present { session: browser, user } = match checked {
        Ok(present) => present,
        Err(error) => {
            tx.commit().await?;
            return Err(error.into());
        }
    };
    let session = Session {
        id: code.session,
        client_id: client.id.clone(),
        generation: 1,
        replays: 0,
        created_at: now,
        last_used_at: now,
        expires_at: session_end(app, &browser, &code, now),
        parent: Some(browser.id),
        grant: Some(code.grant),
        master_key_id: Some(app.masters.first().id().to_owned()),
        // A client that proves otherwise who it is may take another key next time (RFC 9449 section 5).
        dpop_jkt: key.filter(|_| client.is_public()).cloned(),
        ..browser
    };
    let wish = ClientWish { client: Some(client), narrowed: None, key };
    let tokens = issue_client_tokens(app, &keyring, &user, &session, &wish, now)?;
    let granted = granted(app, &keyring, client, (&user, &session), tokens, code.nonce, now)?;
    sessions::insert(&mut tx, &session).await?;
    sessions::revoke_surplus(&mut tx, browser.id, &client.id, now).await?;
    let detail = serde_json::json!({
        "sid": session.id.0, "client": client.id.as_str(), "scope": granted.scope,
    });
    let origin = Origin { actor: Actor::Client(client.id.clone()), ..origin.clone() };
    let (event, subject) = (AuditEvent::ClientSessionBegun, user.id.to_string());
    audit::append(&mut tx, event, &origin, &subject, Some(&detail.to_string()), now).await?;
    tx.commit().await?;
    Ok(granted)
}

/// A client that was promised to go on without the user goes on for as long as any session; others as long as the browser's.
fn session_end(app: &App, browser: &Session, code: &AuthorizationCode, now: DateTime<Utc>) -> DateTime<Utc> {
    let longest = now + app.settings.sessions.absolute_life;
    match code.grant.scopes.contains(scope::OFFLINE_ACCESS) {
        true => longest,
        false => longest.min(browser.expires_at),
    }
}

/// What the token request must bring.
fn check(
    app: &App,
    client: &Client,
    code: &AuthorizationCode,
    parameters: &Parameters,
    key: Option<&Thumbprint>,
) -> Result<(), OAuthError> {
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
    if let Some(resource) = client.resource(parameters, &app.settings.tokens.audience)?
        && !code.grant.audience.is_empty()
        && !code.grant.audience.iter().any(|granted| granted == resource)
    {
        let text = "resource is not the one of the authorization request";
        return Err(OAuthError::new(OAuthCode::InvalidTarget, text));
    }
    Ok(())
}

/// Whoever agreed must still be signed in in their browser, and still be somebody.
async fn present(
    app: &App,
    tx: &mut Tx,
    code: &AuthorizationCode,
) -> Result<Result<Present, OAuthError>, GrantError> {
    let (limits, now) = (&app.settings.sessions, app.clock.now());
    let session = sessions::by_id(tx, code.browser).await?.filter(|session| session.is_live(limits, now));
    let Some(session) = session else { return Ok(Err(OAuthError::invalid_grant("the user has signed out"))) };
    let user = users::by_id(tx, session.user_id).await?.filter(User::may_act);
    Ok(match user {
        Some(user) => Ok(Present { session, user }),
        None => Err(OAuthError::invalid_grant("the user may not act any more")),
    })
}

/// A code that was used before ends what came of it: one of the two who had it is a thief (RFC 6749 section 4.1.2).
async fn refuse_used(
    app: &App,
    mut tx: Tx,
    client: &Client,
    digest: &[u8],
    origin: &Origin,
) -> Result<Granted, GrantError> {
    let now = app.clock.now();
    let used = authorization_codes::session_of_used(&mut tx, digest, &client.id).await?;
    if let Some(session) = used
        && sessions::revoke(&mut tx, session, now).await?
    {
        let detail = serde_json::json!({ "client": client.id.as_str() }).to_string();
        let (event, subject) = (AuditEvent::CodeReused, session.to_string());
        audit::append(&mut tx, event, origin, &subject, Some(&detail), now).await?;
    }
    tx.commit().await?;
    Err(OAuthError::invalid_grant("the code is unknown, expired or used").into())
}
