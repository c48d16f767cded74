use crate::flows::clean_up::{BATCH, CleanUp, clean_up};
use crate::store::operations::audit;

pub(in crate::flows) const CLEAN_UPS: &[CleanUp] = &[
    clean_up!("old audit events", |app, conn, now| {
        audit::delete_older(conn, now - app.settings.audit_retention, BATCH)
    }),
    clean_up!("surplus unauthenticated audit events", |app, conn, _now| {
        audit::delete_unauthenticated(conn, app.settings.max_unauthenticated_events, BATCH)
    }),
];
