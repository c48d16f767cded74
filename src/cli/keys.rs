use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;

use super::timeline::draw;
use super::{Failure, Output, failed, open, print_json};
use crate::domain::{Kid, Origin, Reason, Trigger};
use crate::flows::{RevokeKey, RotateKeys, list_keys, revoke_key, rewrap_keys, rotate_keys};
use crate::keys::MasterKey;
use crate::settings::{Settings, SettingsError};
use crate::start::write_master_key;
use crate::views::{KeyView, MasterKeyView, RevocationView, rfc3339};

#[derive(Subcommand)]
pub enum KeysCommand {
    /// Show all signing keys: which signs, which is next, when each leaves.
    List,
    /// Let the next key sign, and publish a new next one.
    Rotate(RotateArgs),
    /// Take a stolen key out at once; another one, never published before, signs on.
    Revoke(RevokeArgs),
    /// Seal all private keys anew under the first master key, so that an older one can be dropped.
    Rewrap {
        /// Only tell what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// Make a master key. Prints it, or writes it to a new file with mode 0600.
    NewMaster {
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Args)]
pub struct RotateArgs {
    /// Rotate although some verifier may not have fetched the next key. Needs --reason.
    #[arg(long, requires = "reason")]
    force: bool,
    /// Why; kept in the audit table.
    #[arg(long)]
    reason: Option<String>,
    /// Only tell what would happen.
    #[arg(long)]
    dry_run: bool,
    /// A name for this rotation; repeated with the same name it gives the same answer and rotates nothing.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

#[derive(Args)]
pub struct RevokeArgs {
    /// The key; `keys list` shows them.
    kid: String,
    /// Why; kept in the audit table.
    #[arg(long)]
    reason: String,
    /// Only tell what it would cost.
    #[arg(long)]
    dry_run: bool,
    /// A name for this revocation; repeated with the same name it gives the same answer and revokes nothing.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

pub async fn run(
    command: KeysCommand,
    settings: impl FnOnce() -> Result<Settings, SettingsError>,
    output: Output,
) -> Result<(), Failure> {
    match command {
        KeysCommand::List => list(settings()?, output).await,
        KeysCommand::Rotate(args) => rotate(args, settings()?, output).await,
        KeysCommand::Revoke(args) => revoke(args, settings()?, output).await,
        KeysCommand::Rewrap { dry_run } => rewrap(dry_run, settings()?, output).await,
        KeysCommand::NewMaster { out } => new_master(out),
    }
}

async fn list(settings: Settings, output: Output) -> Result<(), Failure> {
    let app = open(settings).await?;
    let view = list_keys(&app).await.map_err(failed)?;
    if output == Output::Json {
        return print_json(&view);
    }
    print_table(&view.keys);
    println!("\nThe schedule rotates at {}.", rfc3339(view.next_rotation_at));
    if std::io::stdout().is_terminal() {
        println!("\n{}", draw(&view, app.clock.now()));
    }
    Ok(())
}

async fn rotate(args: RotateArgs, settings: Settings, output: Output) -> Result<(), Failure> {
    let app = open(settings).await?;
    let request = RotateKeys {
        trigger: if args.force { Trigger::Forced } else { Trigger::Operator },
        reason: args.reason.as_deref().map(parse_reason).transpose()?,
        dry_run: args.dry_run,
        idempotency_key: args.idempotency_key,
        origin: Origin::operator(),
    };
    let view = rotate_keys(&app, request).await.map_err(failed)?;
    if output == Output::Json {
        return print_json(&view);
    }
    println!("{}", if view.dry_run { "Nothing was changed. A rotation would leave:" } else { "Rotated." });
    let keys: Vec<KeyView> = view.next.into_iter().chain([view.current]).chain(view.previous).collect();
    print_table(&keys);
    Ok(())
}

async fn revoke(args: RevokeArgs, settings: Settings, output: Output) -> Result<(), Failure> {
    let app = open(settings).await?;
    let request = RevokeKey {
        kid: Kid::new(args.kid),
        reason: parse_reason(&args.reason)?,
        dry_run: args.dry_run,
        idempotency_key: args.idempotency_key,
        origin: Origin::operator(),
    };
    let view = revoke_key(&app, request).await.map_err(failed)?;
    if output == Output::Json {
        return print_json(&view);
    }
    tell_revocation(&view);
    Ok(())
}

fn tell_revocation(view: &RevocationView) {
    let RevocationView { impact, dry_run, .. } = view;
    println!("{}", if *dry_run { "Nothing was changed. Revoking would leave:" } else { "Revoked." });
    let kept = view.next.iter().chain(&view.current).chain(&view.previous);
    let gone = view.dropped.iter().chain([&view.revoked]);
    let keys: Vec<KeyView> = kept.chain(gone).cloned().collect();
    print_table(&keys);
    if *dry_run && view.current.is_none() {
        println!("A current and a next key that were never published are made when it is done.");
    }
    println!("\n{} sessions are live; they go on and refresh.", impact.live_sessions);
    match (impact.valid_tokens, impact.last_expires_at) {
        (0, _) | (_, None) => println!("No access token under this key is known to be valid."),
        (tokens, Some(last)) => println!(
            "{tokens} access tokens under this key are not expired; the last expires at {}. Services accept them until \
             then or until they fetch the set anew.",
            rfc3339(last)
        ),
    }
}

async fn rewrap(dry_run: bool, settings: Settings, output: Output) -> Result<(), Failure> {
    let app = open(settings).await?;
    let bar = ProgressBar::no_length();
    let progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let view = rewrap_keys(&app, &Origin::operator(), dry_run, &progress).await;
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

fn parse_reason(typed: &str) -> Result<Reason, Failure> {
    Reason::parse(typed).map_err(|error| Failure::Usage(format!("--reason: {error}")))
}

fn print_table(keys: &[KeyView]) {
    println!("{:<8}  {:<43}  {:<5}  WHEN", "STATUS", "KID", "ALG");
    for key in keys {
        println!("{:<8}  {:<43}  {:<5}  {}", key.status, key.kid, key.alg, moment(key));
    }
}

/// The one time that matters about a key in its state.
fn moment(key: &KeyView) -> String {
    let at = |label: &str, time: Option<_>| time.map(|time| format!("{label} {}", rfc3339(time)));
    let told = match key.status.as_str() {
        "next" => at("may sign from", Some(key.eligible_at)),
        "current" => at("signs since", key.activated_at),
        "previous" => at("verifies until", key.retires_at),
        "retired" => at("left", key.retires_at),
        _ => at("revoked", key.revoked_at),
    };
    told.unwrap_or_default()
}

fn new_master(out: Option<PathBuf>) -> Result<(), Failure> {
    let key = MasterKey::generate().map_err(failed)?;
    match out {
        None => print!("{}", *key.to_line()),
        Some(path) => {
            write_master_key(&path, &key).map_err(|error| failed(format!("{}: {error}", path.display())))?;
            println!(
                "{} holds master key {}. Give it to every node, and keep a copy.",
                path.display(),
                key.id()
            );
        }
    }
    Ok(())
}
