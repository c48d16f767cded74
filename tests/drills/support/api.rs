use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::{Failure, Outcome};

/// Nothing may take longer than this; the server's own limit is well below.
const PATIENCE: Duration = Duration::from_secs(15);

/// A client: connections are kept, nothing is retried or redirected, and no proxy stands between.
#[derive(Clone)]
pub struct Api(reqwest::Client);

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
    pub etag: String,
    pub retry_after: Option<String>,
    pub took: Duration,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The problem's code, if it is one.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn expect(self, status: u16) -> Outcome<Value> {
        if self.status == status {
            return Ok(self.json());
        }
        Err(Failure::new(format!("answered {} instead of {status}: {}", self.status, self.text)))
    }
}

impl Api {
    pub fn new() -> Self {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
        Self(client.expect("a client needs nothing that could be missing"))
    }

    /// One that makes a new connection for every request, as if each came from somebody else.
    pub fn of_strangers() -> Self {
        let client =
            reqwest::Client::builder().timeout(PATIENCE).no_proxy().pool_max_idle_per_host(0).build();
        Self(client.expect("a client needs nothing that could be missing"))
    }

    pub async fn call(
        &self,
        method: Method,
        base: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Outcome<Answer> {
        let asked = Instant::now();
        let mut request = self.0.request(method, format!("{base}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let told = |error: reqwest::Error| Failure::from(error).during(path);
        let response = request.send().await.map_err(told)?;
        let header =
            |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (etag, retry_after) = (header("etag").unwrap_or_default(), header("retry-after"));
        let status = response.status().as_u16();
        let text = response.text().await.map_err(told)?;
        Ok(Answer { status, text, etag, retry_after, took: asked.elapsed() })
    }

    pub async fn get(&self, base: &str, path: &str) -> Outcome<Answer> {
        self.call(Method::GET, base, path, None, None).await
    }

    pub async fn get_as(&self, token: &str, base: &str, path: &str) -> Outcome<Answer> {
        self.call(Method::GET, base, path, Some(token), None).await
    }

    pub async fn post(&self, base: &str, path: &str, body: Value) -> Outcome<Answer> {
        self.call(Method::POST, base, path, None, Some(&body)).await
    }

    pub async fn post_as(&self, token: &str, base: &str, path: &str, body: Value) -> Outcome<Answer> {
        self.call(Method::POST, base, path, Some(token), Some(&body)).await
    }

    pub async fn jwks(&self, base: &str) -> Outcome<Answer> {
        self.get(base, "/.well-known/jwks.json").await
    }

    pub async fn refresh(&self, base: &str, refresh_token: &str) -> Outcome<Answer> {
        self.post(base, "/auth/refresh", json!({ "refresh_token": refresh_token })).await
    }
}

/// The kids of a JWK Set.
pub fn kids(jwks: &Value) -> Vec<String> {
    let keys = jwks["keys"].as_array().into_iter().flatten();
    keys.filter_map(|key| key["kid"].as_str()).map(str::to_owned).collect()
}
