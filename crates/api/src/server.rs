//! The server: connections with limits, in front of the routes.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use baraza_core::Node;
use baraza_names::tls::{HANDSHAKE_TIME, Tls, TlsFiles};
use baraza_store::StoreError;
use baraza_wire::Rng;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::auth::{Token, TokenError};
use crate::error::ApiError;
use crate::guard::{Guard, guard};
use crate::idempotency::UnderWay;
use crate::routes;
use crate::routes::doctor::Practice;
use crate::webhooks::{Patience, Webhooks};

/// Name of the file in the data directory that says where the API is.
pub const ADDRESS_FILE: &str = "api.json";
/// Connections served at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 2048;
/// Most header fields of a request.
const MAX_HEADERS: usize = 64;
/// Longest request line and headers together.
const MAX_HEAD: usize = 32 * 1024;
/// How long a client may take to send a request's head, or to begin the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long requests under way may take when the node stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How the API is served.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Where to listen, without encryption: on loopback. Port 0 lets the system choose.
    pub address: SocketAddr,
    /// Where to listen for other machines, too.
    pub elsewhere: Option<Elsewhere>,
    /// Names accepted in `Host` beside loopback's.
    pub hosts: Vec<String>,
    /// Whether the local API of the existing client is served, too
    /// (docs/protocol/08-local-api.md).
    pub compat: bool,
    /// The node's data directory: the token and the address are kept there.
    pub data_dir: PathBuf,
    /// How patient deliveries to webhooks are.
    pub patience: Patience,
}

