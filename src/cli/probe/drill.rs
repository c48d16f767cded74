use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::report::{Case, Expected, Report, Verdict, seconds};
use super::service::{Reaction, Reply, Service};
use super::tokens::{OwnKey, TokenMaker};
use crate::app::App;
use crate::cli::{Failure, failed};
use crate::domain::keys::Kid;
use crate::flows::keys::{publish_probe_key, retire_probe_key};
use crate::tokens::Forgery;

/// How long a drill has and how often it asks.
pub struct Pace {
    /// How long the service is waited for.
    pub wait: Duration,
    pub every: Duration,
    /// How long a next key is published before it signs: nobody may take longer to take it.
    pub lead: Duration,
    pub quick: bool,
    pub busy: bool,
}

/// A published key stays so much longer than it is waited for, if nobody takes it out.
const MARGIN: TimeDelta = TimeDelta::minutes(1);

const STALE: &str = "It has not fetched the next key; it would have to refetch on an unknown kid, or within \
                     keys.verifier_cache_ttl.";

/// One run through all the cases.
pub struct Drill<'a> {
    app: &'a App,
    service: Service,
    tokens: TokenMaker,
    pace: Pace,
    report: Report,
    /// The key that must be taken back.
    published: Option<Kid>,
}

/// How waiting ended.
struct Waited {
    /// How long it took; `None` when the time was up.
    after: Option<Duration>,
    last: Reply,
}

impl<'a> Drill<'a> {
    pub fn new(app: &'a App, service: Service, tokens: TokenMaker, pace: Pace) -> Self {
        let report = Report::new(service.address());
        Self { app, service, tokens, pace, report, published: None }
    }

    pub fn into_report(self) -> Report {
        self.report
    }

    /// Asks everything there is to ask. A service that lets everybody in, or nobody, is asked no further.
    pub async fn run(&mut self) -> Result<(), Failure> {
        let mut stopped = self.without_token().await;
        if stopped.is_none() {
            stopped = self.with_current_key().await?;
        }
        if stopped.is_none() {
            self.with_forgeries().await?;
            self.with_next_key().await?;
            if !self.pace.quick {
                self.with_key_that_comes_and_goes().await?;
            }
        }
        self.report.conclude(stopped);
        Ok(())
    }

    /// Takes the published key out of the JWK Set, if there is one. What is left of it otherwise: a public half, until its
    /// time is up.
    pub async fn take_key_back(&mut self) -> Result<(), Failure> {
        let Some(kid) = &self.published else { return Ok(()) };
        retire_probe_key(self.app, kid, &self.service.address()).await.map_err(|error| {
            let wait = humantime::format_duration(self.pace.wait);
            failed(format!(
                "the probe's key {kid} could not be taken out: {error}\n\
                 It leaves by itself within {wait} and a minute, and its private half ends with this process."
            ))
        })?;
        self.published = None;
        Ok(())
    }

    async fn without_token(&mut self) -> Option<String> {
        let reply = self.service.ask(None).await;
        let stopped = match reply.reaction {
            Reaction::Refused => None,
            Reaction::Silent => Some(format!("The service cannot be asked: {} {}", reply.said, reply.body)),
            Reaction::Broke => {
                Some(format!("Without a token the service answers {} and not 401.", reply.said))
            }
            Reaction::Accepted => {
                Some(format!("This address is not protected: without a token it answers {}.", reply.said))
            }
        };
        self.write_down(judge("no token", Expected::Refused, &reply));
        stopped
    }

    async fn with_current_key(&mut self) -> Result<Option<String>, Failure> {
        let reply = self.service.ask(Some(&self.tokens.current(self.app)?)).await;
        self.service.good = reply.status;
        self.write_down(judge("current key", Expected::Accepted, &reply));
        Ok((reply.reaction != Reaction::Accepted).then(|| {
            format!(
                "The service does not accept a good token: {} {}\nIt must trust {}; give --audience or --scope where \
                 it wants others.",
                reply.said,
                reply.body,
                self.tokens.expectation()
            )
        }))
    }

    async fn with_forgeries(&mut self) -> Result<(), Failure> {
        for forgery in Forgery::ALL {
            let token = self.tokens.forged(forgery, self.app)?;
            let reply = self.service.ask(Some(&token)).await;
            let mut case = judge(forgery.name(), Expected::Refused, &reply);
            if forgery == Forgery::OtherType && reply.reaction == Reaction::Accepted {
                case.verdict = Verdict::Warning;
                let note = "RFC 9068 wants it refused; many libraries do not look. No danger while access tokens \
                            are all that this issuer signs for this audience.";
                case.note = Some(note.to_owned());
            }
            self.write_down(case);
        }
        Ok(())
    }

    /// The next key is published, so whoever has the set has it.
    async fn with_next_key(&mut self) -> Result<(), Failure> {
        const SENT: &str = "next key";
        let Some(token) = self.tokens.next(self.app)? else { return Ok(()) };
        let first = self.service.ask(Some(&token)).await;
        if first.reaction != Reaction::Refused {
            self.write_down(judge(SENT, Expected::Accepted, &first));
            return Ok(());
        }
        if self.pace.quick {
            let mut case = judge(SENT, Expected::Accepted, &first);
            (case.verdict, case.note) = (Verdict::Warning, Some(self.why_not_next()));
            self.write_down(case);
            return Ok(());
        }
        let waited = self
            .wait_for(SENT, Reaction::Accepted, async |drill| match drill.tokens.next(drill.app)? {
                Some(token) => Ok(drill.service.ask(Some(&token)).await),
                None => Err(failed("the next key cannot be opened any more")),
            })
            .await?;
        let mut case = judge(SENT, Expected::Accepted, &waited.last);
        case.note = match (waited.after, waited.last.reaction) {
            (Some(after), _) => {
                Some(format!("It had not fetched the next key, and did after {} s.", seconds(after)))
            }
            (None, Reaction::Refused) => Some(self.why_not_next()),
            (None, _) => case.note,
        };
        self.write_down(case);
        Ok(())
    }

