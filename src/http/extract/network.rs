use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use crate::domain::keys::Consumer;
use crate::domain::operations::{Actor, AuditContext};
use crate::flows::passwords::Device;
use crate::http::context::{ClientIp, request_id};

/// Longest part of a `User-Agent` that is kept.
const USER_AGENT: usize = 256;

/// Where a request comes from.
pub struct ClientNetwork {
    ip: Option<IpAddr>,
    user_agent: Option<String>,
}

impl ClientNetwork {
    pub fn audit_context(&self, actor: Actor) -> AuditContext {
        AuditContext { actor, ip: self.ip, request_id: Some(request_id()) }
    }

    /// Who fetches the keys, as far as that is remembered.
    pub fn consumer(&self) -> Consumer {
        Consumer::new(self.ip, self.user_agent.as_deref())
    }

    pub fn device(self) -> Device {
        Device { ip: self.ip, user_agent: self.user_agent }
    }
}

impl FromRequest for ClientNetwork {
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let ip = request.extensions().get::<ClientIp>().and_then(|found| found.0);
        let user_agent = request.headers().get(header::USER_AGENT).map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.chars().filter(|c| !c.is_control()).take(USER_AGENT).collect()
        });
        ready(Ok(Self { ip, user_agent }))
    }
}
