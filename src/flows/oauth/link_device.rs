use super::browser::{
    Asking, AuthorizeError, BrowserContext, CodeRefusal, Confirming, DeviceStep, NextStep, SubmittedForm,
};
use crate::app::App;
use crate::domain::accounts::User;
use crate::domain::clients::Client;
use crate::domain::oauth::{DeviceGrant, DeviceStatus};
use crate::domain::operations::{Actor, AuditContext, AuditEvent};
use crate::domain::{Parameters, SessionId};
use crate::flows::passwords::TooManyAttempts;
use crate::flows::sessions::{BrowserUser, browser_user_of};
use crate::store::oauth::device_codes;
use crate::store::operations::audit;
use crate::store::passwords::network_attempts;
use crate::store::passwords::network_attempts::NetworkCharge;
use crate::store::{Conn, StoreError, clients};
use crate::throttle::{NetworkBudget, Subject};
use crate::tokens::{PendingRequest, PendingRequestKind, PresentedConsent, UserCode};

/// Wrong user codes.
const USER_CODES: NetworkBudget = NetworkBudget::new("user code source");

/// The name of the code in a pending request.
const USER_CODE: &str = "user_code";

/// Asks for the code. One that came with the address is for the person to confirm, so it is not looked at.
pub fn begin_link(app: &App, browser: &BrowserContext) -> Result<DeviceStep, AuthorizeError> {
    ask_for_code(app, browser, None)
}

fn ask_for_code(
    app: &App,
    browser: &BrowserContext,
    refusal: Option<CodeRefusal>,
) -> Result<DeviceStep, AuthorizeError> {
    let nothing = Parameters::default();
    let pending =
        PendingRequest::begin(PendingRequestKind::Device, &nothing, browser.binding(app), app.clock.now());
    let pending = pending.seal(&app.master_keys).ok_or(AuthorizeError::NoRandomness)?;
    Ok(DeviceStep::Enter { pending, refusal })
}

/// Looks for the device whose code somebody has typed. There are few codes, so every guess that is wrong counts against the network
/// it comes from, and none is looked at when there were too many.
pub async fn enter_code(
    app: &App,
    browser: &BrowserContext,
    typed: &str,
) -> Result<NextStep, AuthorizeError> {
    let code = match look_up(app, browser, typed).await? {
        Ok(code) => code,
        Err(refusal) => return Ok(NextStep::Device(ask_for_code(app, browser, Some(refusal))?)),
    };
    let parameters = Parameters::from_iter([(USER_CODE.to_owned(), code.expose().to_owned())]);
    let pending =
        PendingRequest::begin(PendingRequestKind::Device, &parameters, browser.binding(app), app.clock.now());
    let browser_user = browser_user_of(app, browser.session.as_deref()).await?;
    proceed_link(app, &pending, browser_user, browser).await
}

async fn look_up(
    app: &App,
    browser: &BrowserContext,
    typed: &str,
) -> Result<Result<UserCode, CodeRefusal>, StoreError> {
    let (now, context) = (app.clock.now(), &browser.audit);
    let policy = app.settings.max_failures_per_network.unwrap_or(DeviceGrant::GUESSES);
    let network = context.ip.map(|ip| Subject::network(&app.master_keys, USER_CODES, ip));
    let mut tx = app.db.begin().await?;
    if let Some(network) = &network {
        // It lapses at once: the charge is finished in this transaction, so none is in flight.
        match network_attempts::charge(&mut tx, network.as_bytes(), &policy, now, now).await? {
            NetworkCharge::Charged | NetworkCharge::InFlight => {}
            NetworkCharge::Refused { retry_after } => {
                return Ok(Err(CodeRefusal::TooManyAttempts(TooManyAttempts { retry_after })));
            }
        }
    }
    let found = match UserCode::parse(typed) {
        Some(code) => {
            let device = by_user_code(app, &mut tx, &code).await?;
            device.filter(|device| device.status(now) == DeviceStatus::Waiting).map(|_| code)
        }
        None => None,
    };
    if let Some(network) = &network {
        network_attempts::finish(&mut tx, network.as_bytes(), &policy, found.is_none(), now).await?;
    }
    if found.is_none() {
        audit::append(&mut tx, AuditEvent::UserCodeRejected, context, "unknown", None, now).await?;
    }
    tx.commit().await?;
    Ok(found.ok_or(CodeRefusal::Wrong))
}

/// The device with this code, under whichever master key it was kept.
async fn by_user_code(
    app: &App,
    conn: &mut Conn,
    code: &UserCode,
) -> Result<Option<DeviceGrant>, StoreError> {
    for master in app.master_keys.iter() {
        if let Some(device) = device_codes::of_user_code(conn, &code.mac(master)).await? {
            return Ok(Some(device));
        }
    }
    Ok(None)
}

/// A device, and whose it is.
struct Linking {
    code: UserCode,
    device: DeviceGrant,
    client: Client,
}

/// The device of a pending request, in any state.
async fn device_of(app: &App, pending: &PendingRequest) -> Result<Option<Linking>, StoreError> {
    let Some(code) = pending.parameters().get(USER_CODE).and_then(UserCode::parse) else { return Ok(None) };
    let mut conn = app.db.read().await?;
    let Some(device) = by_user_code(app, &mut conn, &code).await? else { return Ok(None) };
    let client = clients::by_id(&mut conn, &device.client_id).await?;
    Ok(client.map(|client| Linking { code, device, client }))
}

