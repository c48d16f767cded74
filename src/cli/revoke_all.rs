use clap::Args;

use super::keys::parse_reason;
use super::{Failure, Output, failed, open, print_json};
use crate::domain::operations::AuditContext;
use crate::flows::operations::{RevokeAll, revoke_all};
use crate::settings::Settings;
use crate::views::{RevokeAllView, rfc3339};

#[derive(Args)]
pub struct RevokeAllArgs {
    /// Reason for the audit log
    #[arg(long)]
    reason: String,
    /// Show what would be revoked, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: RevokeAllArgs, settings: Settings, output: Output) -> Result<(), Failure> {
    let app = open(settings).await?;
    let reason = parse_reason(&args.reason)?;
    let options = RevokeAll { reason, dry_run: args.dry_run, context: AuditContext::operator() };
    let view = revoke_all(&app, options).await.map_err(failed)?;
    if output == Output::Json {
        return print_json(&view);
    }
    print(&view);
    Ok(())
}

fn print(view: &RevokeAllView) {
    let (did, keys) = match view.dry_run {
        true => ("Nothing was changed. It would end", "It would revoke the keys"),
        false => ("Ended", "Revoked the keys"),
    };
    let sessions = if view.sessions == 1 { "session" } else { "sessions" };
    println!("{did} {} {sessions}: everybody logs in again.", view.sessions);
    println!("{keys}: {}.", view.revoked.join(", "));
    match (view.valid_tokens, view.last_expires_at) {
        (0, _) | (_, None) => println!("No access token is known to be valid."),
        (tokens, Some(last)) => println!(
            "Access tokens that are not expired: {tokens}. Services accept them until they fetch the key set anew, and at the \
             latest until {}.",
            rfc3339(last)
        ),
    }
    if let (Some(current), Some(next)) = (&view.current, &view.next) {
        println!("Signs now: {}. Next: {}.", current.kid, next.kid);
    }
    println!(
        "\nIf the database was restored: accounts, passwords, roles and disabled users are as they were in the backup. \
         What was changed since must be changed again."
    );
}
