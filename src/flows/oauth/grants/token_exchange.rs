use uuid::Uuid;

use super::{GrantError, TokenSet};
use crate::app::App;
use crate::domain::clients::Client;
use crate::domain::oauth::ExchangeRequest;
use crate::domain::{OAuthCode, OAuthError, Parameters};
use crate::flows::keys::fresh_keyring;
use crate::flows::oauth::introspect::{IntrospectError, active};
use crate::flows::sessions::TokenSubject;
use crate::flows::sessions::{KeyProof, proved_key_alone};
use crate::flows::sessions::{access_token_ttl, sign_access_token};
use crate::tokens::{AccessClaims, Act, Audience, Confirmation};

/// A user's access token for one by which the client acts for that user towards another service (RFC 8693): narrower, no longer good
/// than the one that was shown, and dead with the user's session. It is bound to the key the client proves. One signature, and
/// nothing written but the proof's use.
pub(super) async fn redeem(
    app: &App,
    client: &Client,
    parameters: &Parameters,
    proof: Option<&KeyProof>,
) -> Result<TokenSet, GrantError> {
    let request = ExchangeRequest::parse(parameters, client)?;
    if let Some(token) = request.actor_token {
        is_their_own(app, client, token, proof).await?;
    }
    let (presented, subject) = good(app, request.subject_token, "subject_token is not valid").await?;
    may_be_presented(&presented, proof, "subject_token")?;
    let is_for = client.audiences.iter().any(|audience| presented.aud.contains(audience));
    if !is_for && presented.client_id != client.id.as_str() {
        return refused("subject_token is neither for this client nor its own");
    }
    let TokenSubject::User(current) = subject else { return refused("subject_token is no user's") };
    let scopes = request.narrowed(&current.scopes, client)?;
    let Some(act) = Act::by(client.id.as_str(), presented.act) else {
        return refused("subject_token has passed through too many hands");
    };
    let keyring = fresh_keyring(app).await?;
    let now = app.clock.now();
    let expires_at = (now + access_token_ttl(app, Some(client))).timestamp().min(presented.exp);
    if expires_at <= now.timestamp() {
        return refused("subject_token is not valid");
    }
    let key = proved_key_alone(app, proof).await?;
    // What a role that was taken away gave is not said again.
    let mut roles = current.user.roles.names();
    roles.retain(|role| presented.roles.as_ref().is_some_and(|presented| presented.contains(role)));
    let claims = AccessClaims {
        aud: Audience::of(&request.targets),
        exp: expires_at,
        iat: now.timestamp(),
        nbf: Some(now.timestamp()),
        jti: Uuid::new_v4(),
        client_id: client.id.to_string(),
        scope: scopes.to_string(),
        roles: Some(roles),
        act: Some(act),
        cnf: key.map(Confirmation::from),
        ..presented
    };
    let ends = chrono::DateTime::from_timestamp(expires_at, 0).unwrap_or(now);
    let access_token = sign_access_token(app, &keyring, &claims, ends)?;
    Ok(TokenSet {
        access_token,
        expires_in: claims.exp - claims.iat,
        scope: claims.scope,
        refresh_token: None,
        refresh_expires_in: None,
        id_token: None,
        issued_token_type: Some(ExchangeRequest::ISSUED),
    })
}

/// Nobody acts but the client that asks.
async fn is_their_own(
    app: &App,
    client: &Client,
    token: &str,
    proof: Option<&KeyProof>,
) -> Result<(), GrantError> {
    match good(app, token, "actor_token is not valid").await? {
        (presented, TokenSubject::Service { client: actor, .. }) if actor.id == client.id => {
            may_be_presented(&presented, proof, "actor_token")
        }
        _ => refused("actor_token is not the client's own access token"),
    }
}

/// A token that is bound to a key is exchanged for nobody who does not prove to have it: otherwise whoever has seen it could make
/// one of it that is bound to a key of theirs, or to none (RFC 9449 section 9).
fn may_be_presented(
    presented: &AccessClaims,
    proof: Option<&KeyProof>,
    name: &'static str,
) -> Result<(), GrantError> {
    let Some(bound) = &presented.cnf else { return Ok(()) };
    match proof {
        None => {
            let text = format!("{name} is bound to a key; send a DPoP header");
            Err(OAuthError::new(OAuthCode::InvalidDpopProof, text).into())
        }
        Some(proof) if proof.jkt() == bound.jkt => Ok(()),
        Some(_) => Err(OAuthError::invalid_request(format!("{name} is bound to another key")).into()),
    }
}

/// A token that introspection would call active at this moment.
async fn good(
    app: &App,
    token: &str,
    otherwise: &'static str,
) -> Result<(AccessClaims, TokenSubject), GrantError> {
    match active(app, token).await {
        Ok(Some(found)) => Ok(found),
        Ok(None) => refused(otherwise),
        Err(IntrospectError::Keys(error)) => Err(error.into()),
        Err(IntrospectError::Store(error)) => Err(error.into()),
    }
}

fn refused<T>(text: &'static str) -> Result<T, GrantError> {
    Err(OAuthError::invalid_request(text).into())
}
