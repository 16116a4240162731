//! Questions over HTTP: one connection each, within limits of time and size.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::ask::{Answer, Ask, NO_TLS, Unreachable, redirect, retry_after};
use super::date::http_date;
use crate::json::MAX_ANSWER;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long everything may take, redirections included.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most redirections that are followed.
const MAX_REDIRECTS: usize = 3;
/// Most bytes of an answer's head.
const MAX_HEAD: usize = 64 * 1024;
/// As which program we introduce ourselves.
const USER_AGENT: &str = concat!("Baraza/", env!("CARGO_PKG_VERSION"));

/// Asks name servers. Clones share what they know of the system's certificates.
#[derive(Debug, Clone, Default)]
pub struct HttpClient {
    tls: Arc<OnceCell<Arc<ClientConfig>>>,
}

impl HttpClient {
    /// One that trusts the authorities that the system trusts. They are read when the first
    /// server is asked by https.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that trusts these authorities alone.
    ///
    /// # Errors
    /// If the library cannot do TLS.
    pub fn with_roots(roots: RootCertStore) -> Result<Self, Unreachable> {
        let config = config(roots)?;
        Ok(Self {
            tls: Arc::new(OnceCell::new_with(Some(config))),
        })
    }

    /// Asks. Takes half a minute at most.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, Unreachable> {
        let posts = ask.method() == "POST";
        match tokio::time::timeout(TIMEOUT, self.follow(ask)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Unreachable {
                reason: format!("no answer in {} seconds", TIMEOUT.as_secs()),
                sent: posts,
            }),
        }
    }

    async fn follow(&self, ask: &Ask) -> Result<Answer, Unreachable> {
        let mut url = ask
            .url()
            .ok_or_else(|| unsent("the address is not one of a server"))?;
        let posts = ask.method() == "POST";
        for _ in 0..=MAX_REDIRECTS {
            let answer = self
                .once(&url, question(&url, ask)?, Reach::Anywhere)
                .await?;
            let status = answer.status().as_u16();
            let moved = match status {
                307 | 308 => true,
                301..=303 if posts => {
                    return Err(Unreachable {
                        reason: format!("it redirects a registration (status {status})"),
                        sent: false,
                    });
                }
                301..=303 => true,
                _ => false,
            };
            if !moved {
                return read(answer, posts).await;
            }
            let location = answer.headers().get(header::LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            let location = location.ok_or_else(|| unsent("it redirects to nowhere"))?;
            url = redirect(&url, location).map_err(|reason| Unreachable {
                reason,
                sent: false,
            })?;
        }
        Err(unsent("it redirects again and again"))
    }

    /// One request, over a connection of its own.
    pub(super) async fn once(
        &self,
        url: &Url,
        request: Request<Full<Bytes>>,
        reach: Reach,
    ) -> Result<Response<Incoming>, Unreachable> {
        let host = url.host().ok_or_else(|| unsent("it has no host"))?;
        let port = url
            .port_or_known_default()
            .ok_or_else(|| unsent("it has no port"))?;
        let stream = match tokio::time::timeout(CONNECT_TIMEOUT, connect(&host, port)).await {
            Ok(stream) => stream?,
            Err(_elapsed) => {
                let seconds = CONNECT_TIMEOUT.as_secs();
                return Err(Unreachable {
                    reason: format!("no connection in {seconds} seconds"),
                    sent: false,
                });
            }
        };
        if url.scheme() != "https" {
            // What the name leads to, not what it looks like.
            let near = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
            if reach == Reach::PlainOnlyHere && !near {
                return Err(unsent("without https, only this machine is asked"));
            }
            return exchange(stream, request).await;
        }
        let name = match &host {
            Host::Domain(name) => ServerName::try_from((*name).to_owned())
                .map_err(|_| unsent("it has a name that certificates cannot have"))?,
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::V4(*address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::V6(*address)),
        };
        let connector = TlsConnector::from(self.tls().await?);
        let secured = tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(name, stream));
        let stream = match secured.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return Err(Unreachable {
                    reason: format!("{NO_TLS}: {error}"),
                    sent: false,
                });
            }
            Err(_elapsed) => return Err(unsent(&format!("{NO_TLS} in time"))),
        };
        exchange(stream, request).await
    }

    async fn tls(&self) -> Result<Arc<ClientConfig>, Unreachable> {
        let made = self.tls.get_or_try_init(|| async {
            let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
            let loaded = loaded
                .await
                .map_err(|_| unsent("the node is shutting down"))?;
            for error in &loaded.errors {
                tracing::warn!(%error, "certificates of the system that cannot be read");
            }
            let mut roots = RootCertStore::empty();
            let (added, strange) = roots.add_parsable_certificates(loaded.certs);
            tracing::debug!(added, strange, "certificates of the system");
            if roots.is_empty() {
                let reason = "this system has no certificates of authorities (ca-certificates)";
                return Err(unsent(reason));
            }
            config(roots)
        });
        made.await.cloned()
    }
}

