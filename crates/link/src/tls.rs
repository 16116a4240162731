//! TLS 1.3 between two devices (docs/protocol/04-connection.md section 10), without I/O.
//!
//! Bytes of the peer go into [`Session::receive`], plaintext comes out of
//! [`Session::poll_plaintext`] and records to send out of [`Session::drain_records`], one
//! per call of the sink, as a frame of the transport must begin with a record. Both sides
//! prove to hold a device key; the peer's must be the one expected.

mod config;
mod verify;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead as _, IoSlice, Write};
use std::sync::Arc;
use std::time::Instant;

use baraza_identity::PublicKey;
use baraza_wire::Now;
use bytes::Bytes;
use rustls::{
    ClientConnection, Connection, HandshakeKind, NamedGroup, ProtocolVersion, ServerConnection,
};
use thiserror::Error;

use crate::mux::{Mux, Outgoing};
use crate::peer::Peer;
use verify::PeerVerifier;

pub use config::TlsConfig;
pub use verify::PeerError;

/// Longest record, header included: 2^14 bytes of plaintext, content type, tag and header.
pub const MAX_RECORD: usize = 16_384 + 1 + 16 + 5;

/// Which end of a TLS connection this is: the asker of a connection is the server, the
/// answerer the client (section 10.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Sends the first message; `prefer_post_quantum` makes it begin with the hybrid key
    /// exchange, which saves a round trip with peers known to understand it (those whose
    /// last session was [`Session::is_post_quantum`]) and costs one with older ones.
    Client {
        /// Whether to begin with X25519MLKEM768 instead of secp384r1.
        prefer_post_quantum: bool,
    },
    /// Waits for the client.
    Server,
}

/// Why a TLS session failed. It cannot be used any more; an alert for the peer may be left
/// in [`Session::drain_records`].
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer ended the session with an alert.
    #[error("the peer refused the secure connection ({0})")]
    Alert(String),
    /// Our own identity cannot be used.
    #[error("this device's identity cannot be used for secure connections: {0}")]
    Identity(rustls::Error),
    /// Writing before the handshake is over or after the end.
    #[error("the secure connection is not open")]
    NotOpen,
    /// The peer speaks an older version only.
    #[error("the peer does not speak TLS 1.3")]
    OldVersion,
    /// The peer is not who was expected.
    #[error("the peer is not the expected device: {0}")]
    Peer(#[from] PeerError),
    /// What was received is not acceptable TLS.
    #[error("the secure connection failed: {0}")]
    Protocol(rustls::Error),
}

/// One TLS session, handshake included.
pub struct Session {
    connection: Connection,
    verifier: Arc<PeerVerifier>,
    plaintext: VecDeque<Bytes>,
    peer: Option<Peer>,
    peer_closed: bool,
    failed: Option<TlsError>,
}

impl Session {
    /// Begins a session with the device that holds `expected`. A client has a record to
    /// send at once.
    ///
    /// # Errors
    /// If TLS refuses the configuration.
    pub fn new(
        config: &TlsConfig,
        side: Side,
        expected: PublicKey,
        now: Now,
    ) -> Result<Self, TlsError> {
        let verifier = Arc::new(PeerVerifier::new(
            expected,
            now.unix,
            config.signature_algorithms(),
        ));
        let mut connection: Connection = match side {
            Side::Client {
                prefer_post_quantum,
            } => {
                let rustls = config.client(verifier.clone(), prefer_post_quantum);
                ClientConnection::new(rustls, config.server_name())
                    .map_err(TlsError::Identity)?
                    .into()
            }
            Side::Server => {
                let rustls = config.server(verifier.clone())?;
                ServerConnection::new(rustls)
                    .map_err(TlsError::Identity)?
                    .into()
            }
        };
        // What is written leaves at once, so this bounds only what one write may hold.
        connection.set_buffer_limit(Some(WRITE_BUFFER));
        Ok(Self {
            connection,
            verifier,
            plaintext: VecDeque::new(),
            peer: None,
            peer_closed: false,
            failed: None,
        })
    }