/// Where other machines reach the API, by https.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    /// Where to listen. Port 0 lets the system choose.
    pub address: SocketAddr,
    /// The certificate.
    pub tls: TlsFiles,
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiServeError {
    /// The address is not a loopback one, and there is no certificate.
    #[error(
        "{0} can be reached from other machines: without encryption, whoever is on the way reads \
         and changes what goes to and fro, and the secret you sign in with. Give a certificate \
         (--tls-cert and --tls-key), or listen on 127.0.0.1"
    )]
    NotLoopback(SocketAddr),
    /// The address is not a loopback one, and there is no password.
    #[error(
        "{0} can be reached from other machines: whoever reaches it may try to sign in, so that \
         there has to be a password. Start the node without --api, set one (`baraza session \
         password --password`), and start it with --api again"
    )]
    NoPassword(SocketAddr),
    /// The address for health and counts is not a loopback one.
    #[error("{0} can be reached from other machines, and health and metrics are for this one")]
    MonitorNotLoopback(SocketAddr),
    /// All addresses of the machine, by whatever name.
    #[error(
        "{0} is every address of this machine: say by which names it may be asked (--api-host \
         NAME), so that pages elsewhere cannot ask it under a name of their own"
    )]
    NoHosts(SocketAddr),
    /// The certificate cannot be used.
    #[error("cannot use the certificate: {0}")]
    Certificate(io::Error),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It is not known who may ask.
    #[error(transparent)]
    Access(#[from] StoreError),
    /// The address cannot be written down.
    #[error("cannot write {path}: {source}")]
    AddressFile {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What the file `api.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiAddress {
    /// Where the API listens.
    pub address: SocketAddr,
    /// The node's process.
    pub pid: u32,
    /// The version of Baraza.
    pub version: String,
}

impl ApiAddress {
    /// Reads it from a data directory; `None` if no node has left one there.
    ///
    /// # Errors
    /// If it cannot be read, or holds something else.
    pub fn load(data_dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(data_dir.join(ADDRESS_FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What the routes share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) node: Node,
    pub(crate) access: Arc<Access>,
    pub(crate) started: Instant,
    pub(crate) counters: Counters,
    pub(crate) under_way: UnderWay,
    pub(crate) webhooks: Webhooks,
    /// Whether other machines reach it.
    pub(crate) elsewhere: bool,
    pub(crate) doctor: Practice,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) streams: AtomicU64,
}

/// A server that runs until it is stopped.
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    elsewhere: Option<(SocketAddr, Arc<Tls>)>,
    file: PathBuf,
    access: Arc<Access>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl ApiServer {
    /// Starts to serve `node`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the address, the token or the file with the address cannot be used.
    pub async fn start(node: Node, config: ApiConfig) -> Result<Self, ApiServeError> {
        if !config.address.ip().is_loopback() {
            return Err(ApiServeError::NotLoopback(config.address));
        }
        let token = Token::load_or_create(&config.data_dir, &mut Rng::from_os())?;
        let access = Arc::new(Access::open(&node.database())?);
        let outside = match &config.elsewhere {
            Some(elsewhere) => Some(open_outside(elsewhere, &config.hosts, &access).await?),
            None => None,
        };
        let (listener, address) = listen(config.address).await?;
        let file = config.data_dir.join(ADDRESS_FILE);
        write_address(&file, address).map_err(|source| ApiServeError::AddressFile {
            path: file.clone(),
            source,
        })?;

        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let webhooks = Webhooks::new(
            node.clone(),
            Arc::clone(&access),
            config.patience,
            stop.clone(),
            tasks.clone(),
        );
        webhooks.begin()?;
        let state = Arc::new(State {
            node,
            access: Arc::clone(&access),
            started: now(),
            counters: Counters::default(),
            under_way: UnderWay::default(),
            webhooks,
            elsewhere: outside.is_some(),
            doctor: Practice::default(),
            stop: stop.clone(),
            tasks: tasks.clone(),
        });
        let guard_at = |address, token| {
            Guard::new(token, Arc::clone(&access), address, &config.hosts)
                .with_compat(config.compat)
        };
        let router = |guards| {
            routes::router(Arc::clone(&state), config.compat)
                .layer(middleware::from_fn_with_state(Arc::new(guards), guard))
                .layer(middleware::from_fn_with_state(Arc::clone(&state), count))
        };
        let elsewhere = match outside {
            None => None,
            Some(outside) => {
                let router = router(guard_at(outside.address, token.clone()).over_tls());
                let (listener, acceptor) = (outside.listener, Some(outside.acceptor));
                tasks.spawn(accept(
                    listener,
                    acceptor,
                    router,
                    stop.clone(),
                    tasks.clone(),
                ));
                let (tls, ended) = (Arc::clone(&outside.tls), stop.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = tls.keep_fresh(|| tracing::info!("the certificate was read again")) => {}
                        () = ended.cancelled() => {}
                    }
                });
                tracing::info!(address = %outside.address, "API listens for other machines");
                Some((outside.address, outside.tls))
            }
        };
        let router = router(guard_at(address, token));
        tasks.spawn(accept(listener, None, router, stop.clone(), tasks.clone()));
        tracing::info!(%address, "API listens");
        Ok(Self {
            address,
            elsewhere,
            file,
            access,
            stop,
            tasks,
        })
    }

    /// Where it listens for other machines.
    pub fn elsewhere(&self) -> Option<SocketAddr> {
        self.elsewhere.as_ref().map(|(address, _)| *address)
    }

    /// Reads the certificate again, whatever the times of its files; whether there is one.
    ///
    /// # Errors
    /// If it cannot be used: the old one stays.
    pub fn reload(&self) -> io::Result<bool> {
        match &self.elsewhere {
            Some((_, tls)) => tls.reload(true),
            None => Ok(false),
        }
    }

    /// The address of the app with a new code in its fragment, which the browser keeps to
    /// itself: it signs in whoever opens it, once and within five minutes.
    pub fn login_link(&self) -> String {
        app_link(self.address, &self.access.login_code())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops to accept, lets requests under way end, and closes event streams.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN_TIMEOUT, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("requests were still under way when the API stopped");
        }
        if let Err(error) = std::fs::remove_file(&self.file) {
            tracing::warn!(%error, "cannot remove the file with the API's address");
        }
    }
}

/// The address of the app that signs in with a code.
pub fn app_link(address: SocketAddr, code: &str) -> String {
    format!("http://{address}/#login={code}")
}

/// What waits for other machines.
struct Outside {
    listener: TcpListener,
    address: SocketAddr,
    tls: Arc<Tls>,
    acceptor: TlsAcceptor,
}

/// Listens for other machines, if all is there that this needs.
async fn open_outside(
    elsewhere: &Elsewhere,
    hosts: &[String],
    access: &Access,
) -> Result<Outside, ApiServeError> {
    let wanted = elsewhere.address;
    if !wanted.ip().is_loopback() && !access.has_password() {
        return Err(ApiServeError::NoPassword(wanted));
    }
    if wanted.ip().is_unspecified() && hosts.is_empty() {
        return Err(ApiServeError::NoHosts(wanted));
    }
    let tls = Tls::load(elsewhere.tls.clone()).map_err(ApiServeError::Certificate)?;
    let acceptor = TlsAcceptor::from(tls.config()?);
    let (listener, address) = listen(wanted).await?;
    Ok(Outside {
        listener,
        address,
        tls,
        acceptor,
    })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ApiServeError> {
    let failed = |source| ApiServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn now() -> Instant {
    Instant::now()
}

/// Written beside and moved over, so that nobody reads half of it.
fn write_address(file: &Path, address: SocketAddr) -> io::Result<()> {
    let content = serde_json::to_vec(&ApiAddress {
        address,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })?;
    let new = file.with_extension("json.new");
    std::fs::write(&new, content)?;
    std::fs::rename(&new, file)
}

async fn count(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    state.counters.requests.fetch_add(1, Ordering::Relaxed);
    let response = if head_len(&request) > MAX_HEAD {
        ApiError::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            "the request's headers are too long",
        )
        .into_response()
    } else {
        next.run(request).await
    };
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        state.counters.refused.fetch_add(1, Ordering::Relaxed);
    }
    response
}

/// The length of path and headers. hyper's own limit is where it stops reading, but what
/// one read brings may go beyond.
fn head_len(request: &Request) -> usize {
    let path = request.uri().path_and_query();
    let headers = request.headers().iter();
    headers
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
        .fold(
            path.map_or(0, |path| path.as_str().len()),
            usize::saturating_add,
        )
}

pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (router, stop, tls) = (router.clone(), stop.clone(), tls.clone());
                tasks.spawn(async move {
                    let _unsupported = stream.set_nodelay(true);
                    match tls {
                        None => serve(stream, Peer(peer), router, stop).await,
                        Some(tls) => {
                            let secured = tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream));
                            if let Ok(Ok(stream)) = secured.await {
                                serve(stream, Peer(peer), router, stop).await;
                            }
                        }
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of file descriptors: those of others may be closed in a moment.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    stop: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(DRAIN_TIMEOUT, connection.as_mut()).await {
                Ok(ended) => ended,
                // A client that is in no hurry does not hold up the end: hang up.
                Err(_) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
