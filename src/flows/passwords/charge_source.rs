use std::net::IpAddr;

use chrono::{DateTime, Utc};

use super::check_password::TooManyAttempts;
use crate::app::App;
use crate::domain::operations::AuditContext;
use crate::domain::passwords::SourcePolicy;
use crate::keys::MasterKeys;
use crate::store::passwords::source_attempts;
use crate::store::passwords::source_attempts::SourceCharge;
use crate::store::{StoreError, Tx};
use crate::throttle::Subject;

/// Charges a source network for what counts whatever becomes of it, so that it is charged and settled in one.
pub(in crate::flows) async fn charge_source(
    tx: &mut Tx,
    source: &Subject,
    policy: &SourcePolicy,
    now: DateTime<Utc>,
) -> Result<Result<(), TooManyAttempts>, StoreError> {
    match source_attempts::charge(tx, source.as_bytes(), policy, now, now).await? {
        SourceCharge::Charged => {
            source_attempts::finish(tx, source.as_bytes(), policy, true, now).await?;
        }
        // Charges lapse at once here, so none is in flight.
        SourceCharge::InFlight => {}
        SourceCharge::Refused { retry_after } => return Ok(Err(TooManyAttempts { retry_after })),
    }
    Ok(Ok(()))
}

/// The same where nothing else is written. `source` says what for: accounts, applications and devices are counted apart.
pub(in crate::flows) async fn charge_source_alone(
    app: &App,
    context: &AuditContext,
    policy: Option<SourcePolicy>,
    source: fn(&MasterKeys, IpAddr) -> Subject,
) -> Result<Result<(), TooManyAttempts>, StoreError> {
    let Some((ip, policy)) = context.ip.zip(policy) else { return Ok(Ok(())) };
    let mut tx = app.db.begin().await?;
    let charged = charge_source(&mut tx, &source(&app.master_keys, ip), &policy, app.clock.now()).await?;
    if charged.is_ok() {
        tx.commit().await?;
    }
    Ok(charged)
}
