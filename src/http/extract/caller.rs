use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::dpop::presented_token;
use super::network::ClientNetwork;
use crate::app::App;
use crate::domain::accounts::Authority;
use crate::domain::operations::{Actor, AuditEvent};
use crate::domain::scope;
use crate::flows::operations::record_refusal;
use crate::flows::sessions::{AuthenticateError, CurrentUser, PresentedToken, TokenSubject, authenticate};
use crate::http::AppData;
use crate::http::problem::{ErrorCode, Problem};
use crate::http::scheme::Scheme;

/// A handler that takes this is for users with a good access token from a login at `/auth`. An application that a user has
/// granted something is not the user, and neither is a service that acts for them.
pub struct RequireUser(pub CurrentUser);

/// A handler that takes this is for whoever has a good access token, whatever it is for.
pub struct AnyToken {
    pub subject: TokenSubject,
    /// How the token was shown.
    pub scheme: Scheme,
}

impl AnyToken {
    async fn of(app: &App, (scheme, token): (Scheme, PresentedToken)) -> Result<Self, Problem> {
        match authenticate(app, &token).await {
            Ok(subject) => Ok(Self { subject, scheme }),
            Err(error) => {
                // Who shows a token that is bound to a key as a bearer's hears how it is shown.
                let is_bound = matches!(error, AuthenticateError::Bound);
                let scheme = if is_bound { Scheme::Dpop } else { scheme };
                Err(Problem::from(error).challenged(scheme))
            }
        }
    }
}

/// A handler that takes this is for whoever has a good access token with scope `S`: in their own name, so that the audit table
/// names who it was.
pub struct RequireScope<S> {
    subject: TokenSubject,
    scope: PhantomData<S>,
}

impl<S> RequireScope<S> {
    pub fn actor(&self) -> Actor {
        self.subject.actor()
    }

    pub fn authority(&self) -> Authority {
        Authority::Scopes(self.subject.scopes().clone())
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

impl FromRequest for AnyToken {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let presented = presented_token(request).map_err(|problem| match problem.code() {
            ErrorCode::TokenRequired => problem.header("WWW-Authenticate", Scheme::Dpop.challenge("")),
            _ => problem,
        });
        let app = request.app_data::<AppData>().cloned();
        Box::pin(async move {
            let app = app.ok_or_else(|| Problem::new(ErrorCode::Internal))?;
            Self::of(&app, presented?).await
        })
    }
}

impl FromRequest for RequireUser {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // Tokens from /auth are never bound to a key.
        let presented = presented_token(request).and_then(|presented| match presented.0 {
            Scheme::Bearer => Ok(presented),
            Scheme::Dpop => Err(Problem::new(ErrorCode::TokenRequired)),
        });
        let app = request.app_data::<AppData>().cloned();
        Box::pin(async move {
            let app = app.ok_or_else(|| Problem::new(ErrorCode::Internal))?;
            match AnyToken::of(&app, presented?).await?.subject {
                TokenSubject::User(current)
                    if current.session.client_id.is_first_party() && current.acting.is_none() =>
                {
                    Ok(Self(*current))
                }
                _ => Err(Problem::new(ErrorCode::InsufficientScope)
                    .detail("this is for tokens from /auth/login")
                    .header("WWW-Authenticate", r#"Bearer error="insufficient_scope""#)),
            }
        })
    }
}

impl<S: Needed> FromRequest for RequireScope<S> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let token = AnyToken::from_request(request, payload);
        let app = request.app_data::<AppData>().cloned();
        let network = ClientNetwork::from_request(request, payload);
        Box::pin(async move {
            let AnyToken { subject, scheme } = token.await?;
            let is_exchanged = matches!(&subject, TokenSubject::User(current) if current.acting.is_some());
            if is_exchanged || !subject.scopes().contains(S::SCOPE) {
                if let Some(app) = app {
                    let context =
                        network.await.unwrap_or_else(|never| match never {}).audit_context(subject.actor());
                    record_refusal(&app, AuditEvent::AccessDenied, &context, S::SCOPE).await;
                }
                let challenge =
                    scheme.challenge(&format!(r#"error="insufficient_scope", scope="{}""#, S::SCOPE));
                let detail = match is_exchanged {
                    true => "this is not for a token that was exchanged".to_owned(),
                    false => format!("this needs the scope {}", S::SCOPE),
                };
                return Err(Problem::new(ErrorCode::InsufficientScope)
                    .detail(detail)
                    .header("WWW-Authenticate", challenge));
            }
            Ok(Self { subject, scope: PhantomData })
        })
    }
}
