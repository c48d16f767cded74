use crate::domain::oauth::{BackchannelLogout, DeviceGrant};
use crate::flows::clean_up::{BATCH, CleanUp, KEPT_FOR, clean_up};
use crate::store::oauth::{authorization_codes, backchannel_logouts, device_codes, pushed_requests};

pub(in crate::flows) const CLEAN_UPS: &[CleanUp] = &[
    // A code that was used is kept longer, because a second use ends the session.
    clean_up!("authorization codes", |_, conn, now| {
        authorization_codes::delete_expired(conn, now, now - KEPT_FOR, BATCH)
    }),
    // Twice the time in which delivery is tried: a delivery under way has ended by then.
    clean_up!("back-channel logouts", |_, conn, now| {
        let before = now - BackchannelLogout::KEPT_FOR - BackchannelLogout::KEPT_FOR;
        backchannel_logouts::delete_older(conn, before, BATCH)
    }),
    clean_up!("pushed requests", |_, conn, now| pushed_requests::delete_expired(conn, now, BATCH)),
    // A device that polls a little too late is answered `expired_token`, not `invalid_grant`.
    clean_up!("device codes", |_, conn, now| {
        device_codes::delete_expired(conn, now - DeviceGrant::LIFE, now - KEPT_FOR, BATCH)
    }),
];
