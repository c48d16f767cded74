use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Client, Method, Response, StatusCode, Url};

use crate::cli::{Failure, failed, http_client};
use crate::tokens::AccessToken;

const TIMEOUT: Duration = Duration::from_secs(10);
/// A service that is busy or away is asked so often in all.
const ATTEMPTS: u32 = 4;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Of an answer's body, for people to see what it was about.
const SHOWN: usize = 200;
const SHOWN_BYTES: usize = 4 * SHOWN;

/// The service under test.
pub struct Service {
    client: Client,
    url: Url,
    method: Method,
    headers: HeaderMap,
    /// How it answers a good token, once that is known.
    pub good: Option<StatusCode>,
}

/// What the service made of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    Accepted,
    Refused,
    /// It did not get as far as judging the token: 5xx.
    Broke,
    /// No answer, or "too many requests", however often it was asked.
    Silent,
}

pub struct Reply {
    pub reaction: Reaction,
    pub status: Option<StatusCode>,
    /// The status, or that there is none.
    pub said: String,
    /// Its challenge and the beginning of its body; why there is no answer.
    pub body: String,
}

impl Service {
    pub fn new(url: Url, method: Method, headers: Vec<(HeaderName, HeaderValue)>) -> Result<Self, Failure> {
        let client = http_client(url.scheme(), TIMEOUT)
            .build()
            .map_err(|error| failed(format!("no HTTP client: {}", in_full(&error))))?;
        Ok(Self { client, url, method, headers: headers.into_iter().collect(), good: None })
    }

    /// The address without what may be secret in it.
    pub fn address(&self) -> String {
        without_secrets(&self.url)
    }

    /// Shows it a token, or none. Told to come back later, it does, a few times.
    pub async fn ask(&self, token: Option<&AccessToken>) -> Reply {
        let mut pause = Duration::from_secs(1);
        for _ in 1..ATTEMPTS {
            match self.send(token).await {
                Ok(answer) if is_busy(answer.status()) => pause = retry_after(&answer).unwrap_or(pause),
                Ok(answer) => return self.read(Ok(answer)).await,
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
        self.read(self.send(token).await).await
    }

    async fn send(&self, token: Option<&AccessToken>) -> reqwest::Result<Response> {
        let request =
            self.client.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
        match token {
            Some(token) => request.bearer_auth(token.expose()).send().await,
            None => request.send().await,
        }
    }

    async fn read(&self, answer: reqwest::Result<Response>) -> Reply {
        match answer {
            Ok(mut answer) => Reply {
                reaction: self.reaction(answer.status()),
                status: Some(answer.status()),
                said: answer.status().as_u16().to_string(),
                body: excerpt(&mut answer).await,
            },
            Err(error) => Reply {
                reaction: Reaction::Silent,
                status: None,
                said: "no answer".to_owned(),
                body: in_full(&error.without_url()),
            },
        }
    }

    /// 401 is how a bad token is answered (RFC 6750 section 3.1). Some services answer 403, or 400 where a good token is not
    /// answered so too.
    fn reaction(&self, status: StatusCode) -> Reaction {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Reaction::Refused,
            StatusCode::BAD_REQUEST if self.good.is_some_and(|good| good != status) => Reaction::Refused,
            StatusCode::TOO_MANY_REQUESTS => Reaction::Silent,
            _ if status.is_server_error() => Reaction::Broke,
            _ => Reaction::Accepted,
        }
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// What a person needs to see what went wrong, and nothing that could harm a terminal.
async fn excerpt(answer: &mut Response) -> String {
    let mut bytes = Vec::new();
    while let (0..SHOWN_BYTES, Ok(Some(chunk))) = (bytes.len(), answer.chunk().await) {
        bytes.extend_from_slice(&chunk);
    }
    let challenge = answer.headers().get(WWW_AUTHENTICATE).map(HeaderValue::as_bytes).unwrap_or_default();
    let text = [String::from_utf8_lossy(challenge), String::from_utf8_lossy(&bytes)].join(" ");
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(SHOWN).collect::<String>().trim().to_owned()
}

/// A query or a user's name may be secret; an audit table is read by many.
fn without_secrets(url: &Url) -> String {
    let origin = url.origin().ascii_serialization();
    format!("{origin}{}", url.path())
}

/// An error with its causes, the first of which says only that a request failed.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_means_depends_on_how_a_good_token_is_answered() {
        let url = Url::parse("http://user:secret@127.0.0.1:1/orders?key=secret#x").unwrap();
        let mut service = Service::new(url, Method::GET, Vec::new()).unwrap();
        assert_eq!(service.address(), "http://127.0.0.1:1/orders");
        let reaction = |service: &Service, status| service.reaction(StatusCode::from_u16(status).unwrap());
        for (status, expected) in [
            (200, Reaction::Accepted),
            (302, Reaction::Accepted),
            (400, Reaction::Accepted),
            (404, Reaction::Accepted),
            (401, Reaction::Refused),
            (403, Reaction::Refused),
            (429, Reaction::Silent),
            (500, Reaction::Broke),
        ] {
            assert_eq!(reaction(&service, status), expected, "{status}");
        }
        service.good = Some(StatusCode::OK);
        assert_eq!(reaction(&service, 400), Reaction::Refused);
        service.good = Some(StatusCode::BAD_REQUEST);
        assert_eq!(reaction(&service, 400), Reaction::Accepted);
    }
}
