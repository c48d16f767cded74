//! Tables of authorization codes, device codes, consents, pushed requests, and notices for clients.

pub mod authorization_codes;
pub mod consents;
pub mod device_codes;
pub mod logout_notices;
pub mod pushed_requests;
