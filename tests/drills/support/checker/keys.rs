//! 4: every access token verifies against any key set fetched during its life. 5: one current key, one next, whenever anybody
//! was told.

use std::collections::{BTreeMap, HashMap};

use jsonwebtoken::DecodingKey;
use serde_json::Value;

use super::{Bounds, Findings};
use crate::support::api::kids;
use crate::support::history::Verdict;
use crate::support::journal::{Access, Nodes, Pages, Published};
use crate::support::verifier::{decoding_keys, judge};

pub fn check(pages: &Pages, bounds: &Bounds, findings: &mut Findings) {
    let mut by_kid: BTreeMap<&str, Vec<(&Access, i64)>> = BTreeMap::new();
    for entry in &pages.entries {
        if let Some(gave) = entry.gave() {
            by_kid.entry(&gave.access.kid).or_default().push((&gave.access, entry.answered_at));
        }
    }
    let keys: Vec<HashMap<String, DecodingKey>> = pages.sets.iter().map(decoding_keys).collect();
    let published: Vec<Vec<String>> = pages.sets.iter().map(kids).collect();
    let mut verified = 0;
    for (kid, tokens) in &by_kid {
        let has = |fetch: &&Published| published[fetch.set].iter().any(|one| one == kid);
        let fetches = pages.fetches.iter().filter(|fetch| !is_cut_off(fetch, pages, bounds));
        let (with, without): (Vec<&Published>, Vec<&Published>) = fetches.partition(has);
        for (token, since) in tokens {
            let until = (token.exp + bounds.leeway_s) * 1000;
            let fits = |fetch: &&&Published| fetch.asked_at >= *since && fetch.answered_at <= until;
            if let Some(fetch) = without.iter().find(fits) {
                let (after, left) = (fetch.asked_at - since, until - fetch.answered_at);
                findings.breach(
                    4,
                    format!("node{} did not publish {kid} {after} ms after it gave a token with {left} ms to live", fetch.node),
                );
            }
            verified += with.iter().filter(fits).count();
        }
        signatures(kid, tokens, &keys, bounds, findings);
    }
    if verified == 0 {
        findings.breach(4, "no key set was fetched during any token's life: this check was blind");
    }
    one_each(pages, findings);
    findings.figures.push(format!(
        "{} tokens under {} keys, each good by every set fetched in its life ({verified} pairs, {} different sets)",
        by_kid.values().map(Vec::len).sum::<usize>(),
        by_kid.len(),
        pages.sets.len()
    ));
}

/// A node that alone does not reach the database cannot know which keys have come since. It is not ready, and what it answers
/// may not be kept.
fn is_cut_off(fetch: &Published, pages: &Pages, bounds: &Bounds) -> bool {
    pages.windows.iter().any(|window| {
        window.refuses == Nodes::Only(fetch.node)
            && fetch.asked_at <= window.until.saturating_add(bounds.works_again_within_ms)
            && fetch.answered_at >= window.from
    })
}

/// Every token by every form in which its key was ever published; a kid has one.
fn signatures(
    kid: &str,
    tokens: &[(&Access, i64)],
    keys: &[HashMap<String, DecodingKey>],
    bounds: &Bounds,
    findings: &mut Findings,
) {
    let Some(key) = keys.iter().find_map(|set| set.get(kid)) else {
        findings.breach(4, format!("{kid} signed, and was never published"));
        return;
    };
    for (token, _) in tokens {
        let verdict = judge(&token.text, key, token.exp * 1000 - 1, bounds.leeway_s);
        if verdict != Verdict::Accepted {
            findings.breach(4, format!("a token of {kid} is not good by the published key: {verdict:?}"));
        }
    }
}

fn one_each(pages: &Pages, findings: &mut Findings) {
    for ((current, next), times) in &pages.keys_told {
        if (*current, *next) != (1, 1) {
            findings
                .breach(5, format!("{times} times a node told of {current} current and {next} next keys"));
        }
    }
    let mut forms: HashMap<&str, &Value> = HashMap::new();
    for key in pages.sets.iter().flat_map(|set| set["keys"].as_array().into_iter().flatten()) {
        let kid = key["kid"].as_str().unwrap_or_default();
        if *forms.entry(kid).or_insert(key) != key {
            findings.breach(4, format!("{kid} was published as two different keys"));
        }
    }
}
