//! The HTTP server around an [`App`]: built and bound first, run afterwards, stopped gracefully.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server as Listening;
use actix_web::middleware::from_fn;
use actix_web::{HttpServer, web};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::Clock;
use crate::flows::flush_ledger;
use crate::http::{self, Door};
use crate::keys::Mint;
use crate::settings::Settings;
use crate::start::{StartError, StartReport, complete_start, start_server_app};
use crate::tls::{self, Certificates};
use crate::{background, telemetry};

/// A request whose head has not arrived by then is not coming.
const HEAD_ARRIVES_WITHIN: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// A client that takes nothing of its answer for so long is gone (RFC 5482), also when it acknowledges with a closed window.
const TAKES_WITHIN: Duration = Duration::from_secs(30);
/// Between saying "not ready" and taking no more connections, so that balancers hear of it.
const DRAIN: Duration = Duration::from_millis(500);

/// Between two looks for a database that is away.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// For writing down what was counted, and for giving the connections back, before the end.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Between two looks for another certificate.
const LOOK_FOR_CERTIFICATE: Duration = Duration::from_secs(30);

/// Descriptors that are no client's: the database, files, what the runtime needs.
const DESCRIPTORS_KEPT: u64 = 96;

/// A server that is bound and does not serve yet.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    admin_listener: Option<TcpListener>,
    certificates: Option<Arc<Certificates>>,
    report: StartReport,
}

impl Server {
    /// Binds the addresses and makes everything ready.
    pub async fn build(settings: Settings, clock: Clock, mint: Mint) -> Result<Self, StartError> {
        // First the addresses: a second server on one machine should fail before it touches anything.
        let listener = bind("server.listen", settings.server.listen)?;
        let admin_listener =
            settings.server.admin_listen.map(|address| bind("server.admin_listen", address)).transpose()?;
        let certificates = settings.server.tls.clone().map(Certificates::load).transpose()?;
        telemetry::start_metrics();
        let (app, report) = start_server_app(settings, clock, mint).await?;
        Ok(Self { app: Arc::new(app), listener, admin_listener, certificates, report })
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

    /// Where operators ask, if that is another address.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until `stop` is cancelled; then says "not ready", takes no more connections, lets what is in flight finish
    /// within `server.shutdown_timeout`, and gives the database back.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let Self { app, listener, admin_listener, certificates, .. } = self;
        let clients = connections_allowed();
        let workers = app.settings.server.workers;
        let mut doors = Vec::new();
        let public = if admin_listener.is_some() { Door::Public } else { Door::Only };
        doors.push(open(&app, public, listener, certificates.as_ref(), workers, clients)?);
        if let Some(listener) = admin_listener {
            doors.push(open(&app, Door::Admin, listener, certificates.as_ref(), 1, clients)?);
        }

        let handles: Vec<_> = doors.iter().map(Listening::handle).collect();
        let stopping = stop.clone();
        let draining = Arc::clone(&app);
        let stopper = tokio::spawn(async move {
            stopping.cancelled().await;
            draining.start_draining();
            tokio::time::sleep(DRAIN).await;
            futures_util::future::join_all(handles.iter().map(|handle| handle.stop(true))).await;
        });
        let following = certificates.map(|pair| tokio::spawn(tls::follow(pair, LOOK_FOR_CERTIFICATE)));
        let work = tokio::spawn(work(Arc::clone(&app), stop.clone()));
        let outcome = futures_util::future::try_join_all(doors).await.map(|_| ());
        stop.cancel();
        stopper.abort();
        if let Some(following) = following {
            following.abort();
        }
        let worked = work.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        // What was seen since the last poll; the database may be away by now.
        let _ = tokio::time::timeout(LAST_WORD, flush_ledger(&app)).await;
        // A database that has stopped would keep us for ever.
        let _ = tokio::time::timeout(LAST_WORD, app.db.close()).await;
        outcome.and(worked)
    }
}

fn bind(key: &str, address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        io::Error::new(error.kind(), format!("{key}: cannot listen on {address}: {error}"))
    })?;
    // Connections inherit it.
    let limit = u32::try_from(TAKES_WITHIN.as_millis()).unwrap_or(u32::MAX);
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&listener, limit);
    #[cfg(not(target_os = "linux"))]
    let _ = limit;
    Ok(listener)
}

/// One address with everything that is served there.
fn open(
    app: &Arc<App>,
    door: Door,
    listener: TcpListener,
    certificates: Option<&Arc<Certificates>>,
    workers: usize,
    clients: usize,
) -> io::Result<Listening> {
    let data = web::Data::from(Arc::clone(app));
    let document = web::Data::new(http::openapi_document());
    let origins = app.settings.server.origins.clone();
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(data.clone())
            .app_data(document.clone())
            .wrap(from_fn(http::frame))
            .configure(|config| http::configure(config, door, &origins))
    })
    .workers(workers)
    .max_connections((clients / workers).max(1))
    .shutdown_timeout(app.settings.server.shutdown_timeout.as_secs())
    .client_request_timeout(HEAD_ARRIVES_WITHIN)
    .tls_handshake_timeout(HANDSHAKE_WITHIN)
    .keep_alive(KEEP_ALIVE)
    .disable_signals();
    let server = match certificates {
        Some(pair) => server.listen_rustls_0_23(listener, pair.config().map_err(io::Error::other)?)?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

/// How many clients may be connected at once: as many as there are descriptors for, less those the server itself needs. The
/// soft limit is raised to the hard one first; it is low for the sake of programs that use `select`, which this one does not.
fn connections_allowed() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
    usize::try_from(allowed.saturating_sub(DESCRIPTORS_KEPT).max(32)).unwrap_or(usize::MAX)
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