    /// Takes bytes of the peer, cut anywhere. Drain plaintext and records afterwards, also
    /// after an error: there may be an alert to send.
    ///
    /// # Errors
    /// If the session is over because of what was received. The error stays.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<(), TlsError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        while !bytes.is_empty() && !self.peer_closed {
            let processed = match self.connection.read_tls(&mut bytes) {
                // Only after a close_notify: what follows is not read.
                Ok(0) => break,
                Ok(_) => self.connection.process_new_packets(),
                // A record that is longer than allowed.
                Err(_) => Err(rustls::Error::General("the input buffer is full".into())),
            };
            let progress = processed.map_err(|error| self.fail(error))?;
            self.take_plaintext();
            self.peer_closed = progress.peer_has_closed();
            if self.peer.is_none() && !self.connection.is_handshaking() {
                self.finish_handshake()?;
            }
        }
        Ok(())
    }

    /// The next decrypted piece: the content of one record.
    pub fn poll_plaintext(&mut self) -> Option<Bytes> {
        self.plaintext.pop_front()
    }

    /// Encrypts the concatenation of `parts` into records as few as possible.
    ///
    /// # Errors
    /// If the session is not open.
    pub fn write(&mut self, parts: &[IoSlice<'_>]) -> Result<(), TlsError> {
        if self.peer.is_none() || self.failed.is_some() {
            return Err(TlsError::NotOpen);
        }
        let wanted: usize = parts.iter().map(|part| part.len()).sum();
        let written = self.connection.writer().write_vectored(parts);
        if written.ok() == Some(wanted) {
            return Ok(());
        }
        self.failed = Some(TlsError::NotOpen);
        Err(TlsError::NotOpen)
    }

    /// Encrypts what `mux` wants to send, until about `budget` bytes are, and returns how
    /// many; small messages share records. A message is never cut, so that the last one
    /// may exceed the budget.
    ///
    /// # Errors
    /// If the session is not open.
    pub fn write_from(
        &mut self,
        now: Instant,
        mux: &mut Mux,
        budget: usize,
    ) -> Result<usize, TlsError> {
        let mut total = 0_usize;
        while total < budget {
            let mut batch: Vec<Outgoing> = Vec::new();
            let mut len = 0_usize;
            while len < BATCH && total.saturating_add(len) < budget {
                let Some(message) = mux.poll_transmit(now) else {
                    break;
                };
                len = len.saturating_add(message.len());
                batch.push(message);
            }
            if batch.is_empty() {
                break;
            }
            let parts: Vec<_> = batch
                .iter()
                .flat_map(|message| [message.header(), message.body()])
                .map(IoSlice::new)
                .collect();
            self.write(&parts)?;
            total = total.saturating_add(len);
        }
        Ok(total)
    }

    /// Gives each record that waits to be sent to `sink`, in order.
    pub fn drain_records(&mut self, mut sink: impl FnMut(&[u8])) {
        while self.connection.wants_write() {
            // The sink takes everything and does not fail.
            if self.connection.write_tls(&mut Records(&mut sink)).is_err() {
                break;
            }
        }
    }

    /// Tells the peer that nothing more comes.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// The peer, from the moment the handshake is over.
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// Whether the peer has said that nothing more comes from it.
    pub fn peer_has_closed(&self) -> bool {
        self.peer_closed
    }

    /// Whether the keys were agreed with the hybrid of X25519 and ML-KEM-768: the peer is
    /// then one that can begin with it.
    pub fn is_post_quantum(&self) -> bool {
        self.connection
            .negotiated_key_exchange_group()
            .is_some_and(|group| group.name() == NamedGroup::X25519MLKEM768)
    }

    /// Whether the handshake took one more round trip, because the client began with another
    /// key exchange than the server wanted.
    pub fn was_retried(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::FullWithHelloRetryRequest)
    }

    /// What was agreed, for the log: version, cipher suite and key exchange.
    pub fn parameters(&self) -> String {
        let suite = self.connection.negotiated_cipher_suite();
        let group = self.connection.negotiated_key_exchange_group();
        format!(
            "{:?} {:?} {:?}",
            self.connection.protocol_version(),
            suite.map(|suite| suite.suite()),
            group.map(rustls::crypto::SupportedKxGroup::name)
        )
    }

    fn take_plaintext(&mut self) {
        let mut reader = self.connection.reader();
        while let Ok(chunk) = reader.fill_buf() {
            if chunk.is_empty() {
                break;
            }
            let len = chunk.len();
            self.plaintext.push_back(Bytes::copy_from_slice(chunk));
            reader.consume(len);
        }
    }

    fn finish_handshake(&mut self) -> Result<(), TlsError> {
        let version = self.connection.protocol_version();
        let peer = self.verifier.peer();
        match peer {
            Some(Ok(peer)) if version == Some(ProtocolVersion::TLSv1_3) => {
                self.peer = Some(peer);
                Ok(())
            }
            // Neither happens: 1.2 ends at its first signature, and no handshake ends
            // without a certificate.
            Some(Ok(_)) => Err(self.fail_with(TlsError::OldVersion)),
            Some(Err(error)) => Err(self.fail_with(error.into())),
            None => Err(self.fail_with(PeerError::NoCertificate.into())),
        }
    }

    fn fail(&mut self, error: rustls::Error) -> TlsError {
        let error = match (self.verifier.peer(), error) {
            (Some(Err(reason)), _) => reason.into(),
            (_, rustls::Error::AlertReceived(alert)) => TlsError::Alert(format!("{alert:?}")),
            (_, rustls::Error::PeerIncompatible(reason)) if verify::is_old_version(&reason) => {
                TlsError::OldVersion
            }
            (_, rustls::Error::NoCertificatesPresented) => PeerError::NoCertificate.into(),
            (_, error) => TlsError::Protocol(error),
        };
        self.fail_with(error)
    }

    fn fail_with(&mut self, error: TlsError) -> TlsError {
        self.failed = Some(error.clone());
        error
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("peer", &self.peer)
            .field("parameters", &self.parameters())
            .finish_non_exhaustive()
    }
}

/// How much plaintext [`Session::write_from`] hands to rustls at once: four records.
const BATCH: usize = 64 * 1024;

/// Most plaintext one [`Session::write`] takes.
const WRITE_BUFFER: usize = 1 << 20;

/// A writer that cuts what rustls sends at the record borders.
struct Records<'a, F>(&'a mut F);

impl<F: FnMut(&[u8])> Write for Records<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some((record, after)) = split_record(rest) {
            (self.0)(record);
            rest = after;
        }
        // rustls hands out whole records; should that change, better odd than lost.
        if !rest.is_empty() {
            (self.0)(rest);
        }
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0_usize;
        for part in parts {
            written = written.saturating_add(self.write(part)?);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first record of `bytes` and what follows it.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let header: &[u8; 5] = bytes.first_chunk()?;
    let [_, _, _, high, low] = *header;
    let len = usize::from(u16::from_be_bytes([high, low])).saturating_add(header.len());
    bytes.split_at_checked(len)
}

#[cfg(test)]
mod tests;
