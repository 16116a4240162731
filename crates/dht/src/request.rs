//! Requests without an answer yet (docs/protocol/01-dht.md sections 3.1 and 3.2).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use baraza_wire::{InfoHash, Rng};

use crate::clock::Ms;
use crate::message::Outgoing;
use crate::node::NodeRef;
use crate::op::OpRef;
use crate::search::SearchRef;

/// How often a request is sent.
pub(crate) const MAX_SENT: u8 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const MAX_JITTER_MILLIS: u64 = 250;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To see whether a node is there, and who it is.
    Ping,
    /// To learn of nodes, for the routing table.
    Explore,
    /// To find the nodes nearest to the key of a search.
    Lookup(SearchRef),
    /// To get values, or ids and sequence numbers.
    Get(SearchRef, OpRef),
    /// To store a value.
    Put(SearchRef, OpRef),
    /// To see whether a value must be stored again.
    Probe(SearchRef, OpRef),
    /// To keep a value alive.
    Refresh(SearchRef, OpRef),
    /// To subscribe.
    Listen(SearchRef, OpRef),
    /// To tell a listener.
    Update,
}

impl Purpose {
    pub(crate) fn search(self) -> Option<SearchRef> {
        match self {
            Self::Ping | Self::Explore | Self::Update => None,
            Self::Lookup(search)
            | Self::Get(search, _)
            | Self::Put(search, _)
            | Self::Probe(search, _)
            | Self::Refresh(search, _)
            | Self::Listen(search, _) => Some(search),
        }
    }
}

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) to: SocketAddr,
    /// The node asked, if it is known.
    pub(crate) node: Option<NodeRef>,
    /// Its id; `None` to take whoever answers.
    pub(crate) id: Option<InfoHash>,
    pub(crate) purpose: Purpose,
    pub(crate) message: Outgoing,
    pub(crate) sent: u8,
    pub(crate) due: Ms,
    wait: Duration,
}

/// What to do with a request that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Send it again.
    Again,
    /// Give up.
    Over,
}

impl Request {
    pub(crate) fn new(
        to: SocketAddr,
        node: Option<NodeRef>,
        id: Option<InfoHash>,
        purpose: Purpose,
        message: Outgoing,
    ) -> Self {
        Self {
            to,
            node,
            id,
            purpose,
            message,
            sent: 0,
            due: Ms::NEVER,
            wait: FIRST_WAIT,
        }
    }

    /// Counts a transmission and sets when to look again.
    pub(crate) fn sent(&mut self, now: Ms, rng: &mut Rng) {
        self.sent = self.sent.saturating_add(1);
        let jitter = Duration::from_millis(rng.range(0..MAX_JITTER_MILLIS));
        self.wait = self.wait.saturating_mul(2).saturating_add(jitter);
        self.due = now.plus(self.wait);
    }

    pub(crate) fn on_due(&self) -> Due {
        if self.sent >= MAX_SENT {
            Due::Over
        } else {
            Due::Again
        }
    }
}

/// All requests by transaction id.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    by_tid: BTreeMap<u32, Box<Request>>,
}

impl Requests {
    /// A transaction id that is not in use and cannot be guessed.
    pub(crate) fn new_tid(&self, rng: &mut Rng) -> u32 {
        loop {
            let tid = rng.u32();
            if tid != 0 && !self.by_tid.contains_key(&tid) {
                return tid;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_tid.len()
    }

    pub(crate) fn insert(&mut self, tid: u32, request: Request) {
        self.by_tid.insert(tid, Box::new(request));
    }

    pub(crate) fn get_mut(&mut self, tid: u32) -> Option<&mut Request> {
        self.by_tid.get_mut(&tid).map(Box::as_mut)
    }

    /// The request that `from` may answer, if it was the one asked (section 14).
    pub(crate) fn answered(&self, tid: u32, from: SocketAddr) -> Option<&Request> {
        let request = self.by_tid.get(&tid)?;
        (request.to == from).then_some(request.as_ref())
    }

    pub(crate) fn remove(&mut self, tid: u32) -> Option<Request> {
        self.by_tid.remove(&tid).map(|request| *request)
    }

    /// Transaction ids of all requests to a node.
    pub(crate) fn of_node(&self, node: NodeRef) -> Vec<u32> {
        self.by_tid
            .iter()
            .filter(|(_, request)| request.node == Some(node))
            .map(|(tid, _)| *tid)
            .collect()
    }

    /// Transaction ids of all requests to an address.
    pub(crate) fn to(&self, address: SocketAddr) -> Vec<u32> {
        self.by_tid
            .iter()
            .filter(|(_, request)| request.to == address)
            .map(|(tid, _)| *tid)
            .collect()
    }

    /// Whether an answer to a ping of an unknown node is awaited from the family.
    pub(crate) fn any_to_unknown(&self, ipv4: bool) -> bool {
        self.by_tid
            .values()
            .any(|request| request.id.is_none() && request.to.is_ipv4() == ipv4)
    }

    pub(crate) fn any_to(&self, address: SocketAddr) -> bool {
        self.by_tid.values().any(|request| request.to == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_three_times_in_ten_seconds() {
        let mut rng = Rng::from_seed(1);
        let message = Outgoing {
            head: bytes::Bytes::new(),
            fragments: Vec::new(),
        };
        let to: SocketAddr = "192.0.2.1:1".parse().unwrap();
        let mut request = Request::new(to, None, None, Purpose::Ping, message);
        let start = Ms::from_secs(100);
        let mut now = start;
        let mut waits = Vec::new();
        loop {
            request.sent(now, &mut rng);
            waits.push(request.due.since(now).as_millis());
            now = request.due;
            if request.on_due() == Due::Over {
                break;
            }
        }
        assert_eq!(waits.len(), 3);
        for (wait, range) in waits.iter().zip([1000..1250, 2000..2750, 4000..5750]) {
            assert!(range.contains(wait), "{waits:?}");
        }
    }
}
