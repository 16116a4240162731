//! Is the peer the device we expect? (docs/protocol/04-connection.md section 10.2)

use std::sync::OnceLock;

use baraza_identity::PublicKey;
use baraza_identity::certificate::{
    Certificate, CertificateChain, CertificateError, ChainError, ChainParseError, MAX_CHAIN_LEN,
};
use baraza_wire::UnixTime;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, PeerIncompatible, SignatureScheme};
use thiserror::Error;
use tracing::{debug, info};

use crate::peer::Peer;

/// Why the peer is not who it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// One of its certificates cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Its chain proves nothing.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// It presented none.
    #[error("it presented no certificate")]
    NoCertificate,
    /// Another device answered.
    #[error("it holds another key")]
    OtherKey,
    /// More certificates than any account has.
    #[error(transparent)]
    Parse(#[from] ChainParseError),
}

/// Checks the certificate of one session's peer and keeps the verdict.
#[derive(Debug)]
pub(super) struct PeerVerifier {
    /// `None` expects nobody.
    expected: Option<PublicKey>,
    now: UnixTime,
    algorithms: Option<WebPkiSupportedAlgorithms>,
    verdict: OnceLock<Result<Peer, PeerError>>,
}

impl PeerVerifier {
    pub(super) fn new(
        expected: PublicKey,
        now: UnixTime,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self {
            expected: Some(expected),
            now,
            algorithms: Some(algorithms),
            verdict: OnceLock::new(),
        }
    }

    /// Accepts no one: for the configuration that sessions replace with their own.
    pub(super) fn nobody() -> Self {
        Self {
            expected: None,
            now: UnixTime::default(),
            algorithms: None,
            verdict: OnceLock::new(),
        }
    }

    /// The verdict, as soon as there is one. The peer has proven to hold the key only
    /// when the handshake is over.
    pub(super) fn peer(&self) -> Option<Result<Peer, PeerError>> {
        self.verdict.get().cloned()
    }

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
    ) -> Result<(), rustls::Error> {
        let verdict = self.verdict.get_or_init(|| self.judge(leaf, above));
        match verdict {
            Ok(_) => Ok(()),
            Err(reason) => {
                debug!(%reason, "certificate refused");
                Err(rustls::Error::InvalidCertificate(
                    rustls::CertificateError::ApplicationVerificationFailure,
                ))
            }
        }
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
    ) -> Result<Peer, PeerError> {
        let leaf = Certificate::from_der(leaf)?;
        if self.expected.as_ref() != Some(leaf.public_key()) {
            return Err(PeerError::OtherKey);
        }
        if above.len() >= MAX_CHAIN_LEN {
            return Err(ChainParseError::TooMany.into());
        }
        let mut certificates = vec![leaf];
        for der in above {
            certificates.push(Certificate::from_der(der)?);
        }
        let chain = CertificateChain::new(certificates)?;
        let account = chain.verify_device_ignoring_dates()?;
        for (position, certificate) in chain.certificates().iter().enumerate() {
            if self.now < certificate.not_before() || self.now > certificate.not_after() {
                info!(
                    device = %chain.device_id().short(),
                    position,
                    "certificate outside its dates, tolerated"
                );
            }
        }
        Ok(Peer {
            device: chain.device_id(),
            account,
            chain,
        })
    }

    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = self
            .algorithms
            .as_ref()
            .ok_or_else(|| rustls::Error::General("a session without a verifier".into()))?;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(end_entity, intermediates)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(OLD_VERSION.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: rustls::pki_types::UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(end_entity, intermediates)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(OLD_VERSION.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

/// Device keys are RSA; what existing peers sign with is among these (section 10.1).
const SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// What stands for "chose TLS 1.2, which was only offered".
const OLD_VERSION: PeerIncompatible = PeerIncompatible::ServerDoesNotSupportTls12Or13;

/// Whether rustls gave up because of the peer's version.
pub(super) fn is_old_version(reason: &PeerIncompatible) -> bool {
    matches!(
        reason,
        PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
    )
}
