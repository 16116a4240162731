//! The server: connections with limits, in front of the routes.

mod checkpoints;
mod config;
mod lanes;
mod metrics;
pub mod openapi;
mod page;
mod routes;
pub mod source;
pub mod work;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::{Config, Limits, Reserved, ReservedError};
pub use crate::tls::TlsFiles;

use self::lanes::{Lanes, Threads};
use self::metrics::Metrics;
use self::routes::Peer;
use self::source::{PerSource, Shared, Source};
use crate::audit::Signer;
use crate::store::{Store, StoreError};
use crate::tls::{HANDSHAKE_TIME, Tls};

/// Most header fields of a request.
const MAX_HEADERS: usize = 64;
/// Longest request line and headers together.
const MAX_HEAD: usize = 16 * 1024;
/// Connections that wait in the kernel until they are accepted.
const BACKLOG: i32 = 1024;
/// How long requests under way may take when the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("cannot use the certificate: {0}")]
    Certificate(io::Error),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The key for checkpoints cannot be used.
    #[error("cannot use the key for checkpoints {path}: {source}")]
    SignerKey {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are no threads to be had.
    #[error("cannot start threads: {0}")]
    NoThreads(io::Error),
    /// The directory does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the routes share.
#[derive(Debug)]
pub(crate) struct State {
    store: Arc<dyn Store>,
    config: Config,
    metrics: Metrics,
    lookups: PerSource,
    all_lookups: Shared,
    registrations: PerSource,
    all_registrations: Shared,
}

/// A server that runs until it is stopped.
#[derive(Debug)]
pub struct NamesServer {
    addresses: Vec<SocketAddr>,
    monitor: Option<SocketAddr>,
    tls: Option<Arc<Tls>>,
    state: Arc<State>,
    signer: Arc<Signer>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// What serves connections.
    threads: Threads,
}

impl NamesServer {
    /// Starts to serve a directory. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the addresses or the certificate cannot be used, or the directory does not answer.
    pub async fn start(
        store: Arc<dyn Store>,
        signer: Arc<Signer>,
        config: Config,
    ) -> Result<Self, StartError> {
        let tls = match &config.tls {
            Some(files) => Some(Tls::load(files.clone()).map_err(StartError::Certificate)?),
            None => None,
        };
        let acceptor = match &tls {
            Some(tls) => Some(TlsAcceptor::from(tls.config()?)),
            None => None,
        };
        store.add_key(signer.key(), checkpoints::now()).await?;
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let (threads, lanes) = Threads::start(cores).map_err(StartError::NoThreads)?;
        let limits = &config.limits;
        let state = Arc::new(State {
            store,
            metrics: Metrics::default(),
            lookups: PerSource::new(limits.lookups),
            all_lookups: Shared::new(limits.all_lookups),
            registrations: PerSource::new(limits.registrations),
            all_registrations: Shared::new(limits.all_registrations),
            config,
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let door = Arc::new(Door {
            state: Arc::clone(&state),
            acceptor,
            lanes: Some(lanes),
            open: Mutex::default(),
            stop: stop.clone(),
            tasks: tasks.clone(),
        });
        let mut addresses = Vec::new();
        let mut listeners = Vec::new();
        for address in &state.config.listen {
            let listener = listen(*address)?;
            addresses.push(listener.local_addr().map_err(failed(*address))?);
            listeners.push(listener);
        }
        let router = routes::router(Arc::clone(&state));
        for listener in listeners {
            tasks.spawn(Arc::clone(&door).accept(listener, router.clone()));
        }
        let monitor = match state.config.monitor {
            None => None,
            Some(address) => {
                let listener = listen(address)?;
                let local = listener.local_addr().map_err(failed(address))?;
                let door = Arc::new(Door {
                    state: Arc::clone(&state),
                    acceptor: None,
                    lanes: None,
                    open: Mutex::default(),
                    stop: stop.clone(),
                    tasks: tasks.clone(),
                });
                tasks.spawn(door.accept(listener, routes::monitor(Arc::clone(&state))));
                Some(local)
            }
        };
        let server = Self {
            addresses,
            monitor,
            tls,
            signer: Arc::clone(&signer),
            state: Arc::clone(&state),
            stop: stop.clone(),
            tasks: tasks.clone(),
            threads,
        };
        tasks.spawn(checkpoints::keep(state, signer, stop.clone()));
        if let Some(tls) = &server.tls {
            tasks.spawn(renew(Arc::clone(tls), Arc::clone(&server.state), stop));
        }
        tracing::info!(addresses = ?server.addresses, tls = server.tls.is_some(), "names are served");
        Ok(server)
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where health and counts are.
    pub fn monitor(&self) -> Option<SocketAddr> {
        self.monitor
    }

    /// Reads the certificate again, whatever the times of its files; whether there is one.
    ///
    /// # Errors
    /// If it cannot be used: the old one stays.
    pub fn reload(&self) -> io::Result<bool> {
        let Some(tls) = &self.tls else {
            return Ok(false);
        };
        let reloaded = tls.reload(true)?;
        if reloaded {
            renewed(&self.state);
        }
        Ok(reloaded)
    }

    /// Stops to accept, lets requests under way end, and signs what was not signed.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN_TIME, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("requests were still under way when the server stopped");
        }
        checkpoints::sign(&self.state, &self.signer).await;
        drop(self.threads);
    }
}

/// Notes that the certificate was read again.
fn renewed(state: &State) {
    state.metrics.reloads.fetch_add(1, Ordering::Relaxed);
    tracing::info!("the certificate was read again");
}

/// Looks whether the certificate was renewed.
async fn renew(tls: Arc<Tls>, state: Arc<State>, stop: CancellationToken) {
    tokio::select! {
        () = tls.keep_fresh(|| renewed(&state)) => {}
        () = stop.cancelled() => {}
    }
}

fn failed(address: SocketAddr) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::Listen { address, source }
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(failed(address))
}

/// Where connections come in.
struct Door {
    state: Arc<State>,
    acceptor: Option<TlsAcceptor>,
    /// The monitor does without, so that it answers when they are busy.
    lanes: Option<Lanes>,
    open: Mutex<Open>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The connections through one door: those to the monitor are not kept out by others.
#[derive(Default)]
struct Open {
    all: usize,
    of: HashMap<Source, usize>,
}

/// A connection's place; it is free again when this is dropped.
struct Place {
    door: Arc<Door>,
    source: Source,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door
            .state
            .metrics
            .connections
            .fetch_sub(1, Ordering::Relaxed);
        let mut open = self
            .door
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        if let Some(count) = open.of.get_mut(&self.source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.of.remove(&self.source);
            }
        }
    }
}

