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
use baraza_store::StoreError;
use baraza_wire::Rng;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::auth::{Token, TokenError};
use crate::error::ApiError;
use crate::guard::{Guard, guard};
use crate::idempotency::UnderWay;
use crate::routes;
use crate::routes::doctor::Practice;

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
    /// Where to listen. Port 0 lets the system choose.
    pub address: SocketAddr,
    /// Names accepted in `Host` beside loopback's. Needed to listen beyond loopback.
    pub hosts: Vec<String>,
    /// Whether the local API of the existing client is served, too
    /// (docs/protocol/08-local-api.md).
    pub compat: bool,
    /// The node's data directory: the token and the address are kept there.
    pub data_dir: PathBuf,
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiServeError {
    /// The address is not a loopback one, and no names were allowed.
    #[error(
        "{0} is reachable from other machines, and the API has no encryption: \
         listen on 127.0.0.1, or name the hosts it may be asked as"
    )]
    NotLoopback(SocketAddr),
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
        if !config.address.ip().is_loopback() && config.hosts.is_empty() {
            return Err(ApiServeError::NotLoopback(config.address));
        }
        let listen = |source| ApiServeError::Listen {
            address: config.address,
            source,
        };
        let token = Token::load_or_create(&config.data_dir, &mut Rng::from_os())?;
        let access = Arc::new(Access::open(&node.database())?);
        let listener = TcpListener::bind(config.address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let file = config.data_dir.join(ADDRESS_FILE);
        write_address(&file, address).map_err(|source| ApiServeError::AddressFile {
            path: file.clone(),
            source,
        })?;

        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let state = Arc::new(State {
            node,
            access: Arc::clone(&access),
            started: now(),
            counters: Counters::default(),
            under_way: UnderWay::default(),
            doctor: Practice::default(),
            stop: stop.clone(),
            tasks: tasks.clone(),
        });
        let guards = Arc::new(
            Guard::new(token, Arc::clone(&access), address, &config.hosts)
                .with_compat(config.compat),
        );
        let router = routes::router(Arc::clone(&state), config.compat)
            .layer(middleware::from_fn_with_state(guards, guard))
            .layer(middleware::from_fn_with_state(state, count));
        tasks.spawn(accept(listener, router, stop.clone(), tasks.clone()));
        tracing::info!(%address, "API listens");
        Ok(Self {
            address,
            file,
            access,
            stop,
            tasks,
        })
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
                let serving = serve(stream, Peer(peer), router.clone(), stop.clone());
                tasks.spawn(async move {
                    serving.await;
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

async fn serve(stream: TcpStream, peer: Peer, router: Router, stop: CancellationToken) {
    let _unsupported = stream.set_nodelay(true);
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
