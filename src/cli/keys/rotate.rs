use clap::Args;

use super::{parse_reason, print_table};
use crate::cli::{Failure, Output, failed, open, print_json};
use crate::domain::keys::Trigger;
use crate::domain::operations::AuditContext;
use crate::flows::keys::{RotateKeys, rotate_keys};
use crate::settings::Settings;
use crate::views::{KeyView, PropagationView, rfc3339};

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

pub async fn run(args: RotateArgs, settings: Settings, output: Output) -> Result<(), Failure> {
    let app = open(settings).await?;
    let request = RotateKeys {
        trigger: if args.force { Trigger::Forced } else { Trigger::Operator },
        reason: args.reason.as_deref().map(parse_reason).transpose()?,
        dry_run: args.dry_run,
        idempotency_key: args.idempotency_key,
        context: AuditContext::operator(),
    };
    let view = rotate_keys(&app, request).await.map_err(failed)?;
    if output == Output::Json {
        return print_json(&view);
    }
    println!("{}", if view.dry_run { "Nothing was changed. A rotation would leave:" } else { "Rotated." });
    let keys: Vec<KeyView> = view.next.into_iter().chain([view.current]).chain(view.previous).collect();
    print_table(&keys);
    if let Some(propagation) = &view.propagation {
        print_missing(propagation);
    }
    Ok(())
}

/// Who would meet a key they do not have.
fn print_missing(propagation: &PropagationView) {
    println!("\n{}.", propagation.summary);
    for consumer in &propagation.consumers {
        let (agent, network) = (&consumer.user_agent, &consumer.network);
        println!("  {agent:<40}  {network:<20}  last seen {}", rfc3339(consumer.last_seen_at));
    }
}