impl Door {
    async fn accept(self: Arc<Self>, listener: TcpListener, router: Router) {
        let service = TowerToHyperService::new(router);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Who has too many already is hung up on: waiting would let a few
                    // sources, who send nothing, keep all others out.
                    let Some(place) = self.place(peer.ip()) else {
                        self.state.metrics.refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    let (door, service) = (Arc::clone(&self), service.clone());
                    let serve = move |stream| async move {
                        door.serve(stream, peer.ip(), service).await;
                        drop(place);
                    };
                    match &self.lanes {
                        Some(lanes) => lanes.serve(stream, &self.tasks, serve),
                        None => {
                            self.tasks.spawn(serve(stream));
                        }
                    }
                }
                Err(error) => {
                    // Out of file descriptors: those of others may be closed in a moment.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn place(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let limits = &self.state.config.limits;
        let peer = peer.to_canonical();
        let source = Source::new(peer);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.of.get(&source).copied().unwrap_or_default();
        let crowd = count >= limits.connections_of_one;
        if open.all >= limits.connections || crowd && !self.state.config.proxies.contains(&peer) {
            return None;
        }
        open.all = open.all.saturating_add(1);
        open.of.insert(source, count.saturating_add(1));
        self.state
            .metrics
            .connections
            .fetch_add(1, Ordering::Relaxed);
        Some(Place {
            door: Arc::clone(self),
            source,
        })
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: IpAddr,
        service: TowerToHyperService<Router>,
    ) {
        let _unsupported = stream.set_nodelay(true);
        let Some(acceptor) = self.acceptor.clone() else {
            return self.speak(stream, peer, service).await;
        };
        let handshake = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream));
        match handshake.await {
            Ok(Ok(stream)) => self.speak(stream, peer, service).await,
            Ok(Err(_)) | Err(_) => {
                self.state
                    .metrics
                    .handshakes
                    .fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: IpAddr,
        service: TowerToHyperService<Router>,
    ) {
        let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            service.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.state.config.limits.head_time)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                match tokio::time::timeout(DRAIN_TIME, connection.as_mut()).await {
                    Ok(ended) => ended,
                    Err(_) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

/// The clock for limits.
fn instant() -> Instant {
    Instant::now()
}
