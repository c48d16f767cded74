//! The checker: goes over a history and says what should not have been. For what it finds it tells the token's story.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::cluster::moment;
use super::history::{Check, Records, Token, Verdict};
use super::verifier::{Habit, Kind};
use super::{Failure, Outcome, ensure};

/// What the settings of the drill promise, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// How old a node's view may be: keys.refresh_interval.
    pub staleness: i64,
    /// keys.refresh_interval + keys.jwks_max_age + keys.verifier_cache_ttl.
    pub lead: i64,
    pub life: i64,
    pub leeway: i64,
}

/// Chancery reads its clock somewhere between question and answer, and its clock is the database's, measured.
const CLOCK_MARGIN: i64 = 50;
/// The libraries of other languages count in whole seconds.
const WHOLE_SECONDS: i64 = 1200;
/// In a refusal's story, that many are told in full.
const TOLD: usize = 3;

/// What came of it.
#[derive(Debug, Default)]
pub struct Judgement {
    /// By verifiers in the contract.
    pub verifications: usize,
    pub false_rejects: usize,
    pub false_accepts: usize,
    pub right_accepts: usize,
    pub right_refusals: usize,
    /// Good tokens verified in the last 100 ms in which they were good.
    pub at_the_last_moment: usize,
    /// What a false verdict of a control looked like, by its name.
    pub controls: BTreeMap<String, (usize, usize)>,
    pub rules_broken: Vec<String>,
    pub stories: Vec<String>,
}

#[derive(PartialEq, Eq)]
enum Right {
    Accept,
    Refuse,
    Either,
}

pub fn judge(records: &Records, kinds: &[Kind], promise: Promise) -> Judgement {
    let mut judgement = Judgement::default();
    for check in &records.checks {
        let kind = &kinds[check.verifier];
        let accepted = check.verdict == Verdict::Accepted;
        let (rejected_wrongly, accepted_wrongly) = match right(check, kind, promise) {
            Right::Accept => (!accepted, false),
            Right::Refuse => (false, accepted),
            Right::Either => (false, false),
        };
        if kind.control {
            let counts = judgement.controls.entry(kind.name.clone()).or_default();
            counts.0 += usize::from(rejected_wrongly);
            counts.1 += usize::from(accepted_wrongly);
            continue;
        }
        judgement.verifications += 1;
        judgement.false_rejects += usize::from(rejected_wrongly);
        judgement.false_accepts += usize::from(accepted_wrongly);
        judgement.right_accepts += usize::from(accepted && !accepted_wrongly);
        judgement.right_refusals += usize::from(!accepted && !rejected_wrongly);
        let end = end_of(&check.token, promise);
        judgement.at_the_last_moment +=
            usize::from(check.token.genuine && (end - 100..end).contains(&check.at));
        if (rejected_wrongly || accepted_wrongly) && judgement.stories.len() < TOLD {
            judgement.stories.push(story(records, kinds, check, promise));
        }
    }
    judgement.rules_broken = rules_broken(records, promise);
    judgement
}

/// A token is good until `exp` and the leeway have passed; a forged one never is.
fn right(check: &Check, kind: &Kind, promise: Promise) -> Right {
    if !check.token.genuine {
        return Right::Refuse;
    }
    let margin = match kind.habit {
        Habit::Chancery => CLOCK_MARGIN,
        Habit::Service(_) => WHOLE_SECONDS,
        Habit::Library { .. } | Habit::Gullible => 0,
    };
    let end = end_of(&check.token, promise);
    if check.at + margin < end {
        Right::Accept
    } else if check.asked_at - margin >= end {
        Right::Refuse
    } else {
        Right::Either
    }
}

fn end_of(token: &Token, promise: Promise) -> i64 {
    token.exp * 1000 + promise.leeway
}

/// The rules of the tokens and keys themselves, whoever verifies them.
fn rules_broken(records: &Records, promise: Promise) -> Vec<String> {
    let mut broken = records.complaints.clone();
    for token in records.tokens.iter().filter(|token| token.genuine) {
        if (token.exp - token.iat) * 1000 != promise.life {
            broken.push(format!("token {} lives {} s", token.id, token.exp - token.iat));
        }
        let age = token.made_at - token.iat * 1000;
        if !(-1000..=3000).contains(&age) {
            broken.push(format!(
                "token {} of {} says it is {age} ms old when answered",
                token.id, token.origin
            ));
        }
        if let Some(demoted) = records.keys.get(&token.kid).and_then(|key| moment(&key["demoted_at"]).ok())
            && token.iat * 1000 > demoted + promise.staleness
        {
            broken.push(format!(
                "token {} was signed more than {} ms after its key {} was demoted",
                token.id, promise.staleness, token.kid
            ));
        }
    }
    for key in records.keys.values() {
        broken.extend(key_rules_broken(key, promise));
    }
    broken
}

