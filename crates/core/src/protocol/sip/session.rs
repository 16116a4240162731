//! One `sip` channel.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use baraza_wire::{AccountId, Rng, UnixTime, hex};

use super::decoder::SipDecoder;
use super::message::{SipMessage, Start};
use super::{MAX_BODY, SipError, date};
use crate::protocol::message::MAX_MIME;
use crate::protocol::msg_channel::ChannelMessage;

/// Most messages sent over one channel that wait for their answer.
pub const MAX_PENDING: usize = 64;
/// Longest display name that is sent, in characters.
const MAX_NAME: usize = 128;

const USER_AGENT: &str = concat!("Baraza ", env!("CARGO_PKG_VERSION"));
const METHOD: &str = "MESSAGE";
/// Methods that only make sense inside a call.
const IN_DIALOG: [&str; 8] = [
    "BYE",
    "CANCEL",
    "INFO",
    "NOTIFY",
    "PRACK",
    "REFER",
    "SUBSCRIBE",
    "UPDATE",
];
const ALLOW: (&str, &str) = ("Allow", "MESSAGE, OPTIONS");

/// The two ends of the connection, as the messages name them. Nothing is routed by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Ours.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
}

/// For channels whose addresses are not known.
impl Default for Addresses {
    fn default() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 5061));
        Self {
            local: nowhere,
            remote: nowhere,
        }
    }
}

/// What happened on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SipEvent {
    /// A message of ours was taken.
    Delivered {
        /// Its token.
        token: u64,
    },
    /// A message of ours was not taken; the channel is to be closed.
    Failed {
        /// Its token.
        token: u64,
        /// Why.
        status: u16,
    },
    /// A message came (and was answered).
    Received(ChannelMessage),
    /// To be written to the channel.
    Reply(Vec<u8>),
}

/// Sends and receives messages on one channel.
#[derive(Debug, Clone)]
pub struct SipSession {
    own: AccountId,
    peer: AccountId,
    display_name: String,
    addresses: Addresses,
    decoder: SipDecoder,
    /// Tokens by `Call-ID`.
    pending: BTreeMap<String, u64>,
}

impl SipSession {
    /// On a channel between these accounts, at its start.
    pub fn new(own: AccountId, peer: AccountId, display_name: &str, addresses: Addresses) -> Self {
        let display_name = display_name
            .chars()
            .filter(|char| !char.is_control() && !matches!(char, '"' | '\\'))
            .take(MAX_NAME)
            .collect();
        Self {
            own,
            peer,
            display_name,
            addresses,
            decoder: SipDecoder::new(),
            pending: BTreeMap::new(),
        }
    }

    /// The bytes that send a message. Its fate comes as an event with the token.
    ///
    /// # Errors
    /// If it cannot be sent (now).
    pub fn send(
        &mut self,
        message: &ChannelMessage,
        now: UnixTime,
        rng: &mut Rng,
    ) -> Result<Vec<u8>, SipError> {
        if self.pending.len() >= MAX_PENDING {
            return Err(SipError::Busy);
        }
        let names = Names {
            branch: uuid(rng),
            tag: uuid(rng),
            call_id: uuid(rng),
            sequence: u16::try_from(rng.range(1..65_536)).unwrap_or(1),
        };
        let request = self.request(message, now, &names, USER_AGENT)?;
        self.pending.insert(names.call_id, message.token);
        Ok(request.write())
    }