fn config(roots: RootCertStore) -> Result<Arc<ClientConfig>, Unreachable> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| unsent("TLS cannot be used"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

pub(super) fn unsent(reason: &str) -> Unreachable {
    Unreachable {
        reason: reason.to_owned(),
        sent: false,
    }
}

async fn connect(host: &Host<&str>, port: u16) -> Result<TcpStream, Unreachable> {
    let connected = match host {
        Host::Domain(name) => {
            let found = tokio::net::lookup_host((*name, port)).await;
            let addresses: Vec<_> = found
                .map_err(|error| Unreachable {
                    reason: format!("the address of {name} is not found: {error}"),
                    sent: false,
                })?
                .collect();
            TcpStream::connect(addresses.as_slice()).await
        }
        Host::Ipv4(address) => TcpStream::connect((*address, port)).await,
        Host::Ipv6(address) => TcpStream::connect((*address, port)).await,
    };
    connected.map_err(|error| Unreachable {
        reason: match error.kind() {
            io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
            io::ErrorKind::NetworkUnreachable => "there is no network".to_owned(),
            _ => error.to_string(),
        },
        sent: false,
    })
}

/// Whom a client talks to without https.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Everybody.
    Anywhere,
    /// Programs on this machine.
    PlainOnlyHere,
}

/// A request to an address, with what all of them have.
pub(super) fn request(url: &Url, method: Method) -> hyper::http::request::Builder {
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, host)
        .header(header::ACCEPT, "*/*")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
}

/// A question as a request.
fn question(url: &Url, ask: &Ask) -> Result<Request<Full<Bytes>>, Unreachable> {
    let posts = ask.method() == "POST";
    request(url, if posts { Method::POST } else { Method::GET })
        .body(Full::new(Bytes::from(ask.body().to_owned())))
        .map_err(|_| unsent("the question cannot be asked over HTTP"))
}

/// Sends a request over a connection.
async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Unreachable>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let sent = request.method() == Method::POST;
    let failed = |error: hyper::Error| Unreachable {
        reason: format!("no answer of HTTP: {error}"),
        sent,
    };
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    // Ends when the answer is read or let go of.
    drop(tokio::spawn(connection));
    sender.send_request(request).await.map_err(failed)
}

/// Reads an answer.
pub(super) async fn read(answer: Response<Incoming>, posts: bool) -> Result<Answer, Unreachable> {
    let status = answer.status().as_u16();
    let header = answer.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after(header.and_then(|value| value.to_str().ok()));
    let date = answer.headers().get(header::DATE);
    let date = date.and_then(|value| http_date(value.to_str().ok()?));
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| Unreachable {
        reason: if error.is::<LengthLimitError>() {
            format!("its answer has more than {MAX_ANSWER} bytes")
        } else {
            format!("its answer is cut short: {error}")
        },
        sent: posts,
    })?;
    Ok(Answer {
        status,
        retry_after,
        date,
        body: body.to_bytes().to_vec(),
    })
}
