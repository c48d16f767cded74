//! The HTTP server around an [`App`]: built and bound first, run afterwards, stopped gracefully.

mod connection;
mod fair_poll;

use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_server::GracefulShutdownSignal;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::dev::{AppConfig, Server as Listening, ServiceFactory};
use actix_web::middleware::from_fn;
use actix_web::rt::net::{ActixStream, TcpStream};
use actix_web::web;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::Clock;
use crate::flows::keys::flush_usage;
use crate::http;
use crate::http::Listener;
use crate::keys::KeyFactory;
use crate::settings::{DatabaseSettings, Settings};
use crate::start::{StartError, StartReport, complete_start, start_server_app};
use crate::tls;
use crate::tls::Certificates;
use crate::{background, telemetry};
use connection::{Connection, ConnectionTimeouts, Connections};
use fair_poll::fair_poll;

/// A request whose head has not arrived by then is not coming.
const HEAD_ARRIVES_WITHIN: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// For whoever is sent away to hear why.
const LEAVES_WITHIN: Duration = Duration::from_secs(1);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// A client that takes nothing of its answer for so long is gone (RFC 5482), also when it acknowledges with a closed window.
const TAKES_WITHIN: Duration = Duration::from_secs(30);
/// What a client that takes nothing makes the system keep of its answers. The largest page has ten times that, the others less.
const SEND_BUFFER: usize = 128 * 1024;
/// Between saying "not ready" and taking no more connections, so that balancers hear of it.
const DRAIN: Duration = Duration::from_millis(500);

/// Between two looks for a database that is away.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// For writing down what was counted, and for giving the connections back, before the end.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Between two looks for another certificate.
const LOOK_FOR_CERTIFICATE: Duration = Duration::from_secs(30);

/// Descriptors that are no client's, and no database connection's: files, what the runtime needs.
const DESCRIPTORS_KEPT: u64 = 64;
/// Of the others, those kept for an address of the operators' own: a crowd at the public one does not take them.
const OPERATORS: usize = 64;
/// Handshakes that may be done before their turn comes; the standard library allows 128.
const BACKLOG: i32 = 1024;

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
    pub async fn build(
        settings: Settings,
        clock: Clock,
        key_factory: KeyFactory,
    ) -> Result<Self, StartError> {
        // First the addresses: a second server on one machine should fail before it touches anything.
        let listener = bind("server.listen", settings.server.listen)?;
        let admin_listener =
            settings.server.admin_listen.map(|address| bind("server.admin_listen", address)).transpose()?;
        let certificates = settings.server.tls.clone().map(Certificates::load).transpose()?;
        telemetry::start_metrics();
        let (app, report) = start_server_app(settings, clock, key_factory).await?;
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
        let allowed = connections_allowed(&app.settings.database);
        let operators = if admin_listener.is_some() { OPERATORS.min(allowed / 4) } else { 0 };
        let workers = app.settings.server.workers;
        let mut listeners = Vec::new();
        let public = if admin_listener.is_some() { Listener::Public } else { Listener::Only };
        listeners.push(open(&app, public, listener, certificates.as_ref(), workers, allowed - operators)?);
        if let Some(listener) = admin_listener {
            listeners.push(open(&app, Listener::Admin, listener, certificates.as_ref(), 1, operators)?);
        }

        let handles: Vec<_> = listeners.iter().map(Listening::handle).collect();
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
        let outcome = futures_util::future::try_join_all(listeners).await.map(|_| ());
        stop.cancel();
        stopper.abort();
        if let Some(following) = following {
            following.abort();
        }
        let worked = work.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        // What was seen since the last poll; the database may be away by now.
        let _ = tokio::time::timeout(LAST_WORD, flush_usage(&app)).await;
        // A database that has stopped would keep us for ever.
        let _ = tokio::time::timeout(LAST_WORD, app.db.close()).await;
        outcome.and(worked)
    }
}

