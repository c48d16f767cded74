//! Sessions that keep refreshing, on any node: where the tokens of a drill come from.

use std::sync::Arc;

use serde_json::Value;

use super::history::{History, Token};
use super::{Admin, Answer, Api, Failure, Outcome, now_ms};

/// One session. Its refresh token is used once and replaced, as a good client does.
pub struct Teller {
    api: Api,
    refresh_token: String,
}

impl Teller {
    pub fn new(api: &Api, login: &Value) -> Self {
        let refresh_token = login["refresh_token"].as_str().unwrap_or_default().to_owned();
        Self { api: api.clone(), refresh_token }
    }

    /// The administrator's session, for who must see every answer.
    pub fn of(api: &Api, admin: Admin) -> Self {
        Self { api: api.clone(), refresh_token: admin.into_refresh_token() }
    }

    /// Refreshes on that node, which must work.
    pub async fn next(&mut self, node: &str, history: &History) -> Outcome<Arc<Token>> {
        match self.attempt(node, history).await? {
            Ok(token) => Ok(token),
            Err(answer) => {
                Err(Failure::new(format!("a refresh was answered {}: {}", answer.status, answer.text)))
            }
        }
    }

    /// Refreshes on that node; gives the answer back where there is no token in it.
    pub async fn attempt(&mut self, node: &str, history: &History) -> Outcome<Result<Arc<Token>, Answer>> {
        let answer = self.api.refresh(node, &self.refresh_token).await?;
        if answer.status != 200 {
            return Ok(Err(answer));
        }
        let tokens = answer.json();
        let text = |name: &str| {
            let text = tokens[name].as_str().map(str::to_owned);
            text.ok_or_else(|| Failure::new(format!("a token response without {name}")))
        };
        self.refresh_token = text("refresh_token")?;
        Ok(Ok(history.issued(&text("access_token")?, node, now_ms())?))
    }
}
