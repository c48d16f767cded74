//! What must hold after anything that happens (design, section 8).

use std::time::Duration;

use serde_json::Value;

use super::api::kids;
use super::postgres::Stored;
use super::{Admin, Api, Database, Failure, Outcome, ensure, within};

/// Nodes may differ for this long.
pub const AGREE_WITHIN: Duration = Duration::from_secs(5);

/// Exactly one current and one next key in the database, and no private half that should be gone.
pub async fn one_of_each(database: &Database) -> Outcome {
    let stored = database.stored_keys().await?;
    let right = Stored { current: 1, next: 1, not_erased: 0 };
    ensure!(stored == right, "the database holds {stored:?}, instead of {right:?}");
    Ok(())
}

/// All nodes publish the same bytes under the same tag, and tell of the same keys: one current, one next. How long it took
/// them to.
pub async fn all_agree(api: &Api, admin: &Admin, nodes: &[String]) -> Outcome<Duration> {
    within(AGREE_WITHIN, async || agree(api, admin, nodes).await).await
}

async fn agree(api: &Api, admin: &Admin, nodes: &[String]) -> Outcome {
    let mut first: Option<(String, String, Vec<String>)> = None;
    for node in nodes {
        let published = api.jwks(node).await?;
        ensure!(published.status == 200, "{node} answers {} for its key set", published.status);
        let set = kids(&published.json());
        ensure!(!set.is_empty(), "{node} publishes an empty set");
        let (current, next) = (one(admin, node, "current").await?, one(admin, node, "next").await?);
        ensure!(set.contains(&current), "{node} does not publish its current key {current}");
        ensure!(set.contains(&next), "{node} does not publish its next key {next}");
        let seen = (published.text, published.etag, vec![current, next]);
        match &first {
            None => first = Some(seen),
            Some(first) => ensure!(*first == seen, "nodes differ: {first:?} and {seen:?}"),
        }
    }
    Ok(())
}

async fn one(admin: &Admin, node: &str, status: &str) -> Outcome<String> {
    let key = admin.key(node, status).await?;
    key["kid"].as_str().map(str::to_owned).ok_or_else(|| Failure::new("a key without a kid"))
}

/// Nothing that answers may answer with another 5xx than 503 with Retry-After, and nothing may take longer than this.
pub fn is_decent(answer: &super::Answer, limit: Duration) -> Outcome {
    let polite = answer.status == 503 && answer.retry_after.is_some();
    ensure!(answer.status < 500 || polite, "answered {}: {}", answer.status, answer.text);
    ensure!(answer.took <= limit, "an answer ({}) took {:?}", answer.status, answer.took);
    Ok(())
}

/// What a rotation's answer must say.
pub fn is_rotation(answer: &Value) -> Outcome {
    let fine = answer["current"]["status"] == "current" && answer["next"]["status"] == "next";
    ensure!(fine, "a rotation answered {answer}");
    Ok(())
}
