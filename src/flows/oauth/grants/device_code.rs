use super::begin_session::{NewSession, begin_session, browser_user, end_reused};
use super::{GrantError, IdTokenOptions, TokenSet, granted_resources};
use crate::app::App;
use crate::domain::clients::Client;
use crate::domain::oauth::{DeviceGrant, DeviceStatus};
use crate::domain::operations::AuditContext;
use crate::domain::sessions::GrantedAccess;
use crate::domain::{OAuthCode, OAuthError, Parameters};
use crate::flows::keys::fresh_keyring;
use crate::flows::sessions::BrowserUser;
use crate::flows::sessions::scopes_now;
use crate::flows::sessions::{KeyProof, proved_key};
use crate::store::Tx;
use crate::store::accounts::users;
use crate::store::oauth::device_codes;
use crate::tokens::DeviceCode;

/// A device asks whether somebody has let it in (RFC 8628 section 3.4).
pub(super) async fn redeem(
    app: &App,
    client: &Client,
    parameters: &Parameters,
    proof: Option<&KeyProof>,
    context: &AuditContext,
) -> Result<TokenSet, GrantError> {
    let digest = DeviceCode::digest_of(parameters.require("device_code")?);
    let keyring = fresh_keyring(app).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    // First of all the user is held, so that whatever ends their sessions comes before this one or sees it. A device that is let in
    // after this look gets its tokens when it asks again.
    let known = device_codes::of_client(&mut tx, &digest, &client.id).await?;
    let Some(browser) = known.and_then(|device| device.browser) else {
        return refuse(app, tx, client, &digest, context).await;
    };
    users::lock_user_of_session(&mut tx, browser).await?;
    let Some(device) = device_codes::consume(&mut tx, &digest, &client.id, now).await? else {
        return refuse(app, tx, client, &digest, context).await;
    };
    let key = proved_key(&mut tx, proof).await?;
    let resources = granted_resources(app, client, parameters, &device.granted)?;
    // Whoever signed in again meanwhile has another session by now.
    let browser_user = match browser_user(app, &mut tx, device.browser.unwrap_or(browser)).await? {
        Ok(browser_user) => browser_user,
        Err(error) => {
            tx.commit().await?;
            return Err(error.into());
        }
    };
    let BrowserUser { user, .. } = &browser_user;
    let granted = GrantedAccess { scopes: scopes_now(app, user, Some(&device.granted)), ..device.granted };
    let id_token = IdTokenOptions::default();
    let new_session = NewSession { session: device.session, granted, resources, id_token, key, now };
    let token_set = begin_session(app, &mut tx, &keyring, client, browser_user, new_session, context).await?;
    tx.commit().await?;
    Ok(token_set)
}

/// Not yet, or never (RFC 8628 section 3.5).
async fn refuse(
    app: &App,
    mut tx: Tx,
    client: &Client,
    digest: &[u8],
    context: &AuditContext,
) -> Result<TokenSet, GrantError> {
    let now = app.clock.now();
    let device = device_codes::of_client(&mut tx, digest, &client.id).await?;
    let error = match device.as_ref().map(|device| device.status(now)) {
        None => OAuthError::invalid_grant("the device code is unknown"),
        Some(DeviceStatus::Used) => {
            if let Some(device) = &device {
                end_reused(&mut tx, client, device.session, context, now).await?;
            }
            OAuthError::invalid_grant("the device code has been used")
        }
        Some(DeviceStatus::Denied) => OAuthError::new(OAuthCode::AccessDenied, "the user does not agree"),
        Some(DeviceStatus::Expired) => {
            OAuthError::new(OAuthCode::ExpiredToken, "the device code has expired")
        }
        // Allowed a moment ago: the next time it asks, it gets its tokens.
        Some(DeviceStatus::Waiting | DeviceStatus::Allowed) => {
            let (tolerance, longer) = (DeviceGrant::TOLERANCE, DeviceGrant::INTERVAL);
            match device_codes::record_poll(&mut tx, digest, tolerance, longer, now).await? {
                true => OAuthError::new(OAuthCode::AuthorizationPending, "nobody has decided yet"),
                false => OAuthError::new(OAuthCode::SlowDown, "wait 5 seconds longer from now on"),
            }
        }
    };
    tx.commit().await?;
    Err(error.into())
}
