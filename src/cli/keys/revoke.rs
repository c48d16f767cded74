use clap::Args;

use super::{parse_reason, print_table};
use crate::cli::{Failure, Output, failed, open, print_json};
use crate::domain::keys::Kid;
use crate::domain::operations::AuditContext;
use crate::flows::keys::{RevokeKey, revoke_key};
use crate::settings::Settings;
use crate::start::start_with_new_master_key;
use crate::views::{ImpactView, KeyView, RevocationView, rfc3339};

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
    /// The master key is lost: revoke although the keys cannot be opened, and begin anew under the configured one. Everyone has to
    /// log in again.
    #[arg(long)]
    master_key_lost: bool,
    /// A name for this revocation; repeated with the same name it gives the same answer and revokes nothing.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

pub async fn run(args: RevokeArgs, settings: Settings, output: Output) -> Result<(), Failure> {
    let app = match args.master_key_lost {
        true => start_with_new_master_key(settings).await.map_err(failed)?,
        false => open(settings).await?,
    };
    let request = RevokeKey {
        kid: Kid::new(args.kid),
        reason: parse_reason(&args.reason)?,
        dry_run: args.dry_run,
        idempotency_key: args.idempotency_key,
        context: AuditContext::operator(),
    };
    let view = revoke_key(&app, request).await.map_err(failed)?;
    if output == Output::Json {
        return print_json(&view);
    }
    print(&view);
    Ok(())
}

fn print(view: &RevocationView) {
    let RevocationView { impact, dry_run, .. } = view;
    println!("{}", if *dry_run { "Nothing was changed. Revoking would leave:" } else { "Revoked." });
    let kept = view.next.iter().chain(&view.current).chain(&view.previous);
    let gone = view.dropped.iter().chain([&view.revoked]);
    let keys: Vec<KeyView> = kept.chain(gone).cloned().collect();
    print_table(&keys);
    if *dry_run && view.current.is_none() {
        println!("A current and a next key that were never published are made when it is done.");
    }
    if let Some(impact) = impact {
        print_impact(impact);
    }
}

fn print_impact(impact: &ImpactView) {
    println!("\nLive sessions: {}. They go on and refresh.", impact.live_sessions);
    match (impact.valid_tokens, impact.last_expires_at) {
        (0, _) | (_, None) => println!("No access token under this key is known to be valid."),
        (tokens, Some(last)) => println!(
            "Access tokens under this key that are not expired: {tokens}; the last expires at {}. Services accept them \
             until then, or until they fetch the set anew.",
            rfc3339(last)
        ),
    }
}
