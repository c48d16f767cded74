use chrono::{DateTime, Utc};

use super::check_password::TooManyAttempts;
use crate::app::App;
use crate::domain::operations::AuditContext;
use crate::domain::passwords::NetworkPolicy;
use crate::store::passwords::network_attempts;
use crate::store::passwords::network_attempts::NetworkCharge;
use crate::store::{StoreError, Tx};
use crate::throttle::{NetworkBudget, Subject};

/// Charges a network for an attempt that counts with any outcome: the charge is finished at once.
pub(in crate::flows) async fn charge_network(
    tx: &mut Tx,
    network: &Subject,
    policy: &NetworkPolicy,
    now: DateTime<Utc>,
) -> Result<Result<(), TooManyAttempts>, StoreError> {
    match network_attempts::charge(tx, network.as_bytes(), policy, now, now).await? {
        NetworkCharge::Charged => {
            network_attempts::finish(tx, network.as_bytes(), policy, true, now).await?;
        }
        // Charges lapse at once here, so none is in flight.
        NetworkCharge::InFlight => {}
        NetworkCharge::Refused { retry_after } => return Ok(Err(TooManyAttempts { retry_after })),
    }
    Ok(Ok(()))
}

/// The same in a transaction of its own.
pub(in crate::flows) async fn charge_network_alone(
    app: &App,
    context: &AuditContext,
    policy: Option<NetworkPolicy>,
    budget: NetworkBudget,
) -> Result<Result<(), TooManyAttempts>, StoreError> {
    let Some((ip, policy)) = context.ip.zip(policy) else { return Ok(Ok(())) };
    let network = Subject::network(&app.master_keys, budget, ip);
    let mut tx = app.db.begin().await?;
    let charged = charge_network(&mut tx, &network, &policy, app.clock.now()).await?;
    if charged.is_ok() {
        tx.commit().await?;
    }
    Ok(charged)
}
