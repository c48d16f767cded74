use std::time::Duration;

use serde::Serialize;

/// What a drill has found.
#[derive(Serialize)]
pub struct Report {
    url: String,
    /// Nothing is wrong. Warnings are not.
    pub ok: bool,
    pub cases: Vec<Case>,
    /// How long after its publication a token under a new key was accepted.
    pub took_new_key_s: Option<f64>,
    /// How long after its removal a token under an old key was accepted.
    pub held_removed_key_s: Option<f64>,
    /// All of it in a sentence.
    pub summary: String,
}

/// One thing that was sent.
#[derive(Serialize)]
pub struct Case {
    pub sent: &'static str,
    pub expected: Expected,
    /// The status, or that there is none.
    pub got: String,
    pub verdict: Verdict,
    /// What it means or what to do, where that is not obvious.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    Accepted,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Right,
    /// Not as it should be, and no danger by itself.
    Warning,
    Wrong,
}

impl Report {
    pub fn new(url: String) -> Self {
        Self {
            url,
            ok: false,
            cases: Vec::new(),
            took_new_key_s: None,
            held_removed_key_s: None,
            summary: String::new(),
        }
    }

    /// Counts and says what was found. `stopped` is why there is no more.
    pub fn conclude(&mut self, stopped: Option<String>) {
        let sent = |verdict| {
            let cases = self.cases.iter().filter(move |case| case.verdict == verdict);
            cases.map(|case| case.sent).collect::<Vec<_>>()
        };
        let (wrong, warned) = (sent(Verdict::Wrong), sent(Verdict::Warning));
        self.ok = stopped.is_none() && wrong.is_empty();
        self.summary = match (stopped, &wrong[..], &warned[..]) {
            (Some(reason), ..) => reason,
            (None, [], []) => "The service gets everything right.".to_owned(),
            (None, [], warned) => {
                format!("The service gets nothing wrong; look at the warnings: {}.", warned.join("; "))
            }
            (None, wrong, _) => {
                format!(
                    "The service gets {} of {} wrong: {}.",
                    wrong.len(),
                    self.cases.len(),
                    wrong.join("; ")
                )
            }
        };
    }

    /// A table, the two figures, and where nothing is wrong the sentence; a failure says it itself.
    pub fn print(&self) {
        println!("{}\n", self.url);
        println!("{:<42}  {:<8}  {:<9}  VERDICT", "SENT", "EXPECTED", "GOT");
        for case in &self.cases {
            let expected = match case.expected {
                Expected::Accepted => "accepted",
                Expected::Refused => "refused",
            };
            let verdict = match case.verdict {
                Verdict::Right => "right",
                Verdict::Warning => "warning",
                Verdict::Wrong => "WRONG",
            };
            println!("{:<42}  {expected:<8}  {:<9}  {verdict}", case.sent, case.got);
            if let Some(note) = &case.note {
                println!("    {note}");
            }
        }
        println!();
        if let Some(seconds) = self.took_new_key_s {
            println!("It took a new key after {seconds} s.");
        }
        if let Some(seconds) = self.held_removed_key_s {
            println!("It held a removed key for {seconds} s.");
        }
        if self.ok {
            println!("{}", self.summary);
        }
    }
}

/// To a tenth, which is finer than anybody asks.
pub fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}
