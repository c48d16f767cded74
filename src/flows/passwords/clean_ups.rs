use crate::flows::clean_up::{BATCH, CleanUp, KEPT_FOR, clean_up};
use crate::store::passwords::{login_attempts, network_attempts};

pub(in crate::flows) const CLEAN_UPS: &[CleanUp] = &[
    clean_up!("failed attempts of accounts", |app, conn, now| {
        let threshold = app.settings.throttle.lockout_threshold;
        login_attempts::delete_older(conn, now - KEPT_FOR, threshold, BATCH)
    }),
    clean_up!("failed attempts of networks", |_, conn, now| network_attempts::delete_finished(
        conn, now, BATCH
    )),
];
