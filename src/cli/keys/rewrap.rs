use indicatif::ProgressBar;

use crate::cli::{Failure, Output, failed, open, print_json};
use crate::domain::operations::AuditContext;
use crate::flows::keys::{STORED_SECRETS, rewrap_keys};
use crate::settings::Settings;
use crate::views::{MasterKeyView, rfc3339};

pub async fn run(dry_run: bool, settings: Settings, output: Output) -> Result<(), Failure> {
    let app = open(settings).await?;
    let bar = ProgressBar::no_length();
    let progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let view = rewrap_keys(&app, STORED_SECRETS, &AuditContext::operator(), dry_run, &progress).await;
    bar.finish_and_clear();
    let view = view.map_err(failed)?;
    if output == Output::Json {
        return print_json(&view);
    }
    let (keys, others, first) = (view.moved.len(), view.moved_other_secrets, &view.sealed_under);
    match dry_run {
        true => println!(
            "Nothing was changed. {keys} private keys and {others} other secrets would be sealed again under master key \
             {first}."
        ),
        false => println!(
            "{keys} private keys and {others} other secrets were sealed again under master key {first}."
        ),
    }
    println!(
        "\n{:<24}  {:>12}  {:>13}  {:>13}  ",
        "MASTER KEY", "SIGNING KEYS", "OTHER SECRETS", "LIVE SESSIONS"
    );
    for master in &view.master_keys {
        let MasterKeyView { id, signing_keys, other_secrets, live_sessions, .. } = master;
        println!("{id:<24}  {signing_keys:>12}  {other_secrets:>13}  {live_sessions:>13}  {}", need(master));
    }
    Ok(())
}

/// Whether a master key can be dropped, in words.
fn need(master: &MasterKeyView) -> String {
    match master.last_session_ends_at {
        _ if master.first => "first: seals and signs".to_owned(),
        _ if master.can_be_dropped() => "can be dropped".to_owned(),
        Some(end) if master.seals_nothing() => {
            format!("needed until these sessions have refreshed, at most until {}", rfc3339(end))
        }
        _ => "needed".to_owned(),
    }
}