    pub(super) fn request(
        &self,
        message: &ChannelMessage,
        now: UnixTime,
        names: &Names,
        user_agent: &str,
    ) -> Result<SipMessage, SipError> {
        let mime = &message.mime;
        if mime.is_empty() || mime.len() > MAX_MIME || mime.chars().any(char::is_control) {
            return Err(SipError::Mime);
        }
        if message.body.len() > MAX_BODY {
            return Err(SipError::TooLong);
        }
        let Addresses { local, remote } = self.addresses;
        let (own, peer, name) = (self.own, self.peer, &self.display_name);
        let display = if name.is_empty() {
            String::new()
        } else {
            format!("\"{name}\" ")
        };
        let host = host(remote);
        let headers = [
            (
                "Via",
                format!(
                    "SIP/2.0/TLS {local};rport;branch=z9hG4bKPj{};alias",
                    names.branch
                ),
            ),
            ("Max-Forwards", "70".to_owned()),
            (
                "From",
                format!("{display}<sip:{own}@ring.dht>;tag={}", names.tag),
            ),
            ("To", format!("<sips:{peer}@{host}>")),
            ("Call-ID", names.call_id.clone()),
            ("CSeq", format!("{} {METHOD}", names.sequence)),
            ("Date", date::format(now)),
            ("Message-ID", format!("{:016x}", message.token)),
            ("User-Agent", user_agent.to_owned()),
            ("Content-Type", mime.clone()),
        ];
        Ok(SipMessage {
            start: Start::Request {
                method: METHOD.to_owned(),
                uri: format!("sips:{peer}@{remote};transport=tls"),
            },
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            body: message.body.clone().into_bytes(),
        })
    }

    /// Takes bytes in.
    ///
    /// # Errors
    /// If the channel is to be closed.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Vec<SipEvent>, SipError> {
        self.decoder.push(bytes);
        let mut events = Vec::new();
        while let Some(message) = self.decoder.next_message()? {
            match &message.start {
                Start::Request { method, .. } => self.answer(method, &message, &mut events),
                Start::Response { status, .. } => {
                    events.extend(self.settle(*status, &message));
                }
            }
        }
        Ok(events)
    }

    /// Messages still without an answer, for when the channel is closed.
    pub fn unanswered(&self) -> impl Iterator<Item = u64> {
        self.pending.values().copied()
    }

    fn answer(&self, method: &str, request: &SipMessage, events: &mut Vec<SipEvent>) {
        let source = Some(self.addresses.remote);
        let mut reply = |status, reason, more: &[(&str, &str)]| {
            let response = request.response(status, reason, source, more);
            events.push(SipEvent::Reply(response.write()));
        };
        match method {
            METHOD if from(request) != Some(self.peer) => reply(403, "Forbidden", &[]),
            METHOD => {
                reply(200, "OK", &[]);
                events.extend(received(request).map(SipEvent::Received));
            }
            "ACK" => {}
            "OPTIONS" => reply(200, "OK", &[ALLOW]),
            _ if IN_DIALOG.contains(&method) => {
                reply(481, "Call/Transaction Does Not Exist", &[]);
            }
            _ => reply(405, "Method Not Allowed", &[ALLOW]),
        }
    }

    fn settle(&mut self, status: u16, response: &SipMessage) -> Option<SipEvent> {
        if status < 200 {
            return None;
        }
        let token = self.pending.remove(response.header("Call-ID")?)?;
        Some(match status {
            200..300 => SipEvent::Delivered { token },
            _ => SipEvent::Failed { token, status },
        })
    }
}

/// What tells requests apart.
pub(super) struct Names {
    pub(super) branch: String,
    pub(super) tag: String,
    pub(super) call_id: String,
    pub(super) sequence: u16,
}

/// 128 random bits in the form of a UUID.
fn uuid(rng: &mut Rng) -> String {
    let bytes: [u8; 16] = rng.bytes();
    let digits = hex::encode(&bytes);
    let mut text = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// Without the port, an IPv6 address in brackets.
fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

/// The account the request claims to come from.
fn from(request: &SipMessage) -> Option<AccountId> {
    let from = request.header("From")?;
    let (_, uri) = from.rsplit_once("sip:").or(from.rsplit_once("sips:"))?;
    let (user, _) = uri.split_once('@')?;
    user.parse().ok()
}

/// The message in a request; none if it says not what it is.
fn received(request: &SipMessage) -> Option<ChannelMessage> {
    let token = request
        .header("Message-ID")
        .or_else(|| request.header("imdn.Message-ID"))
        .and_then(|token| u64::from_str_radix(token, 16).ok())
        .unwrap_or_default();
    let mime: Vec<_> = request
        .header("Content-Type")?
        .split(';')
        .map(str::trim)
        .collect();
    Some(ChannelMessage {
        token,
        mime: mime.join(";"),
        body: String::from_utf8_lossy(&request.body).into_owned(),
    })
}
