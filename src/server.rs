//! The HTTP server around an [`App`]: built and bound first, run afterwards, stopped gracefully.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{HttpServer, web};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::Clock;
use crate::flows::flush_ledger;
use crate::http;
use crate::keys::Mint;
use crate::settings::Settings;
use crate::start::{StartError, StartReport, complete_start, start_server_app};
use crate::{background, telemetry};

/// A request whose head has not arrived by then is not coming.
const HEAD_ARRIVES_WITHIN: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Between saying "not ready" and taking no more connections, so that balancers hear of it.
const DRAIN: Duration = Duration::from_millis(500);

/// Between two looks for a database that is away.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// For writing down what was counted, before the end.
const LAST_WORD: Duration = Duration::from_secs(1);

/// A server that is bound and does not serve yet.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    report: StartReport,
}

impl Server {
    /// Binds the address and makes everything ready.
    pub async fn build(settings: Settings, clock: Clock, mint: Mint) -> Result<Self, StartError> {
        let listen = settings.server.listen;
        // First the address: a second server on one machine should fail before it touches anything.
        let listener = TcpListener::bind(listen)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}")))?;
        telemetry::start_metrics();
        let (app, report) = start_server_app(settings, clock, mint).await?;
        Ok(Self { app: Arc::new(app), listener, report })
    }

    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    pub fn report(&self) -> &StartReport {
        &self.report
    }

    /// Where it will serve; tells the port when port 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is cancelled; then says "not ready", takes no more connections, lets what is in flight finish
    /// within `server.shutdown_timeout`, and gives the database back.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let Self { app, listener, .. } = self;
        let data = web::Data::from(Arc::clone(&app));
        let document = web::Data::new(http::openapi_document());
        let origins = app.settings.server.origins.clone();
        let server = HttpServer::new(move || {
            actix_web::App::new()
                .app_data(data.clone())
                .app_data(document.clone())
                .wrap(from_fn(http::frame))
                .configure(|config| http::configure(config, &origins))
        })
        .workers(app.settings.server.workers)
        .shutdown_timeout(app.settings.server.shutdown_timeout.as_secs())
        .client_request_timeout(HEAD_ARRIVES_WITHIN)
        .keep_alive(KEEP_ALIVE)
        .disable_signals()
        .listen(listener)?
        .run();

        let handle = server.handle();
        let stopping = stop.clone();
        let draining = Arc::clone(&app);
        let stopper = tokio::spawn(async move {
            stopping.cancelled().await;
            draining.start_draining();
            tokio::time::sleep(DRAIN).await;
            handle.stop(true).await;
        });
        let work = tokio::spawn(work(Arc::clone(&app), stop.clone()));
        let outcome = server.await;
        stop.cancel();
        stopper.abort();
        let worked = work.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        // What was seen since the last poll; the database may be away by now.
        let _ = tokio::time::timeout(LAST_WORD, flush_ledger(&app)).await;
        app.db.close().await;
        outcome.and(worked)
    }
}

/// What the node does unasked, until it is stopped. One that was started without its database first waits for that; if it
/// comes back as something this node must not work with, the node stops.
async fn work(app: Arc<App>, stop: CancellationToken) -> io::Result<()> {
    while !app.is_started() {
        let Some(completed) = stop.run_until_cancelled(complete_start(&app)).await else { return Ok(()) };
        match completed {
            Ok(()) => tracing::info!(event = "database_is_back"),
            Err(error) if error.is_passing() => {
                tracing::warn!(event = "database_still_away", %error);
                if stop.run_until_cancelled(tokio::time::sleep(ASK_AGAIN_AFTER)).await.is_none() {
                    return Ok(());
                }
            }
            Err(error) => {
                tracing::error!(event = "start_failed", %error);
                stop.cancel();
                return Err(io::Error::other(error.to_string()));
            }
        }
    }
    let mut tasks = background::start(&app, &stop);
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            // A node that follows the keys no more must not go on as if it did.
            tracing::error!(event = "background_task_failed", %error);
            stop.cancel();
            return Err(io::Error::other(error));
        }
    }
    Ok(())
}
