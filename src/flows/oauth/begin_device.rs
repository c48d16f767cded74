use crate::app::App;
use crate::domain::clients::{Client, GrantType};
use crate::domain::oauth::DeviceGrant;
use crate::domain::operations::AuditContext;
use crate::domain::sessions::GrantedAccess;
use crate::domain::{OAuthCode, OAuthError, Parameters, SessionId};
use crate::flows::passwords::TooManyAttempts;
use crate::flows::passwords::charge_network_alone;
use crate::store::StoreError;
use crate::store::oauth::device_codes;
use crate::throttle::NetworkBudget;
use crate::tokens::{DeviceCode, UserCode};

/// Devices of public clients that begin to wait.
const DEVICES: NetworkBudget = NetworkBudget::new("device source");

/// Of so many user codes one is free.
const TRIES: usize = 5;

/// What a device asks and shows from now on (RFC 8628 section 3.2).
pub struct WaitingDevice {
    pub device_code: DeviceCode,
    pub user_code: UserCode,
}

/// Why a device does not even wait.
#[derive(Debug, thiserror::Error)]
pub enum BeginDeviceError {
    #[error(transparent)]
    OAuth(#[from] OAuthError),
    #[error(transparent)]
    TooManyAttempts(#[from] TooManyAttempts),
    #[error("the operating system gives no randomness")]
    NoRandomness,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A device without a browser begins to wait for somebody who has one. Anybody can be a client that proves nothing, so those are
/// charged to the network they come from.
pub async fn begin_device(
    app: &App,
    client: &Client,
    parameters: &Parameters,
    context: &AuditContext,
) -> Result<WaitingDevice, BeginDeviceError> {
    if !client.may(GrantType::DeviceCode) {
        let text = "the client is not registered for this grant";
        return Err(OAuthError::new(OAuthCode::UnauthorizedClient, text).into());
    }
    parameters.each_once()?;
    let scopes = client.asked_scopes(parameters)?;
    let audience = client.audience_for(&client.resources(parameters, &app.settings.tokens.audience)?);
    if client.is_public() {
        let policy = app.settings.max_failures_per_network;
        charge_network_alone(app, context, policy, DEVICES).await??;
    }
    let device_code = DeviceCode::random().ok_or(BeginDeviceError::NoRandomness)?;
    let now = app.clock.now();
    let device = DeviceGrant {
        digest: device_code.digest(),
        user_code: Vec::new(),
        client_id: client.id.clone(),
        granted: GrantedAccess { scopes, audience },
        session: SessionId::new(now),
        browser: None,
        created_at: now,
        expires_at: now + DeviceGrant::LIFE,
        denied_at: None,
        consumed_at: None,
    };
    for _ in 0..TRIES {
        let user_code = UserCode::random().ok_or(BeginDeviceError::NoRandomness)?;
        let device = DeviceGrant { user_code: user_code.mac(app.master_keys.first()), ..device.clone() };
        if device_codes::insert(&mut app.db.write().await?, &device, DeviceGrant::INTERVAL).await? {
            return Ok(WaitingDevice { device_code, user_code });
        }
    }
    Err(BeginDeviceError::NoRandomness)
}
