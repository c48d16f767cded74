use crate::domain::keys::Consumer;
use crate::flows::clean_up::{CleanUp, KEPT_FOR, clean_up};
use crate::store::keys::{idempotency_keys, issued_tokens, jwks_consumers};

pub(in crate::flows) const CLEAN_UPS: &[CleanUp] = &[
    clean_up!("idempotency keys", |_, conn, now| idempotency_keys::delete_older(conn, now - KEPT_FOR)),
    clean_up!("consumers of the key set", |_, conn, now| {
        jwks_consumers::delete_unseen(conn, now - Consumer::REMEMBERED_FOR)
    }),
    clean_up!("counts of expired tokens", |_, conn, now| issued_tokens::delete_expired(conn, now - KEPT_FOR)),
];
