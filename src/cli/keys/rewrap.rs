use indicatif::ProgressBar;

use crate::cli::{Failure, Output, failed, open, print_json};
use crate::domain::operations::AuditContext;
use crate::flows::keys::rewrap_keys;
use crate::settings::Settings;
use crate::views::{MasterKeyView, rfc3339};

pub async fn run(dry_run: bool, settings: Settings, output: Output) -> Result<(), Failure> {
    let app = open(settings).await?;
    let bar = ProgressBar::no_length();
    let progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let view = rewrap_keys(&app, &AuditContext::operator(), dry_run, &progress).await;
    bar.finish_and_clear();
    let view = view.map_err(failed)?;
    if output == Output::Json {
        return print_json(&view);
    }
    let (count, first) = (view.moved.len(), &view.sealed_under);
    match dry_run {
        true => println!(
            "Nothing was changed. {count} private keys would be sealed anew under master key {first}."
        ),
        false => println!("{count} private keys were sealed anew under master key {first}."),
    }
    println!("\n{:<24}  {:>12}  {:>13}  ", "MASTER KEY", "SIGNING KEYS", "LIVE SESSIONS");
    for master in &view.master_keys {
        let MasterKeyView { id, signing_keys, live_sessions, .. } = master;
        println!("{id:<24}  {signing_keys:>12}  {live_sessions:>13}  {}", need(master));
    }
    Ok(())
}

/// Whether a master key can be dropped, in words.
fn need(master: &MasterKeyView) -> String {
    match master.last_session_ends_at {
        _ if master.first => "first: seals and signs".to_owned(),
        _ if master.can_be_dropped() => "can be dropped".to_owned(),
        Some(end) if master.signing_keys == 0 => {
            format!("needed until these sessions have refreshed, at most until {}", rfc3339(end))
        }
        _ => "needed".to_owned(),
    }
}
