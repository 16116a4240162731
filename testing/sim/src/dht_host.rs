//! A host that runs nothing but a DHT node.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use baraza_dht::{ClientId, Command, Dht, Event, Output};
use baraza_wire::Now;

use crate::net::{HostId, Input};
use crate::world::{Action, Program};

/// Where all hosts of a cluster put their events: who, when, what.
pub type Sink = Rc<RefCell<Vec<(HostId, Instant, Event)>>>;

/// A DHT node with one client.
#[derive(Debug)]
pub struct DhtHost {
    id: HostId,
    dht: Dht,
    sink: Sink,
}

const CLIENT: ClientId = ClientId(0);

impl DhtHost {
    /// A node whose events go to `sink`.
    pub const fn new(id: HostId, dht: Dht, sink: Sink) -> Self {
        Self { id, dht, sink }
    }

    /// Gives the node a command.
    pub fn command(&mut self, now: Now, command: Command) {
        self.dht.handle_command(now, CLIENT, command);
    }

    /// The machine.
    pub const fn dht(&self) -> &Dht {
        &self.dht
    }
}

impl Program for DhtHost {
    fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Datagram { from, bytes } => self.dht.handle_datagram(now, from, &bytes),
            Input::Timeout => self.dht.handle_timeout(now),
            Input::Tcp(_) => {}
        }
    }

    fn poll_action(&mut self, now: Now) -> Option<Action> {
        loop {
            match self.dht.poll_output()? {
                Output::Transmit { to, bytes } => return Some(Action::Transmit { to, bytes }),
                Output::Event { event, .. } => {
                    self.sink.borrow_mut().push((self.id, now.instant, event));
                }
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.dht.poll_timeout()
    }
}
