//! TLS by a server itself, with a certificate that is read again when it is renewed: for the
//! server of names and for the API of a node.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Longest file of a certificate chain or key.
const MAX_FILE: u64 = 1 << 20;
/// How often the files of the certificate are looked at.
const RENEWAL_TIME: Duration = Duration::from_secs(30);
/// How long a handshake may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Where certificate chain and key are, both PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, the server's own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What is used for new connections.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<(Arc<CertifiedKey>, [Option<SystemTime>; 2])>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish()
    }
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// If they cannot be read, are something else, or do not belong together.
    pub fn load(files: TlsFiles) -> io::Result<Arc<Self>> {
        let times = times(&files);
        let current = RwLock::new((Arc::new(read(&files)?), times));
        Ok(Arc::new(Self { files, current }))
    }

    /// Reads both files again if they changed, or in any case; whether it did. The old
    /// certificate stays if the new one is no good.
    ///
    /// # Errors
    /// If the new one is no good.
    pub fn reload(&self, always: bool) -> io::Result<bool> {
        let times = times(&self.files);
        let known = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .1;
        if !always && times == known {
            return Ok(false);
        }
        let fresh = Arc::new(read(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (fresh, times);
        Ok(true)
    }

    /// Looks again and again whether the certificate was renewed; `renewed` is told when it
    /// was.
    pub async fn keep_fresh(&self, renewed: impl Fn()) {
        let first = tokio::time::Instant::now() + RENEWAL_TIME;
        let mut turns = tokio::time::interval_at(first, RENEWAL_TIME);
        loop {
            turns.tick().await;
            match self.reload(false) {
                Ok(true) => renewed(),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "the renewed certificate cannot be used, the old one stays");
                }
            }
        }
    }

    /// How handshakes are done.
    ///
    /// # Errors
    /// If the library cannot do TLS.
    pub fn config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let resolver: Arc<Self> = Arc::clone(self);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Tls {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current.0))
    }
}

fn times(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    [&files.certificate, &files.key].map(|path| {
        let about = std::fs::metadata(path).ok()?;
        about.modified().ok()
    })
}

fn read(files: &TlsFiles) -> io::Result<CertifiedKey> {
    let bad = |path: &Path, what: String| {
        let text = format!("{}: {what}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    for path in [&files.certificate, &files.key] {
        let about = std::fs::metadata(path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        if about.len() > MAX_FILE {
            return Err(bad(path, "is too large".into()));
        }
    }
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(&files.certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(&files.certificate, "holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| bad(&files.key, error.to_string()))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| {
        bad(
            &files.certificate,
            format!("does not go with the key: {error}"),
        )
    })
}