fn key_rules_broken(key: &Value, promise: Promise) -> Vec<String> {
    let mut broken = Vec::new();
    let at = |name: &str| moment(&key[name]).ok();
    if let (Some(published), Some(activated)) = (at("published_at"), at("activated_at")) {
        let lead = activated - published;
        // The first key of all signs from the moment it is made.
        if lead < promise.lead && lead != 0 {
            let kid = &key["kid"];
            broken.push(format!(
                "key {kid} signed {lead} ms after it was published; promised are {}",
                promise.lead
            ));
        }
    }
    if let (Some(demoted), Some(retires)) = (at("demoted_at"), at("retires_at")) {
        let kept = promise.staleness + promise.life + promise.leeway;
        if retires - demoted < kept {
            let (kid, stays) = (&key["kid"], retires - demoted);
            broken.push(format!("key {kid} stays for {stays} ms after it was demoted; promised are {kept}"));
        }
    }
    broken
}

impl Judgement {
    /// Passes or tells why not.
    pub fn verdict(&self) -> Outcome {
        let blind = self.controls.iter().find(|(_, counts)| **counts == (0, 0));
        if let Some((name, _)) = blind {
            return Err(Failure::new(format!(
                "the control \"{name}\" was not seen to break: the checker is blind"
            )));
        }
        let mut why = String::new();
        if self.false_rejects + self.false_accepts > 0 {
            let _ = writeln!(
                why,
                "{} false rejects and {} false accepts in {} verifications",
                self.false_rejects, self.false_accepts, self.verifications
            );
        }
        if !self.rules_broken.is_empty() {
            let _ = writeln!(why, "{} rules broken, for instance:", self.rules_broken.len());
            for rule in self.rules_broken.iter().take(TOLD) {
                let _ = writeln!(why, "  {rule}");
            }
        }
        for story in &self.stories {
            why += story;
        }
        ensure!(why.is_empty(), "{why}");
        Ok(())
    }

    pub fn figures(&self) -> String {
        let mut text = format!(
            "{} verifications: {} false rejects, {} false accepts; {} rightly accepted ({} of them in their last \
             100 ms), {} rightly refused",
            self.verifications,
            self.false_rejects,
            self.false_accepts,
            self.right_accepts,
            self.at_the_last_moment,
            self.right_refusals
        );
        for (name, (rejects, accepts)) in &self.controls {
            let _ = write!(text, "\n  control \"{name}\": {rejects} false rejects, {accepts} false accepts");
        }
        text
    }
}

/// Everything known about the token of a wrong verdict, in the order it happened.
fn story(records: &Records, kinds: &[Kind], check: &Check, promise: Promise) -> String {
    let (token, begun) = (&check.token, records.tokens.first().map_or(0, |token| token.made_at));
    let t = |at: i64| format!("t={:+.3} s", seconds(at - begun));
    let mut text = String::new();
    let word = if check.verdict == Verdict::Accepted { "accepted" } else { "refused" };
    let what = if token.genuine { "genuine" } else { "forged" };
    let _ = writeln!(
        text,
        "  {}: \"{}\" {word} the {what} token {} ({:?})",
        t(check.at),
        kinds[check.verifier].name,
        token.id,
        check.verdict
    );
    let _ = writeln!(text, "    made   {} by {}, kid {}", t(token.made_at), token.origin, token.kid);
    if token.genuine {
        let end = end_of(token, promise);
        let _ = writeln!(
            text,
            "    good   until {} (exp and leeway), {:+} ms from the verdict",
            t(end),
            end - check.at
        );
    }
    if let Some(set) = check.held.and_then(|held| records.sets.get(held)) {
        let age = check.at - set.asked_at;
        let _ = writeln!(text, "    held   the set of {}, {age} ms old: {}", set.node, set.kids.join(" "));
    }
    if let Some(key) = records.keys.get(&token.kid) {
        let told = ["published_at", "activated_at", "demoted_at", "retires_at", "revoked_at"].into_iter();
        let told = told.filter_map(|name| Some(format!("{name} {}", t(moment(&key[name]).ok()?))));
        let _ = writeln!(text, "    key    {}", told.collect::<Vec<_>>().join(", "));
    }
    let others = records.checks.iter().filter(|other| other.token.id == token.id);
    let (said_yes, said_no): (Vec<_>, Vec<_>) = others.partition(|other| other.verdict == Verdict::Accepted);
    let _ = writeln!(text, "    others {} accepted it, {} refused it", said_yes.len(), said_no.len());
    text
}

#[expect(clippy::cast_precision_loss)]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}
