use uuid::Uuid;

use super::{GrantError, TokenSet};
use crate::app::App;
use crate::domain::clients::Client;
use crate::domain::sessions::GrantedAccess;
use crate::domain::{OAuthCode, OAuthError, Parameters, Scopes, scope};
use crate::flows::keys::fresh_keyring;
use crate::flows::sessions::{KeyProof, proved_key_alone};
use crate::flows::sessions::{access_token_ttl, audience, sign_access_token};
use crate::tokens::{AccessClaims, Confirmation};

/// A service account for itself (RFC 6749 section 4.4): one signature, and nothing written but, where it shows a
/// key, that its proof is used up. There is no session, so no refresh token, and no user, so no ID token.
pub(super) async fn redeem(
    app: &App,
    client: &Client,
    parameters: &Parameters,
    proof: Option<&KeyProof>,
) -> Result<TokenSet, GrantError> {
    let wrong = |text| OAuthError::new(OAuthCode::InvalidScope, text);
    let own = client.scopes.without(&Scopes::of_users());
    let scopes = match parameters.get("scope") {
        None => own,
        Some(written) => match Scopes::parse(written) {
            Ok(asked) if own.includes(&asked) => asked,
            Ok(asked) if asked.contains(scope::OPENID) => return Err(wrong("there is no user").into()),
            Ok(_) => return Err(wrong("the client may not ask for one of these scopes").into()),
            Err(_) => return Err(wrong("this is no scope").into()),
        },
    };
    let requested = client.audience_for(&client.resources(parameters, &app.settings.tokens.audience)?);
    let keyring = fresh_keyring(app).await?;
    let key = proved_key_alone(app, proof).await?;
    let now = app.clock.now();
    let expires_at = now + access_token_ttl(app, Some(client));
    let grant = GrantedAccess { scopes, audience: requested };
    let claims = AccessClaims {
        iss: app.settings.server.issuer.clone(),
        sub: client.id.to_string(),
        aud: audience(app, Some(&grant), &grant.scopes, &[], Some(client)),
        exp: expires_at.timestamp(),
        iat: now.timestamp(),
        nbf: Some(now.timestamp()),
        jti: Uuid::new_v4(),
        client_id: client.id.to_string(),
        scope: grant.scopes.to_string(),
        sid: None,
        auth_time: None,
        roles: None,
        amr: None,
        act: None,
        cnf: key.map(Confirmation::from),
    };
    let access_token = sign_access_token(app, &keyring, &claims, expires_at)?;
    Ok(TokenSet {
        access_token,
        expires_in: claims.exp - claims.iat,
        scope: claims.scope,
        refresh_token: None,
        refresh_expires_in: None,
        id_token: None,
        issued_token_type: None,
    })
}
