//! A service that trusts Chancery's access tokens. It shares no secret with Chancery and does not call it per
//! request: see `verifier.rs`.

mod verifier;

use std::{env, error::Error, fmt, pin::Pin, time::Duration};

use actix_web::{
    App, FromRequest, HttpRequest, HttpResponse, HttpServer, Responder, ResponseError, dev::Payload, get,
    http::header, post, web,
};
use serde_json::json;
use verifier::{Claims, Denied, Patience, Verifier};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = var("PORT", "3003").parse()?;
    let issuer = var("CHANCERY_ISSUER", "http://127.0.0.1:8080");
    let patience =
        Patience { cache: seconds("JWKS_CACHE", "300")?, cool_down: seconds("JWKS_COOL_DOWN", "10")? };
    let algorithm = var("ALGORITHM", "RS256").parse()?;
    let verifier = web::Data::new(Verifier::new(&issuer, &var("AUDIENCE", "chancery"), algorithm, patience)?);

    HttpServer::new(move || {
        App::new().app_data(verifier.clone()).service(healthz).service(orders).service(order)
    })
    .bind(("127.0.0.1", port))?
    .run()
    .await?;
    Ok(())
}

fn var(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn seconds(name: &str, default: &str) -> Result<Duration, std::num::ParseIntError> {
    Ok(Duration::from_secs(var(name, default).parse()?))
}

#[get("/healthz")]
async fn healthz() -> impl Responder {
    web::Json(json!({ "status": "ok" }))
}

#[get("/orders")]
async fn orders(Caller(claims): Caller) -> impl Responder {
    web::Json(json!({ "service": "actix", "sub": claims.sub, "scope": claims.scope }))
}

#[post("/orders")]
async fn order(Caller(claims): Caller) -> Result<impl Responder, Denied> {
    claims.need("orders:write")?;
    Ok(HttpResponse::Created().json(json!({ "service": "actix", "sub": claims.sub, "scope": claims.scope })))
}

/// A handler that names this argument is only reached with a valid token.
struct Caller(Claims);

impl FromRequest for Caller {
    type Error = Denied;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Denied>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let token = bearer(&request).ok_or(Denied::NoToken)?;
            let verifier = request.app_data::<web::Data<Verifier>>().expect("main shares the verifier");
            verifier.verify(token).await.map(Self)
        })
    }
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoToken => "a bearer token is needed",
            Self::InvalidToken => "the token is not valid",
            Self::NoScope(_) => "the token does not have the scope",
            Self::NoKeys => "the key set is unavailable",
        })
    }
}

impl ResponseError for Denied {
    fn error_response(&self) -> HttpResponse {
        let (mut answer, (name, value)) = match self {
            Self::NoToken => (HttpResponse::Unauthorized(), (header::WWW_AUTHENTICATE, "Bearer".to_owned())),
            Self::InvalidToken => (
                HttpResponse::Unauthorized(),
                (header::WWW_AUTHENTICATE, r#"Bearer error="invalid_token""#.to_owned()),
            ),
            Self::NoScope(scope) => {
                let challenge = format!(r#"Bearer error="insufficient_scope", scope="{scope}""#);
                (HttpResponse::Forbidden(), (header::WWW_AUTHENTICATE, challenge))
            }
            Self::NoKeys => (HttpResponse::ServiceUnavailable(), (header::RETRY_AFTER, "5".to_owned())),
        };
        answer.insert_header((name, value)).json(json!({ "error": self.to_string() }))
    }
}
