//! `chancery keys`: one file per verb.

mod export;
mod import;
mod list;
mod new_master;
mod revoke;
mod rewrap;
mod rotate;
mod timeline;

use std::path::PathBuf;

use clap::Subcommand;

use super::{Failure, Output};
use crate::domain::operations::Reason;
use crate::settings::{Settings, SettingsError};
use crate::views::{KeyView, rfc3339};

#[derive(Subcommand)]
pub enum KeysCommand {
    /// Show all signing keys: which signs, which is next, when each leaves.
    List,
    /// Let the next key sign, and publish a new next one.
    Rotate(rotate::RotateArgs),
    /// Take a stolen key out at once; another one, never published before, signs on.
    Revoke(revoke::RevokeArgs),
    /// Take in a key of another server with its own kid, to move without logging anyone out.
    Import(import::ImportArgs),
    /// Print the public keys as a JWK Set, for verifiers that cannot reach the server.
    Export {
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Seal all private keys and other secrets again under the first master key, so that an older one can be dropped.
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

pub async fn run(
    command: KeysCommand,
    settings: impl FnOnce() -> Result<Settings, SettingsError>,
    output: Output,
) -> Result<(), Failure> {
    match command {
        KeysCommand::List => list::run(settings()?, output).await,
        KeysCommand::Rotate(args) => rotate::run(args, settings()?, output).await,
        KeysCommand::Revoke(args) => revoke::run(args, settings()?, output).await,
        KeysCommand::Import(args) => import::run(args, settings()?, output).await,
        KeysCommand::Export { out } => export::run(out, settings()?).await,
        KeysCommand::Rewrap { dry_run } => rewrap::run(dry_run, settings()?, output).await,
        KeysCommand::NewMaster { out } => new_master::run(out),
    }
}

pub(super) fn parse_reason(typed: &str) -> Result<Reason, Failure> {
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
