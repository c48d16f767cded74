use tokio_util::sync::CancellationToken;

use super::{Failure, failed};
use crate::clock::Clock;
use crate::flows::accounts::list_users;
use crate::keys::KeyFactory;
use crate::server::Server;
use crate::settings::Settings;
use crate::start::StartError;
use crate::telemetry;
use crate::views::rfc3339;

pub async fn run(settings: Settings) -> Result<(), Failure> {
    telemetry::start_logging(&settings.log);
    let key_factory = KeyFactory::new(settings.keys.plan);
    let server =
        Server::build(settings, Clock::system(), key_factory).await.map_err(|error| match error {
            StartError::Tls(error) => Failure::Usage(error.to_string()),
            other => failed(other),
        })?;
    let stop = CancellationToken::new();
    // Before anyone can read that it serves, and stop it for that.
    cancel_on_signal(stop.clone()).map_err(failed)?;
    greet(&server).await?;
    server.run(stop).await.map_err(failed)
}

/// What was done, and what to do next.
async fn greet(server: &Server) -> Result<(), Failure> {
    let (app, report) = (server.app(), server.report());
    let scheme = if app.settings.server.tls.is_some() { "https" } else { "http" };
    let base = format!("{scheme}://{}", server.address().map_err(failed)?);
    let docs = format!("  {base}/docs/ shows the whole API");
    let made = |made: bool| if made { " (made just now)" } else { "" };
    println!("Chancery {} serves on {base}", env!("CARGO_PKG_VERSION"));
    println!("  issuer      {}", app.settings.server.issuer);
    if let Some(address) = server.admin_address() {
        println!("  operators   {scheme}://{address}");
    }
    let migrations = match report.migrations {
        0 => String::new(),
        count => format!(" ({count} migrations run)"),
    };
    if let Some(away) = &report.database_away {
        println!("  database    {away}");
        println!(
            "Only the key set kept from before is served until it is back, and nothing is issued.\n{docs}"
        );

        return Ok(());
    }
    println!("  database    {}{migrations}", app.db.kind());
    if let Some(path) = &report.master_key_made {
        println!("  master key  {} (made just now; keep a copy: it opens the signing keys)", path.display());
    }
    if let Some(keyring) = app.keyring.load_full() {
        let set = keyring.set();
        println!("  signing key {}{}", set.current().kid, made(report.keys_made));
        println!(
            "  next key    {}, rotates {}",
            set.next().kid,
            rfc3339(set.scheduled_at(&app.settings.key_policy))
        );
    }
    let nobody_yet = list_users(app, None, 1).await.map_err(failed)?.users.is_empty();
    let program = std::env::args().next().unwrap_or_else(|| "chancery".to_owned());
    println!("Next:");
    if nobody_yet {
        println!("  {program} users create you@example.com --admin");
    }
    println!("  curl {base}/auth/login --json '{{\"email\":\"you@example.com\",\"password\":\"…\"}}'");
    println!("  curl {base}/.well-known/jwks.json");
    println!("{docs}");
    Ok(())
}

/// Ctrl-C, or the SIGTERM of a service manager.
pub(super) fn cancel_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!(event = "stopping");
        stop.cancel();
    });
    Ok(())
}
