//! What all sessions of one identity share: the provider, the signing key, the chain.

use std::fmt;
use std::sync::Arc;

use baraza_identity::DeviceIdentity;
use rustls::client::{ClientSessionStore, Resumption, Tls12Resumption};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, NamedGroup, ServerConfig};

use super::TlsError;
use super::verify::PeerVerifier;

/// The TLS side of a device identity, made once: loading the key and checking that it
/// fits takes longer than everything else here. Clones share it.
#[derive(Clone)]
pub struct TlsConfig(Arc<Inner>);

struct Inner {
    provider: Arc<CryptoProvider>,
    credentials: Arc<SingleCertAndKey>,
    /// Complete but for the verifier, which belongs to one session.
    client: ClientConfig,
    server_name: ServerName<'static>,
}

impl TlsConfig {
    /// Presents exactly the chain of `identity`, as published on the DHT: older peers
    /// compare it byte by byte (section 10.2).
    ///
    /// # Errors
    /// If the key or the chain cannot be used for TLS.
    pub fn new(identity: &DeviceIdentity) -> Result<Self, TlsError> {
        let mut provider = aws_lc_rs::default_provider();
        // Servers choose the first of the client's groups that they know: the hybrid
        // between two of us, secp384r1 with existing peers.
        provider.kx_groups = vec![
            kx_group::X25519MLKEM768,
            kx_group::SECP384R1,
            kx_group::X25519,
        ];
        let provider = Arc::new(provider);
        let credentials = Arc::new(credentials(identity).map_err(TlsError::Identity)?);
        let server_name = ServerName::try_from("jami")
            .map_err(|_| TlsError::Identity(rustls::Error::General("server name".into())))?;
        // 1.2 is offered and not taken: GnuTLS refuses a first message that cannot
        // signal secure renegotiation, which only 1.2 does (section 10.3).
        let mut client = ClientConfig::builder_with_details(provider.clone(), Arc::new(NoTime))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsError::Identity)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PeerVerifier::nobody()))
            .with_client_cert_resolver(credentials.clone());
        client.enable_sni = false;
        Ok(Self(Arc::new(Inner {
            provider,
            credentials,
            client,
            server_name,
        })))
    }

    pub(super) fn client(
        &self,
        verifier: Arc<PeerVerifier>,
        prefer_post_quantum: bool,
    ) -> Arc<ClientConfig> {
        let mut config = self.0.client.clone();
        let store = NoResumption {
            prefer_post_quantum,
        };
        config.resumption =
            Resumption::store(Arc::new(store)).tls12_resumption(Tls12Resumption::Disabled);
        config.dangerous().set_certificate_verifier(verifier);
        Arc::new(config)
    }

    pub(super) fn server(
        &self,
        verifier: Arc<PeerVerifier>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config =
            ServerConfig::builder_with_details(self.0.provider.clone(), Arc::new(NoTime))
                .with_protocol_versions(&[&TLS13])
                .map_err(TlsError::Identity)?
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(self.0.credentials.clone());
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }

    pub(super) fn signature_algorithms(&self) -> WebPkiSupportedAlgorithms {
        self.0.provider.signature_verification_algorithms
    }

    #[cfg(test)]
    pub(super) fn credentials(&self) -> Arc<SingleCertAndKey> {
        self.0.credentials.clone()
    }

    pub(super) fn server_name(&self) -> ServerName<'static> {
        self.0.server_name.clone()
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConfig")
    }
}

fn credentials(identity: &DeviceIdentity) -> Result<SingleCertAndKey, rustls::Error> {
    let der = identity.key().to_pkcs8_der();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_slice()));
    let key = aws_lc_rs::sign::any_supported_type(&key)?;
    let chain = identity.chain().certificates().iter();
    let chain = chain.map(|certificate| CertificateDer::from(certificate.der().to_vec()));
    Ok(CertifiedKey::new(chain.collect(), key).into())
}

/// Remembers nothing, and chooses the group whose key share a client sends first.
#[derive(Debug)]
struct NoResumption {
    prefer_post_quantum: bool,
}

impl ClientSessionStore for NoResumption {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        // Without a hint it is the first of the provider's.
        (!self.prefer_post_quantum).then_some(NamedGroup::secp384r1)
    }

    fn set_tls12_session(
        &self,
        _: ServerName<'static>,
        _: rustls::client::Tls12ClientSessionValue,
    ) {
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<rustls::client::Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(
        &self,
        _: ServerName<'static>,
        _: rustls::client::Tls13ClientSessionValue,
    ) {
    }

    fn take_tls13_ticket(
        &self,
        _: &ServerName<'static>,
    ) -> Option<rustls::client::Tls13ClientSessionValue> {
        None
    }
}

/// No clock is read here: nothing is resumed, and the verifier has the time it was given.
#[derive(Debug)]
struct NoTime;

impl TimeProvider for NoTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::ZERO))
    }
}