fn bind(key: &str, address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        io::Error::new(error.kind(), format!("{key}: cannot listen on {address}: {error}"))
    })?;
    rustix::net::listen(&listener, BACKLOG)?;
    // Connections inherit these.
    rustix::net::sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER)?;
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
    listener: Listener,
    socket: TcpListener,
    certificates: Option<&Arc<Certificates>>,
    workers: usize,
    clients: usize,
) -> io::Result<Listening> {
    let each = (clients / workers).max(1);
    let settings = &app.settings.server;
    let builder = Listening::build()
        .workers(workers)
        .max_concurrent_connections(each)
        .shutdown_timeout(settings.shutdown_timeout.as_secs())
        .disable_signals();
    let timeouts = ConnectionTimeouts {
        request: HEAD_ARRIVES_WITHIN + settings.request_timeout,
        silence: KEEP_ALIVE + HEAD_ARRIVES_WITHIN,
    };
    let http_server = HttpServer::new(app, listener, builder.graceful_shutdown_signal())?;
    let clients = Connections::at_most(each * workers);
    let answer = move || {
        let clients = Arc::clone(&clients);
        fn_service(move |stream: TcpStream| ready(Ok::<_, ()>(Connection::new(stream, timeouts, &clients))))
    };
    let name = format!("chancery-{}", socket.local_addr()?);
    let builder = match certificates {
        Some(pair) => {
            let mut config = pair.config().map_err(io::Error::other)?;
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            builder.listen(name, socket, move || {
                let mut handshake = Acceptor::new(config.clone());
                handshake.set_handshake_timeout(HANDSHAKE_WITHIN);
                let secured = handshake.map_err(|_| ()).map(|connection: TlsStream<Connection>| {
                    with_peer(connection, |connection| connection.get_ref().0.peer())
                });
                answer().and_then(secured).and_then(http_server.serve())
            })?
        }
        None => builder.listen(name, socket, move || {
            answer()
                .map(|connection: Connection| with_peer(connection, Connection::peer))
                .and_then(http_server.serve())
        })?,
    };
    Ok(builder.run())
}

/// As the HTTP library wants it.
fn with_peer<T>(stream: T, peer: impl FnOnce(&T) -> Option<SocketAddr>) -> (T, Option<SocketAddr>) {
    let peer = peer(&stream);
    (stream, peer)
}

/// What every worker at one address serves.
#[derive(Clone)]
struct HttpServer {
    data: web::Data<App>,
    document: web::Data<http::Description>,
    origins: Arc<[String]>,
    listener: Listener,
    stops: GracefulShutdownSignal,
}

impl HttpServer {
    fn new(app: &Arc<App>, listener: Listener, stops: GracefulShutdownSignal) -> io::Result<Self> {
        Ok(Self {
            data: web::Data::from(Arc::clone(app)),
            document: web::Data::new(http::Description::of(&http::openapi_document())?),
            origins: app.settings.server.origins.clone().into(),
            listener,
            stops,
        })
    }

    /// HTTP/1.1 over any stream.
    fn serve<T: ActixStream + 'static>(
        &self,
    ) -> impl ServiceFactory<(T, Option<SocketAddr>), Config = (), Response = (), Error = (), InitError = ()>
    + use<T> {
        let (listener, origins) = (self.listener, Arc::clone(&self.origins));
        let app = actix_web::App::new()
            .app_data(self.data.clone())
            .app_data(self.document.clone())
            .wrap(from_fn(http::middleware))
            .configure(move |config| http::configure(config, listener, &origins));
        let stops = self.stops.clone();
        let service = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stops = stops.clone();
                async move { stops.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_ARRIVES_WITHIN)
            .client_disconnect_timeout(LEAVES_WITHIN)
            .h1(map_config(app.into_factory().map_err(|error| error.error_response()), |()| {
                AppConfig::default()
            }));
        // The library has logged its errors.
        let service = service.map_err(|_| ());
        apply_fn_factory(service, |connection, http| fair_poll(http.call(connection)))
    }
}

/// How many clients may be connected at once: as many as there are descriptors for, less those the server itself needs. The
/// soft limit is raised to the hard one first; it is low for the sake of programs that use `select`, which this one does not.
fn connections_allowed(database: &DatabaseSettings) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
    // An embedded connection has three files open.
    let kept = DESCRIPTORS_KEPT + 3 * u64::from(database.pool_size);
    usize::try_from(allowed.saturating_sub(kept).max(32)).unwrap_or(usize::MAX)
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
