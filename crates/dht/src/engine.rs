//! The DHT node as a machine: commands and datagrams in, datagrams and events out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use baraza_wire::{Now, Rng};

use crate::api::{ClientId, Command, Config, Event, OpError, Output};

/// A node of the DHT, for both address families.
///
/// After each call drain [`Self::poll_output`], then sleep until [`Self::poll_timeout`].
#[derive(Debug)]
pub struct Dht {
    outputs: VecDeque<Output>,
}

impl Dht {
    /// A node without any other node.
    pub fn new(_config: Config, _now: Now, _rng: Rng) -> Self {
        Self {
            outputs: VecDeque::new(),
        }
    }

    /// Takes a datagram that `from` sent.
    pub fn handle_datagram(&mut self, _now: Now, _from: SocketAddr, _datagram: &[u8]) {}

    /// Takes a command of a client.
    #[expect(clippy::needless_pass_by_value, reason = "values of commands are kept")]
    pub fn handle_command(&mut self, _now: Now, client: ClientId, command: Command) {
        if let Command::Get { op, .. } | Command::Put { op, .. } = command {
            self.outputs.push_back(Output::Event {
                client,
                event: Event::Done {
                    op,
                    result: Err(OpError::NotConnected),
                },
            });
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Now) {}

    /// The next thing to do for the driver, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`], unless something else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
