//! Tables `authorization_codes`, `device_codes`, `pushed_requests`, `consents`, `backchannel_logouts`.
//!
//! Codes are digests here. What may be used once is consumed by one statement whose row count decides. `backchannel_logouts` is an
//! outbox: rows are written where sessions end, claimed for 30 s, and deleted when the client has answered.

pub mod authorization_codes;
pub mod backchannel_logouts;
pub mod consents;
pub mod device_codes;
pub mod pushed_requests;
