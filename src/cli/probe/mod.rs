//! `chancery probe`: a drill with a live service. It is sent good, forged and misdirected tokens, a new key is published and
//! taken back, and the report says what the service gets wrong and how long its cache takes.
//!
//! Nothing is done to the keys that sign: the one that comes and goes is made here, and its private half is nowhere else.

mod drill;
mod report;
mod service;
mod tokens;

use std::time::Duration;

use clap::Args;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Url};
use tokio_util::sync::CancellationToken;

use self::drill::{Drill, Pace};
use self::report::Report;
use self::service::Service;
use self::tokens::TokenMaker;
use super::serve::cancel_on_signal;
use super::{Failure, Output, failed, open, print_json};
use crate::settings::Settings;

/// A key of the probe's is published for no longer, unless caches are allowed more.
const A_DAY: Duration = Duration::from_hours(24);
/// Asking more often tells no more, and is a burden to the service.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

#[derive(Args)]
pub struct ProbeArgs {
    /// An address of the service that needs an access token. It is asked some thirty times, so take a harmless one.
    url: Url,
    #[arg(long, default_value = "GET")]
    method: Method,
    /// A header to send with every request; may be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Whom the tokens are for. Without it: tokens.audience, as everybody's are.
    #[arg(long)]
    audience: Option<String>,
    /// The scope the tokens have, where the service wants one.
    #[arg(long, default_value = "")]
    scope: String,
    /// How long the service may take to follow a change of keys [default: as long as a next key waits before it signs]
    #[arg(long, value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    /// How often it is asked meanwhile.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    every: Duration,
    /// Wait for nothing: leave out how the service follows a change of keys.
    #[arg(long)]
    quick: bool,
    /// While a removed key leaves the service's cache, send tokens of an unknown key too, as the successor's arrive after a
    /// revocation. Without it the answer is for a service that hears nothing else.
    #[arg(long, conflicts_with = "quick")]
    busy: bool,
}

pub async fn run(args: ProbeArgs, settings: Settings, output: Output) -> Result<(), Failure> {
    check(&args)?;
    let lead = settings.key_policy.lead().to_std().map_err(failed)?;
    let wait = args.wait.unwrap_or(lead);
    if wait > lead.max(A_DAY) {
        return Err(Failure::Usage(format!(
            "--wait: at most {}",
            humantime::format_duration(lead.max(A_DAY))
        )));
    }
    let pace = Pace { wait, every: args.every, lead, quick: args.quick, busy: args.busy };
    let service = Service::new(args.url, args.method, args.headers)?;
    let app = open(settings).await?;
    let tokens = TokenMaker::prepare(&app, args.audience, args.scope).await?;

    let stop = CancellationToken::new();
    cancel_on_signal(stop.clone()).map_err(failed)?;
    let mut drill = Drill::new(&app, service, tokens, pace);
    let ended = tokio::select! {
        ended = drill.run() => ended,
        () = stop.cancelled() => Err(failed("stopped; nothing of the probe is published any more")),
    };
    // However it ended.
    drill.take_key_back().await?;
    ended?;
    print(&drill.into_report(), output)
}

fn check(args: &ProbeArgs) -> Result<(), Failure> {
    if !matches!(args.url.scheme(), "http" | "https") {
        return Err(Failure::Usage("the address must begin with http:// or https://".to_owned()));
    }
    if args.every < SHORTEST_PAUSE {
        return Err(Failure::Usage("--every: at least 100ms".to_owned()));
    }
    Ok(())
}

fn parse_header(typed: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = typed.split_once(':').ok_or("write it as 'Name: value'")?;
    let name: HeaderName = name.trim().parse().map_err(|_| "that is no header name")?;
    if name == reqwest::header::AUTHORIZATION {
        return Err("the probe brings its own tokens".to_owned());
    }
    let value = value.trim().parse().map_err(|_| "that is no header value")?;
    Ok((name, value))
}

fn print(report: &Report, output: Output) -> Result<(), Failure> {
    match output {
        Output::Json => print_json(report)?,
        Output::Text => report.print(),
    }
    match report.ok {
        true => Ok(()),
        false => Err(Failure::Failed(report.summary.clone())),
    }
}
