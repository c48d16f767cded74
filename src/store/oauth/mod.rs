//! Tables of authorization codes, device codes, consents, pushed requests, and notices for clients.

pub mod authorization_codes;
pub mod backchannel_logouts;
pub mod consents;
pub mod device_codes;
pub mod pushed_requests;
