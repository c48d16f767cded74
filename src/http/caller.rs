use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::AppData;
use super::problem::{Code, Problem};
use super::source::Source;
use crate::domain::{Actor, AuditEvent, Authority, scope};
use crate::flows::{Bearer, Caller, authenticate, note_refusal};

/// A handler that takes this is for users with a good access token from a login at `/auth`. An application that a user has
/// granted something is not the user, and neither is a service that acts for them.
pub struct Authenticated(pub Caller);

/// A handler that takes this is for whoever has a good access token, whatever it is for.
pub struct Holder(pub Bearer);

/// A handler that takes this is for whoever has a good access token with scope `S`: in their own name, so that the audit table
/// names who it was.
pub struct Permit<S> {
    bearer: Bearer,
    scope: PhantomData<S>,
}

impl<S> Permit<S> {
    pub fn actor(&self) -> Actor {
        self.bearer.actor()
    }

    pub fn authority(&self) -> Authority {
        Authority::Scopes(self.bearer.scopes().clone())
    }
}

/// A scope as a type.
pub trait Needed: 'static {
    const SCOPE: &str;
}

macro_rules! needed {
    ($($name:ident $scope:ident),+) => {$(
        pub struct $name;
        impl Needed for $name {
            const SCOPE: &str = scope::$scope;
        }
    )+};
}

needed!(KeysRead KEYS_READ, KeysRotate KEYS_ROTATE, UsersRead USERS_READ, UsersWrite USERS_WRITE, AuditRead AUDIT_READ,
    ClientsRead CLIENTS_READ, ClientsWrite CLIENTS_WRITE);

impl FromRequest for Holder {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let token = bearer(request);
        let app = request.app_data::<AppData>().cloned();
        Box::pin(async move {
            let app = app.ok_or_else(|| Problem::new(Code::Internal))?;
            Ok(Self(authenticate(&app, &token?).await?))
        })
    }
}

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let holder = Holder::from_request(request, payload);
        Box::pin(async move {
            match holder.await?.0 {
                Bearer::User(caller)
                    if caller.session.client_id.is_first_party() && caller.acting.is_none() =>
                {
                    Ok(Self(*caller))
                }
                _ => Err(Problem::new(Code::InsufficientScope)
                    .detail("this is for tokens from /auth/login")
                    .header("WWW-Authenticate", r#"Bearer error="insufficient_scope""#)),
            }
        })
    }
}

impl<S: Needed> FromRequest for Permit<S> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let holder = Holder::from_request(request, payload);
        let app = request.app_data::<AppData>().cloned();
        let source = Source::from_request(request, payload);
        Box::pin(async move {
            let Holder(bearer) = holder.await?;
            let is_exchanged = matches!(&bearer, Bearer::User(caller) if caller.acting.is_some());
            if is_exchanged || !bearer.scopes().contains(S::SCOPE) {
                if let Some(app) = app {
                    let origin = source.await.unwrap_or_else(|never| match never {}).origin(bearer.actor());
                    note_refusal(&app, AuditEvent::AccessDenied, &origin, S::SCOPE).await;
                }
                let challenge = format!(r#"Bearer error="insufficient_scope", scope="{}""#, S::SCOPE);
                let detail = match is_exchanged {
                    true => "this is not for a token that was exchanged".to_owned(),
                    false => format!("this needs the scope {}", S::SCOPE),
                };
                return Err(Problem::new(Code::InsufficientScope)
                    .detail(detail)
                    .header("WWW-Authenticate", challenge));
            }
            Ok(Self { bearer, scope: PhantomData })
        })
    }
}

/// The token of the one `Authorization: Bearer` header (RFC 6750 section 2.1). Tokens in the query or the body are not read.
pub fn bearer(request: &HttpRequest) -> Result<String, Problem> {
    let mut given = request.headers().get_all(header::AUTHORIZATION);
    let value = match (given.next(), given.next()) {
        (Some(value), None) => value.to_str().map_err(|_| Problem::new(Code::InvalidToken))?,
        (Some(_), Some(_)) => return Err(Problem::new(Code::InvalidToken)),
        (None, _) => return Err(Problem::new(Code::TokenRequired)),
    };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_start().to_owned()),
        _ => Err(Problem::new(Code::TokenRequired)),
    }
}
