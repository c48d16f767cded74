use crate::flows::clean_up::{BATCH, CleanUp, KEPT_FOR, clean_up};
use crate::store::sessions::{self, replay_guard};

pub(in crate::flows) const CLEAN_UPS: &[CleanUp] = &[
    clean_up!("expired sessions", |_, conn, now| sessions::delete_expired(conn, now, BATCH)),
    clean_up!("revoked sessions", |_, conn, now| sessions::delete_revoked(conn, now - KEPT_FOR, BATCH)),
    clean_up!("expired assertions and proofs", |_, conn, now| replay_guard::delete_expired(conn, now, BATCH)),
];