    fn why_not_next(&self) -> String {
        match self.tokens.other_algorithm() {
            Some(alg) => {
                format!("The next key is for {alg}, which the service has to allow too. Or: {STALE}")
            }
            None => STALE.to_owned(),
        }
    }

    /// A key that is published and taken back again: how fast the service follows.
    async fn with_key_that_comes_and_goes(&mut self) -> Result<(), Failure> {
        let key = OwnKey::make(&self.app.key_factory).await?;
        let keep = TimeDelta::from_std(self.pace.wait).map_err(failed)? + MARGIN;
        // Before it is done: whoever is interrupted has to undo it.
        self.published = Some(key.generated.kid.clone());
        publish_probe_key(self.app, &key.generated, keep, &self.service.address()).await.map_err(failed)?;
        if self.takes_new_key(&key).await? {
            self.take_key_back().await?;
            self.holds_removed_key(&key).await?;
        }
        Ok(())
    }

    async fn takes_new_key(&mut self, key: &OwnKey) -> Result<bool, Failure> {
        const SENT: &str = "key published just now";
        let waited =
            self.wait_for(SENT, Reaction::Accepted, async |drill| drill.ask_under(key).await).await?;
        self.report.took_new_key_s = waited.after.map(seconds);
        let lead = self.pace.lead;
        let mut case = judge(SENT, Expected::Accepted, &waited.last);
        if waited.after.is_none_or(|after| after > lead) {
            case.verdict = Verdict::Wrong;
            case.note = Some(format!(
                "Chancery signs with a new key {} after publishing it, and relies on every service having it then.",
                humantime::format_duration(lead)
            ));
        }
        self.write_down(case);
        Ok(waited.after.is_some())
    }

    async fn holds_removed_key(&mut self, key: &OwnKey) -> Result<(), Failure> {
        const SENT: &str = "key taken out just now";
        let waited = self
            .wait_for(SENT, Reaction::Refused, async |drill| {
                if drill.pace.busy {
                    drill.service.ask(Some(&drill.tokens.forged(Forgery::UnknownKey, drill.app)?)).await;
                }
                drill.ask_under(key).await
            })
            .await?;
        self.report.held_removed_key_s = waited.after.map(seconds);
        let mut case = judge(SENT, Expected::Refused, &waited.last);
        if waited.after.is_none() {
            case.note =
                Some("A stolen key would be trusted so long after its revocation, and longer.".to_owned());
        }
        self.write_down(case);
        Ok(())
    }

    async fn ask_under(&self, key: &OwnKey) -> Result<Reply, Failure> {
        Ok(self.service.ask(Some(&self.tokens.signed_by(&key.signer, self.app)?)).await)
    }

    /// Asks until the service reacts as wanted, breaks, or the time is up.
    async fn wait_for(
        &self,
        sent: &str,
        wanted: Reaction,
        ask: impl AsyncFn(&Self) -> Result<Reply, Failure>,
    ) -> Result<Waited, Failure> {
        let progress = Progress::start(sent, self.pace.wait);
        loop {
            let last = ask(self).await?;
            let elapsed = progress.began.elapsed();
            if last.reaction == wanted {
                return Ok(Waited { after: Some(elapsed), last });
            }
            if elapsed >= self.pace.wait || last.reaction == Reaction::Broke {
                return Ok(Waited { after: None, last });
            }
            progress.show(&last);
            tokio::time::sleep(self.pace.every).await;
        }
    }

    fn write_down(&mut self, case: Case) {
        self.report.cases.push(case);
    }
}

fn judge(sent: &'static str, expected: Expected, reply: &Reply) -> Case {
    let (verdict, note) = match (reply.reaction, expected) {
        (Reaction::Accepted, Expected::Accepted) | (Reaction::Refused, Expected::Refused) => {
            (Verdict::Right, None)
        }
        (Reaction::Broke, Expected::Refused) => {
            (Verdict::Wrong, Some(format!("It answered {}: a bad token should not break it.", reply.said)))
        }
        (Reaction::Silent, _) if reply.status.is_none() => (Verdict::Wrong, Some(reply.body.clone())),
        _ => (Verdict::Wrong, None),
    };
    Case { sent, expected, got: reply.said.clone(), verdict, note }
}

/// A line that says what is waited for, where somebody looks.
struct Progress<'a> {
    sent: &'a str,
    wait: Duration,
    began: Instant,
    is_seen: bool,
}

impl<'a> Progress<'a> {
    fn start(sent: &'a str, wait: Duration) -> Self {
        Self { sent, wait, began: Instant::now(), is_seen: stderr().is_terminal() }
    }

    fn show(&self, last: &Reply) {
        if self.is_seen {
            let (elapsed, wait) = (self.began.elapsed().as_secs(), self.wait.as_secs());
            eprint!("\r{}: {} after {elapsed} s of at most {wait} s\x1b[K", self.sent, last.said);
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.is_seen {
            eprint!("\r\x1b[K");
        }
    }
}