/// The same, if it still waits for somebody.
async fn waiting(app: &App, pending: &PendingRequest) -> Result<Option<Linking>, StoreError> {
    let now = app.clock.now();
    Ok(device_of(app, pending).await?.filter(|linking| linking.device.status(now) == DeviceStatus::Waiting))
}

/// What the page shows that asks about a device.
fn presented_consent(user: &User, device: &DeviceGrant) -> PresentedConsent {
    PresentedConsent { user: user.id.0, scope: device.granted.scopes.to_string() }
}

/// Signs in, or asks.
pub(super) async fn proceed_link(
    app: &App,
    pending: &PendingRequest,
    browser_user: Option<BrowserUser>,
    browser: &BrowserContext,
) -> Result<NextStep, AuthorizeError> {
    let Some(linking) = waiting(app, pending).await? else {
        return Ok(NextStep::Device(ask_for_code(app, browser, Some(CodeRefusal::Wrong))?));
    };
    let Some(BrowserUser { user, .. }) = browser_user else {
        return Ok(NextStep::SignIn(Box::new(asking(app, pending, linking)?)));
    };
    let Linking { code, device, client } = linking;
    let pending = pending
        .presenting(presented_consent(&user, &device))
        .seal(&app.master_keys)
        .ok_or(AuthorizeError::NoRandomness)?;
    let confirming = Confirming { pending, client, user, user_code: code, scopes: device.granted.scopes };
    Ok(NextStep::Device(DeviceStep::Confirm(Box::new(confirming))))
}

/// The page to sign in, for the sake of a device.
pub(super) async fn show_link_sign_in(
    app: &App,
    pending: &PendingRequest,
    browser: &BrowserContext,
) -> Result<NextStep, AuthorizeError> {
    match waiting(app, pending).await? {
        Some(linking) => Ok(NextStep::SignIn(Box::new(asking(app, pending, linking)?))),
        None => Ok(NextStep::Device(ask_for_code(app, browser, Some(CodeRefusal::Wrong))?)),
    }
}

fn asking(app: &App, pending: &PendingRequest, linking: Linking) -> Result<Asking, AuthorizeError> {
    let pending = pending.seal(&app.master_keys).ok_or(AuthorizeError::NoRandomness)?;
    let (client, scopes) = (linking.client, linking.device.granted.scopes);
    Ok(Asking { pending, client, scopes, login_hint: None, return_to: None })
}

/// The user lets the device in, or does not. Only who was shown the page decides: if somebody else has signed in meanwhile, they are
/// asked themselves.
pub async fn decide_link(
    app: &App,
    submitted: &SubmittedForm,
    browser: &BrowserContext,
    allows: bool,
) -> Result<NextStep, AuthorizeError> {
    let SubmittedForm(pending) = submitted;
    let browser_user = browser_user_of(app, browser.session.as_deref()).await?;
    let Some(Linking { device, client, .. }) = device_of(app, pending).await? else {
        return Ok(NextStep::Device(ask_for_code(app, browser, Some(CodeRefusal::Wrong))?));
    };
    let browser_user = match browser_user {
        Some(browser_user) if pending.has_presented(&presented_consent(&browser_user.user, &device)) => {
            browser_user
        }
        other => return proceed_link(app, pending, other, browser).await,
    };
    let (now, user) = (app.clock.now(), browser_user.user);
    let mut tx = app.db.begin().await?;
    let (is_decided, event) = match allows {
        true => {
            let is_first = device_codes::allow(&mut tx, &device.digest, browser_user.session.id, now).await?;
            (is_first, AuditEvent::DeviceAllowed)
        }
        false => (device_codes::deny(&mut tx, &device.digest, now).await?, AuditEvent::DeviceDenied),
    };
    if !is_decided {
        drop(tx);
        return after_decision(app, pending, browser, browser_user.session.id, allows).await;
    }
    let scope = device.granted.scopes.to_string();
    let detail = serde_json::json!({ "client": client.id.as_str(), "scope": scope }).to_string();
    let context = AuditContext { actor: Actor::User(user.id), ..browser.audit.clone() };
    audit::append(&mut tx, event, &context, &user.id.to_string(), Some(&detail), now).await?;
    tx.commit().await?;
    Ok(NextStep::Device(DeviceStep::Done { allowed: allows }))
}

/// Somebody has decided before. Who has pressed a button twice is told what they decided.
async fn after_decision(
    app: &App,
    pending: &PendingRequest,
    browser: &BrowserContext,
    session: SessionId,
    allows: bool,
) -> Result<NextStep, AuthorizeError> {
    let now = app.clock.now();
    let is_so =
        device_of(app, pending).await?.is_some_and(|Linking { device, .. }| match device.status(now) {
            DeviceStatus::Allowed | DeviceStatus::Used => allows && device.browser == Some(session),
            DeviceStatus::Denied => !allows,
            DeviceStatus::Waiting | DeviceStatus::Expired => false,
        });
    Ok(NextStep::Device(match is_so {
        true => DeviceStep::Done { allowed: allows },
        false => ask_for_code(app, browser, Some(CodeRefusal::Wrong))?,
    }))
}
